//! Frames between a dispatcher and its worker processes.

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use queuectl_worker::protocol::{FRAME_BYTES, FromWorker, ToWorker, encode, is_there, read};

/// Whatever comes is a message, the end, or an error. A message that was read is written and read again as the same; it
/// was there before it was read; an end is one only between frames.
pub fn frames(data: &[u8]) {
    one_way::<ToWorker>(data);
    one_way::<FromWorker>(data);
}

fn one_way<T: Serialize + DeserializeOwned + Debug>(data: &[u8]) {
    let mut left = data;
    loop {
        let before = left;
        match read::<T>(&mut left) {
            Ok(None) => return assert!(before.is_empty(), "{} bytes are no end", before.len()),
            Ok(Some(message)) => {
                assert!(is_there(before), "read before it was there: {message:?}");
                let mut bytes = Vec::new();
                assert!(encode(&message, &mut bytes).is_ok(), "not writable: {message:?}");
                assert!(bytes.len() - 4 <= FRAME_BYTES && is_there(&bytes));
                let again = read::<T>(bytes.as_slice());
                let Ok(Some(again)) = again else {
                    panic!("{message:?} was read again as {again:?}")
                };
                let mut twice = Vec::new();
                assert!(
                    encode(&again, &mut twice).is_ok() && twice == bytes,
                    "{message:?}, {again:?}"
                );
            }
            Err(error) => return crate::check_error(&error.to_string()),
        }
    }
}
