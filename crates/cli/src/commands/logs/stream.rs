//! The output of one attempt as one stream of bytes, part by part.
//!
//! Its start is in the output file, if there is one; its first and last bytes are in the store after the attempt has ended.
//! [`Stream`] tracks its position and continues from the source that has the next bytes, so nothing is repeated and missing
//! bytes are counted. Each source has an index, which says which of the job's streams a part came from, and when.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use queuectl_core::{Attempt, INDEX_EXTENSION, OutputIndex};

use super::parts::parts;
use super::print::Printer;

/// Bytes read from a file at a time.
const CHUNK: usize = 64 * 1024;
/// Bytes of an index that are read: no version writes more.
const INDEX: u64 = 2 * 1024 * 1024;

/// The stream of one attempt.
pub struct Stream {
    path: PathBuf,
    /// Kept open, so that it stays readable after it is removed.
    file: Option<File>,
    index_file: Option<File>,
    index: OutputIndex,
    /// Bytes that were printed or left out.
    position: u64,
}

impl Stream {
    /// Returns the stream whose start is in this file, if there is one.
    pub fn new(path: PathBuf) -> Stream {
        Stream {
            path,
            file: None,
            index_file: None,
            index: OutputIndex::default(),
            position: 0,
        }
    }

    /// Prints the bytes of the file after the position.
    pub fn print_file(&mut self, to: &mut Printer) -> io::Result<()> {
        if self.file.is_none() {
            self.file = open(&self.path)?;
            self.index_file = open(&self.path.with_extension(INDEX_EXTENSION))?;
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
            // A mark is written before its bytes, so the index has those of all bytes that were read.
            read_on(&mut self.index_file, &mut self.index)?;
            for part in parts(&self.index, self.position, &buffer[..read]) {
                to.write(&part)?;
            }
            self.position += read as u64;
        }
    }

    /// Prints the bytes of the store after the position, and ends.
    pub fn print_rest(&mut self, attempt: &Attempt, to: &mut Printer) -> io::Result<()> {
        let output = &attempt.output;
        self.index = OutputIndex::read(&output.index);
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
        for part in parts(&self.index, start + skip, rest) {
            to.write(&part)?;
        }
        self.position = self.position.max(start + part.len() as u64);
        Ok(())
    }
}

/// Opens a file that may not be there.
fn open(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

/// Reads what was added to the file of an index.
fn read_on(file: &mut Option<File>, index: &mut OutputIndex) -> io::Result<()> {
    if let Some(file) = file {
        let mut bytes = Vec::new();
        let left = INDEX.saturating_sub(file.stream_position()?);
        file.take(left).read_to_end(&mut bytes)?;
        index.extend(&bytes);
    }
    Ok(())
}
