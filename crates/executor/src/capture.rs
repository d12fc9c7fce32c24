//! What a run prints, in bounded memory: the first bytes, the last bytes, and a capped file for the rest.
//!
//! Bytes of both streams are kept as they come, in one sequence; nothing here knows about lines or encodings. `marks` says which
//! stream they came from. Reading goes on whatever happens to the files, so that a full disk never blocks a job.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use queuectl_core::{INDEX_EXTENSION, Output, OutputStream};
use queuectl_sys::folder::remove_file;
use queuectl_sys::{Access, Folder, sync_folder};

use crate::marks::{Marks, MarksFile};
use crate::os::error_text;

/// The last folders of an output file's path, in which others than this user may put links: `queue.db.d/output/JOB`.
const STEPS: usize = 3;

/// The output of one run while it runs.
pub(crate) struct Capture {
    /// Everything so far, up to `limit`; once that is exceeded, only the head.
    head: Vec<u8>,
    /// The newest bytes once `limit` is exceeded: a ring that is written at `tail_at`.
    tail: Vec<u8>,
    tail_at: usize,
    limit: usize,
    total: u64,
    /// Which stream the bytes came from. None before the first ones, which many runs never have.
    marks: Option<Marks>,
    marks_file: Option<MarksFile>,
    /// Whether output goes to the file even while it fits into memory.
    live: bool,
    file: Copy,
    file_path: PathBuf,
    file_limit: u64,
    /// The output was reported; what still comes is discarded.
    over: bool,
}

/// The file that output is copied to.
enum Copy {
    Unused,
    Open {
        file: File,
        written: u64,
    },
    /// It could not be opened or written, or its limit is reached.
    Closed {
        file: Option<File>,
    },
}

impl Capture {
    pub(crate) fn new(limit: u64, file_path: PathBuf, file_limit: u64) -> Capture {
        // What cannot be addressed cannot be printed either.
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        Capture {
            head: Vec::new(),
            tail: Vec::new(),
            tail_at: 0,
            limit,
            total: 0,
            marks: None,
            marks_file: None,
            live: false,
            file: Copy::Unused,
            file_path,
            file_limit,
            over: false,
        }
    }

    /// Takes in what the run printed.
    pub(crate) fn push(&mut self, stream: OutputStream, bytes: &[u8]) {
        if bytes.is_empty() || self.over {
            return;
        }
        let fits = self.total + bytes.len() as u64 <= self.limit as u64;
        let copies = self.live || !fits;
        if copies {
            self.copy_so_far();
        }
        self.mark(stream, self.total + bytes.len() as u64);
        if copies {
            self.copy(bytes);
        }
        let before = self.total;
        self.total += bytes.len() as u64;
        if fits {
            self.head.extend_from_slice(bytes);
            return;
        }
        if before <= self.limit as u64 {
            // The first byte too many: from here on there is a head and a tail.
            let half = self.limit.div_ceil(2);
            let taken = half.saturating_sub(self.head.len()).min(bytes.len());
            self.head.extend_from_slice(&bytes[..taken]);
            let rest = self.head.split_off(half.min(self.head.len()));
            self.keep_last(&rest);
            self.keep_last(&bytes[taken..]);
        } else {
            self.keep_last(bytes);
        }
    }

    /// Says where the bytes up to a new total come from: in the file before they are in theirs.
    fn mark(&mut self, stream: OutputStream, total: u64) {
        let limit = self.limit as u64;
        let half = limit.div_ceil(2);
        let kept_from = match total > limit {
            true => total - (limit - half),
            false => 0,
        };
        let marks = self.marks.get_or_insert_with(|| Marks::new(half));
        let mark = marks.add(self.total, stream, kept_from);
        if let (Copy::Open { .. }, Some(file)) = (&self.file, &mut self.marks_file)
            && let Err(error) = file.add(mark)
        {
            self.give_up_marks(&error);
        }
    }

    fn keep_last(&mut self, bytes: &[u8]) {
        let room = self.limit - self.limit.div_ceil(2);
        let bytes = &bytes[bytes.len().saturating_sub(room)..];
        let grow = bytes.len().min(room - self.tail.len());
        self.tail.extend_from_slice(&bytes[..grow]);
        let mut rest = &bytes[grow..];
        while !rest.is_empty() {
            let n = rest.len().min(room - self.tail_at);
            self.tail[self.tail_at..self.tail_at + n].copy_from_slice(&rest[..n]);
            self.tail_at = (self.tail_at + n) % room;
            rest = &rest[n..];
        }
    }

    /// From now on output can be followed in the file.
    pub(crate) fn go_live(&mut self) {
        self.live = true;
        if self.total > 0 {
            self.copy_so_far();
        }
    }

    /// Opens the file and puts into it what came before, which is still in memory whenever the file is not open yet.
    fn copy_so_far(&mut self) {
        if !matches!(self.file, Copy::Unused) {
            return;
        }
        if self.file_limit == 0 {
            self.file = Copy::Closed { file: None };
            return;
        }
        match create_file(&self.file_path) {
            Ok(file) => {
                self.file = Copy::Open { file, written: 0 };
                self.begin_marks_file();
                let head = std::mem::take(&mut self.head);
                self.copy(&head);
                self.head = head;
            }
            Err(error) => self.give_up(&error),
        }
    }

    fn begin_marks_file(&mut self) {
        let half = (self.limit as u64).div_ceil(2);
        let marks = self.marks.get_or_insert_with(|| Marks::new(half));
        let path = self.file_path.with_extension(INDEX_EXTENSION);
        match create_file(&path).and_then(|file| MarksFile::begin(file, marks)) {
            Ok(file) => self.marks_file = Some(file),
            Err(error) => self.give_up_marks(&error),
        }
    }

    /// Removes the file, since what it says would be taken for true of all that follows.
    fn give_up_marks(&mut self, error: &io::Error) {
        let path = self.file_path.with_extension(INDEX_EXTENSION);
        tracing::warn!(
            "streams of output are known in memory only, {} cannot be written: {}",
            path.display(),
            error_text(error)
        );
        self.marks_file = None;
        let _ = remove_file(&path, STEPS);
    }

    fn copy(&mut self, bytes: &[u8]) {
        let Copy::Open { file, written } = &mut self.file else {
            return;
        };
        let room = usize::try_from(self.file_limit - *written).unwrap_or(usize::MAX);
        let taken = &bytes[..bytes.len().min(room)];
        match file.write_all(taken) {
            Ok(()) => {
                *written += taken.len() as u64;
                if *written == self.file_limit {
                    self.close();
                }
            }
            Err(error) => self.give_up(&error),
        }
    }

    /// Nothing more goes into the file.
    fn close(&mut self) {
        let file = match std::mem::replace(&mut self.file, Copy::Unused) {
            Copy::Open { file, .. } => Some(file),
            Copy::Closed { file } => file,
            Copy::Unused => None,
        };
        self.file = Copy::Closed { file };
    }

    fn give_up(&mut self, error: &io::Error) {
        let path = self.file_path.display();
        tracing::warn!(
            "output is kept in memory only, {path} cannot be written: {}",
            error_text(error)
        );
        self.close();
    }

    /// The end: what is reported. The file stays only if it holds more than that.
    pub(crate) fn finish(&mut self) -> Output {
        self.over = true;
        let file = std::mem::replace(&mut self.file, Copy::Unused);
        let marks_file = self.marks_file.take();
        let exists = !matches!(file, Copy::Unused | Copy::Closed { file: None });
        if exists && self.total <= self.limit as u64 {
            drop((file, marks_file));
            self.remove_files();
        } else if let Copy::Open { file, .. } | Copy::Closed { file: Some(file) } = file {
            self.make_durable(&file, marks_file.as_ref());
        }
        self.tail.rotate_left(self.tail_at);
        let marks = self.marks.take().filter(|_| self.total > 0);
        Output {
            head: std::mem::take(&mut self.head),
            tail: std::mem::take(&mut self.tail),
            total_bytes: self.total,
            index: marks.map_or_else(Vec::new, |marks| marks.written()),
        }
    }

    /// The outcome is stored next, and says that the file has the output: it must be there after a power cut, too.
    fn make_durable(&self, file: &File, marks: Option<&MarksFile>) {
        let folders = self.file_path.ancestors().skip(1).take(2);
        let marks = marks.map(|marks| marks.file().sync_data());
        let synced = file
            .sync_data()
            .and(marks.unwrap_or(Ok(())))
            .and_then(|()| folders.into_iter().try_for_each(sync_folder));
        if let Err(error) = synced {
            let path = self.file_path.display();
            tracing::warn!("{path} may not survive a power cut: {}", error_text(&error));
        }
    }

    fn remove_files(&self) {
        // It may not be there.
        let _ = remove_file(&self.file_path.with_extension(INDEX_EXTENSION), STEPS);
        if let Err(error) = remove_file(&self.file_path, STEPS) {
            let path = self.file_path.display();
            tracing::warn!("{path} cannot be removed: {}", error_text(&error));
        } else if let Some(folder) = self.file_path.parent()
            && let (Some(parent), Some(name)) = (folder.parent(), folder.file_name())
            && let Ok(parent) = Folder::open(parent, STEPS - 1)
        {
            // Not while another attempt's file is in it.
            let _ = parent.remove_folder(&name.to_string_lossy());
        }
    }
}

/// Creates the file, and the folders that are missing, for their owner only.
fn create_file(path: &Path) -> io::Result<File> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    Folder::make(folder, STEPS)?.file(&name.to_string_lossy(), Access::MakeEmpty)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use OutputStream::{Stderr, Stdout};
    use queuectl_core::OutputIndex;

    use super::*;

    /// Pushes `bytes` in pieces of `piece` and returns the output and the file's content.
    fn run(bytes: &[u8], piece: usize, limit: u64, file_limit: u64) -> (Output, Option<Vec<u8>>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a").join("out");
        let mut capture = Capture::new(limit, path.clone(), file_limit);
        bytes.chunks(piece).for_each(|piece| capture.push(Stdout, piece));
        let output = capture.finish();
        (output, fs::read(path).ok())
    }

    #[test]
    fn head_and_tail_are_exact_at_every_size_and_in_every_piece() {
        let bytes: Vec<u8> = (0..200u8).collect();
        for limit in [0, 1, 2, 7, 16] {
            for len in 0..40usize {
                for piece in [1, 3, 16, 64] {
                    let (output, file) = run(&bytes[..len], piece, limit, 1000);
                    let limit = limit as usize;
                    assert_eq!(output.total_bytes, len as u64);
                    if len <= limit {
                        assert_eq!((output.head.as_slice(), output.tail.len()), (&bytes[..len], 0));
                        assert_eq!(file, None);
                    } else {
                        let half = limit.div_ceil(2);
                        assert_eq!(
                            output.head,
                            bytes[..half],
                            "limit {limit} len {len} piece {piece}"
                        );
                        assert_eq!(output.tail, bytes[len - (limit - half)..len]);
                        assert_eq!(file.as_deref(), Some(&bytes[..len]));
                    }
                }
            }
        }
    }

    #[test]
    fn the_file_has_a_limit() {
        let bytes = vec![7u8; 100];
        let (output, file) = run(&bytes, 9, 10, 25);
        assert_eq!((output.total_bytes, file.map(|f| f.len())), (100, Some(25)));
        assert_eq!(run(&bytes, 9, 10, 0).1, None);
    }

    #[test]
    fn live_output_is_in_the_file_at_once_and_removed_if_small() {
        let folder = tempfile::tempdir().unwrap();
        let job = folder.path().join("7");
        let path = job.join("out");
        let mut capture = Capture::new(100, path.clone(), 1000);
        capture.push(Stdout, b"one ");
        assert!(!path.exists());
        capture.go_live();
        assert_eq!(fs::read(&path).unwrap(), b"one ");
        capture.push(Stdout, b"two");
        assert_eq!(fs::read(&path).unwrap(), b"one two");
        assert_eq!(capture.finish().head, b"one two");
        assert!(!job.exists(), "nor is its folder left");
    }

    #[test]
    fn a_file_that_cannot_be_written_does_not_matter() {
        let folder = tempfile::tempdir().unwrap();
        let blocked = folder.path().join("file");
        fs::write(&blocked, "x").unwrap();
        let mut capture = Capture::new(4, blocked.join("out"), 1000);
        capture.push(Stdout, b"abcdefgh");
        let output = capture.finish();
        assert_eq!(
            (output.head, output.tail, output.total_bytes),
            (b"ab".to_vec(), b"gh".to_vec(), 8)
        );
    }

    /// What an index says of each byte, as far as there is one.
    fn streams(index: &OutputIndex, bytes: u64) -> String {
        let letter = |at| match index.part(at).0.map(|mark| mark.stream) {
            Some(Stdout) => 'o',
            Some(Stderr) => 'e',
            Some(OutputStream::Unknown) | None => '?',
        };
        (0..bytes).map(letter).collect()
    }

    #[test]
    fn streams_are_known_of_the_head_the_tail_and_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("7").join("1.log");
        let mut capture = Capture::new(8, path.clone(), 12);
        let index_of_file = || OutputIndex::read(&fs::read(path.with_extension(INDEX_EXTENSION)).unwrap());
        capture.push(Stdout, b"ou");
        capture.push(Stderr, b"err");
        capture.go_live();
        assert_eq!(streams(&index_of_file(), 5), "ooeee", "what came before");
        capture.push(Stdout, b"OU");
        assert_eq!(streams(&index_of_file(), 7), "ooeeeoo", "at once");
        capture.push(Stderr, b"ERRERR");
        capture.push(Stdout, b"T");
        let output = capture.finish();
        assert_eq!((&output.head[..], &output.tail[..]), (&b"ouer"[..], &b"ERRT"[..]));
        assert_eq!(streams(&index_of_file(), 12), "ooeeeooeeeee", "with its bytes");
        let index = OutputIndex::read(&output.index);
        let all = streams(&index, output.total_bytes);
        assert_eq!((&all[..4], &all[10..]), ("ooee", "eeeo"));
    }

    #[test]
    fn an_index_goes_with_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let job = folder.path().join("7");
        let mut capture = Capture::new(100, job.join("1.log"), 1000);
        capture.go_live();
        capture.push(Stderr, b"some");
        assert_eq!(fs::read_dir(&job).unwrap().count(), 2);
        capture.finish();
        assert!(!job.exists());
        let mut silent = Capture::new(100, job.join("1.log"), 1000);
        assert_eq!(silent.finish(), Output::default());
    }
}
