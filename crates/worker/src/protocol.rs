//! What a dispatcher and a worker process say to each other, over the worker's standard input and output.
//!
//! A frame is its length in bytes (32 bits, little endian) and a message in postcard's format. Both ends are the
//! same binary, so there is no version. A frame over [`FRAME_BYTES`] is refused before it is read.

use std::ffi::OsString;
use std::io::{self, Read, Write};

use queuectl_core::ExecutorName;
use queuectl_executor::{Finished, PluginSettings, Run, RunKey, StopReason, Suspension};
use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Longest frame: the largest output that can be kept in the store, the largest payload, and room to spare.
pub const FRAME_BYTES: usize = 32 * 1024 * 1024;

/// From the dispatcher to a worker process. The end of the stream means that the dispatcher is gone.
#[derive(Debug, Serialize, Deserialize)]
pub enum ToWorker {
    /// How many jobs to run at a time; without it, all that come. Before any job.
    Slots(u32),
    /// The soft limit of open files that jobs get, where that of this process is another; else 0. After [`Self::Slots`].
    OpenFiles(u64),
    /// Start a job, as soon as there is a slot for it; first come, first served.
    Start(Run),
    /// Take over a job whose worker process died, by the handle that its executor had saved.
    Adopt(Run, Vec<u8>),
    /// Ask a job to stop, kill it after its grace.
    Stop(RunKey, StopReason),
    /// Kill a job.
    Kill(RunKey, StopReason),
    /// Send a job that runs a signal, by its number on this system.
    Signal(RunKey, i32),
    /// Suspend the processes of a job that runs.
    Suspend(RunKey),
    /// Have them continue.
    Resume(RunKey),
    /// Give back those of these jobs that have not started.
    Recall(Vec<RunKey>),
    /// What executors are told of the user's settings from now on.
    Settings(PluginSettings),
    /// These outcomes are durable, or no longer wanted.
    Recorded(Vec<RunKey>),
    /// The runs that this executor saved these handles for are no longer wanted; their worker processes died.
    Discard(ExecutorName, Vec<Vec<u8>>),
    /// The marks of the nodes that live.
    Alive(Vec<String>),
    /// Dead nodes had jobs of these executors, which see to what they left behind.
    Reap(Vec<ExecutorName>),
    /// The file that says until when jobs may run; see [`crate::deadline`].
    LeaseFile(OsString),
    /// The file to hold a shared lock on from now on, so that others see that this process lives. Before any job.
    LockFile(OsString),
    /// Say that you are there.
    Ping,
}

/// From a worker process to its dispatcher. The end of a job is told before another takes its slot: so the dispatcher
/// knows of a process that died which of its jobs may have started, namely the first ones of those whose end was not told.
#[derive(Debug, Serialize, Deserialize)]
pub enum FromWorker {
    /// A job ended, and so did everything it started.
    Finished(Finished),
    /// A job that was stopped or recalled had not started, and will not.
    NotStarted(RunKey),
    /// An executor saved what is needed to take its job over, should this process die.
    Handle(RunKey, Vec<u8>),
    /// A job was suspended or resumed, or could not be.
    Suspension(RunKey, Suspension),
    /// The answer to [`ToWorker::Ping`].
    Pong,
    /// The process ends now, for that reason, and not because of its jobs, except that one.
    Ending(String, Option<RunKey>),
}

/// Appends a frame to `buffer`.
///
/// # Errors
/// The message is too large; what is in the buffer then beyond its former length is no frame.
pub fn encode<T: Serialize>(message: &T, buffer: &mut Vec<u8>) -> io::Result<()> {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; 4]);
    postcard::to_io(message, &mut *buffer).map_err(io::Error::other)?;
    let bytes = buffer.len() - start - 4;
    if bytes > FRAME_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too large"));
    }
    buffer[start..start + 4].copy_from_slice(&(bytes as u32).to_le_bytes());
    Ok(())
}

/// Writes one frame.
///
/// # Errors
/// The other end is gone, or the message is too large.
pub fn write<T: Serialize>(mut to: impl Write, message: &T) -> io::Result<()> {
    let mut buffer = Vec::new();
    encode(message, &mut buffer)?;
    to.write_all(&buffer)
}

/// Reads one frame; none at the end of the stream.
///
/// # Errors
/// The stream broke inside a frame, or what came is no frame.
pub fn read<T: DeserializeOwned>(mut from: impl Read) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    // The end of the stream is regular only between frames. A process that was held and goes on finds its system call
    // interrupted.
    loop {
        match from.read(&mut length[..1]) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    from.read_exact(&mut length[1..])?;
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a frame is too large"));
    }
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes)?;
    postcard::from_bytes(&bytes).map(Some).map_err(io::Error::other)
}

/// Whether there is a whole frame at the start of `bytes`.
pub fn is_there(bytes: &[u8]) -> bool {
    bytes
        .first_chunk()
        .is_some_and(|length| bytes.len() - 4 >= u32::from_le_bytes(*length) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use queuectl_core::JobId;

    #[test]
    fn frames_round_trip_and_end_cleanly() {
        let mut bytes = Vec::new();
        let key = RunKey {
            job: JobId(7),
            fence: 3,
        };
        encode(&ToWorker::Stop(key, StopReason::Cancelled), &mut bytes).unwrap();
        encode(&ToWorker::Kill(key, StopReason::Returned), &mut bytes).unwrap();
        let first = 4 + bytes[0] as usize;
        assert!(is_there(&bytes) && is_there(&bytes[..first]));
        assert!(!is_there(&bytes[..first - 1]) && !is_there(&bytes[..3]) && !is_there(&[]));
        let mut from = bytes.as_slice();
        assert!(
            matches!(read(&mut from).unwrap(), Some(ToWorker::Stop(k, StopReason::Cancelled)) if k == key)
        );
        assert!(
            matches!(read(&mut from).unwrap(), Some(ToWorker::Kill(k, StopReason::Returned)) if k == key)
        );
        assert!(read::<ToWorker>(&mut from).unwrap().is_none());
    }

    /// Interrupted before every byte, as reads are in a process that is held and goes on.
    struct Interrupted<'a>(&'a [u8], bool);

    impl Read for Interrupted<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            match self.1 {
                true => Err(io::ErrorKind::Interrupted.into()),
                false => self.0.read(&mut into[..1]),
            }
        }
    }

    #[test]
    fn interruptions_are_not_the_end() {
        let mut bytes = Vec::new();
        encode(&ToWorker::Slots(3), &mut bytes).unwrap();
        let mut from = Interrupted(&bytes, false);
        assert!(matches!(read(&mut from).unwrap(), Some(ToWorker::Slots(3))));
        assert!(read::<ToWorker>(&mut from).unwrap().is_none());
    }

    #[test]
    fn broken_streams_are_errors() {
        assert!(read::<ToWorker>(&[1u8, 0][..]).is_err(), "ends inside the length");
        assert!(
            read::<ToWorker>(&[9u8, 0, 0, 0, 1][..]).is_err(),
            "ends inside the message"
        );
        assert!(
            read::<ToWorker>(&[255u8; 8][..]).is_err(),
            "longer than any frame"
        );
        assert!(read::<ToWorker>(&[1u8, 0, 0, 0, 77][..]).is_err(), "no message");
    }
}
