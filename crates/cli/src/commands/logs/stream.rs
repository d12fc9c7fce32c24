//! The output of one attempt as one stream of bytes.
//!
//! Its start is in the output file, if there is one; its first and last bytes are in the store after the attempt has ended.
//! [`Stream`] tracks its position and continues from the source that has the next bytes, so nothing is repeated and missing
//! bytes are counted.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use queuectl_core::Attempt;

use super::print::Printer;

/// Bytes read from a file at a time.
const CHUNK: usize = 64 * 1024;

/// The stream of one attempt.
pub struct Stream {
    path: PathBuf,
    /// Kept open, so that it stays readable after it is removed.
    file: Option<File>,
    /// Bytes that were printed or left out.
    position: u64,
}

impl Stream {
    /// Returns the stream whose start is in this file, if there is one.
    pub fn new(path: PathBuf) -> Stream {
        Stream {
            path,
            file: None,
            position: 0,
        }
    }

    /// Prints the bytes of the file after the position.
    pub fn print_file(&mut self, to: &mut Printer) -> io::Result<()> {
        if self.file.is_none() {
            self.file = match File::open(&self.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                other => Some(other?),
            };
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        file.seek(SeekFrom::Start(self.position))?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let read = match file.read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if read == 0 {
                return to.flush();
            }
            to.write(&buffer[..read])?;
            self.position += read as u64;
        }
    }

    /// Prints the bytes of the store after the position, and ends.
    pub fn print_rest(&mut self, attempt: &Attempt, to: &mut Printer) -> io::Result<()> {
        let output = &attempt.output;
        let tail_start = output.total_bytes.saturating_sub(output.tail.len() as u64);
        self.print_part(0, &output.head, to)?;
        if self.position < tail_start {
            to.leave_out(tail_start - self.position)?;
            self.position = tail_start;
        }
        self.print_part(tail_start, &output.tail, to)?;
        to.finish()
    }

    /// Prints the bytes after the position of a part of the stream that begins at `start`.
    fn print_part(&mut self, start: u64, part: &[u8], to: &mut Printer) -> io::Result<()> {
        let skip = self.position.saturating_sub(start).min(part.len() as u64);
        let rest = &part[usize::try_from(skip).unwrap_or(part.len())..];
        self.position = self.position.max(start + part.len() as u64);
        to.write(rest)
    }
}
