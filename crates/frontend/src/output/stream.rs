//! The output of one attempt as one stream of bytes, part by part.
//!
//! Its start is in the output file, if there is one; its first and last bytes are in the store after the attempt has ended.
//! [`Stream`] tracks its position and continues from the source that has the next bytes, so nothing is repeated and missing
//! bytes are counted. Each source has an index, which says which of the job's streams a part came from, and when.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use queuectl_core::{Attempt, INDEX_EXTENSION, OutputIndex};

use super::parts::{Part, parts};

/// Bytes read from a file at a time.
const CHUNK: usize = 64 * 1024;
/// Bytes of an index that are read: no version writes more.
const INDEX: u64 = 2 * 1024 * 1024;

/// What takes the output.
pub trait Sink {
    /// Takes a part.
    ///
    /// # Errors
    /// It cannot.
    fn part(&mut self, part: &Part) -> io::Result<()>;

    /// Takes that bytes are missing here.
    ///
    /// # Errors
    /// It cannot.
    fn left_out(&mut self, bytes: u64) -> io::Result<()>;
}

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
    /// Returns the stream whose start is in this file, if there is one, from a position on.
    pub fn new(path: PathBuf, position: u64) -> Stream {
        Stream {
            path,
            file: None,
            index_file: None,
            index: OutputIndex::default(),
            position,
        }
    }

    /// Returns how many bytes were taken or left out.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Goes back by some bytes, which come again.
    pub fn go_back(&mut self, bytes: u64) {
        self.position = self.position.saturating_sub(bytes);
    }

    /// Reads the bytes of the file after the position, at most as many. Returns how many; fewer mean that there are no more.
    ///
    /// # Errors
    /// The file cannot be read, or they cannot be taken.
    pub fn read_file(&mut self, most: u64, to: &mut impl Sink) -> io::Result<u64> {
        if self.file.is_none() {
            self.file = open(&self.path)?;
            self.index_file = open(&self.path.with_extension(INDEX_EXTENSION))?;
        }
        let Some(file) = &mut self.file else {
            return Ok(0);
        };
        file.seek(SeekFrom::Start(self.position))?;
        let mut buffer = vec![0; CHUNK.min(usize::try_from(most).unwrap_or(CHUNK))];
        let mut taken = 0;
        while taken < most {
            let left = usize::try_from(most - taken).map_or(buffer.len(), |left| left.min(buffer.len()));
            let read = match file.read(&mut buffer[..left]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            };
            if read == 0 {
                break;
            }
            // A mark is written before its bytes, so the index has those of all bytes that were read.
            read_on(&mut self.index_file, &mut self.index)?;
            for part in parts(&self.index, self.position, &buffer[..read]) {
                to.part(&part)?;
            }
            self.position += read as u64;
            taken += read as u64;
        }
        Ok(taken)
    }

    /// Reads the bytes of the store after the position, at most as many. Returns whether these were all.
    ///
    /// # Errors
    /// They cannot be taken.
    pub fn read_rest(&mut self, attempt: &Attempt, most: u64, to: &mut impl Sink) -> io::Result<bool> {
        let output = &attempt.output;
        self.index = OutputIndex::read(&output.index);
        // What is in the file is not read again, whose marks come from the store from now on.
        self.index_file = None;
        let tail_start = output.total_bytes.saturating_sub(output.tail.len() as u64);
        let mut left = most;
        self.read_part(0, &output.head, &mut left, to)?;
        if self.position < (output.head.len() as u64).min(tail_start) {
            return Ok(false);
        }
        if self.position < tail_start {
            to.left_out(tail_start - self.position)?;
            self.position = tail_start;
        }
        self.read_part(tail_start, &output.tail, &mut left, to)?;
        Ok(self.position >= output.total_bytes)
    }

    /// Reads the bytes after the position of a part of the stream that begins at `start`.
    fn read_part(&mut self, start: u64, part: &[u8], left: &mut u64, to: &mut impl Sink) -> io::Result<()> {
        let skip = self.position.saturating_sub(start).min(part.len() as u64);
        let rest = &part[usize::try_from(skip).unwrap_or(part.len())..];
        let taken = usize::try_from(*left).map_or(rest.len(), |left| left.min(rest.len()));
        for part in parts(&self.index, start + skip, &rest[..taken]) {
            to.part(&part)?;
        }
        *left -= taken as u64;
        if taken > 0 {
            self.position = start + skip + taken as u64;
        }
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
