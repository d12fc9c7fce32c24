//! Whether jobs to be stored wait for others: then they are stored together. It is found out beforehand, so that not a part
//! of them is stored already when the first such job comes. A job that only mentions the word is taken for one, too.

use std::io::{self, Read};

/// The field, as it stands in JSON.
const FIELD: &[u8] = b"\"after\"";

/// Whether the field is in there.
pub fn is_in(mut input: impl Read) -> io::Result<bool> {
    let mut read = [0; 64 * 1024];
    // The end of what was read before, in which the field may begin.
    let mut text: Vec<u8> = Vec::new();
    loop {
        match input.read(&mut read) {
            Ok(0) => return Ok(false),
            Ok(length) => {
                text.extend_from_slice(&read[..length]);
                if text.windows(FIELD.len()).any(|window| window == FIELD) {
                    return Ok(true);
                }
                let kept = text.len().min(FIELD.len() - 1);
                text.drain(..text.len() - kept);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time.
    struct Slow<'a>(&'a [u8]);

    impl Read for Slow<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else {
                return Ok(0);
            };
            (into[0], self.0) = (*first, rest);
            Ok(1)
        }
    }

    #[test]
    fn the_field_is_found_wherever_a_read_ends() {
        let mut long = vec![b' '; 64 * 1024 - 3];
        long.extend_from_slice(br#"{"after":"a"}"#);
        assert!(is_in(long.as_slice()).unwrap());
        assert!(is_in(Slow(br#"{"command":"x","after":1}"#)).unwrap());
        assert!(!is_in(Slow(br#"{"command":"echo after"}"#)).unwrap());
        assert!(!is_in(&b""[..]).unwrap());
    }
}
