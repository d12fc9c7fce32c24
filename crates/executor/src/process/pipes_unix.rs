//! The reading ends of what a child prints to, read so that a line on standard error never comes before what the child printed to
//! standard output ahead of it.
//!
//! Two pipes do not say in which order they were written to. Whatever was printed before the bytes that were just read from standard
//! error is in the other pipe by then, so that one is emptied, and recorded, first. The reverse is not known: of what is in both pipes at the
//! same time, standard output comes first. When to read is the reactor's business.

use std::io::{self, PipeReader, PipeWriter, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use queuectl_core::OutputStream::{self, Stderr, Stdout};
use queuectl_core::TerminalSize;

use super::terminal_unix;
use crate::capture::Capture;

/// One read: as much as a pipe usually holds.
const READ_BYTES: usize = 64 * 1024;

/// Where bytes are on their way from a pipe to a capture.
pub(super) struct Buffers {
    stdout: Box<[u8]>,
    stderr: Box<[u8]>,
}

impl Buffers {
    pub(super) fn new() -> Buffers {
        let buffer = || vec![0; READ_BYTES].into_boxed_slice();
        Buffers {
            stdout: buffer(),
            stderr: buffer(),
        }
    }
}

/// The pipes of one child that have no end yet.
pub(super) struct Pipes(Vec<Pipe>);

struct Pipe {
    stream: OutputStream,
    from: PipeReader,
}

impl Pipes {
    /// Makes a pipe for each stream. Their reading ends do not block.
    pub(super) fn new() -> io::Result<(Pipes, PipeWriter, PipeWriter)> {
        let (stdout, stdout_writer) = Pipe::new(Stdout)?;
        let (stderr, stderr_writer) = Pipe::new(Stderr)?;
        Ok((Pipes(vec![stdout, stderr]), stdout_writer, stderr_writer))
    }

    /// Opens a terminal, whose only stream counts as standard output.
    pub(super) fn terminal(size: TerminalSize) -> io::Result<(Pipes, OwnedFd)> {
        let (from, to) = terminal_unix::open(size)?;
        let pipe = Pipe::reading(Stdout, from.into())?;
        Ok((Pipes(vec![pipe]), to))
    }

    /// What to wait for.
    pub(super) fn readable(&self) -> impl Iterator<Item = (OutputStream, BorrowedFd<'_>)> {
        self.0.iter().map(|pipe| (pipe.stream, pipe.from.as_fd()))
    }

    /// Takes in what `stream` has, and what was printed before that.
    pub(super) fn read(&mut self, stream: OutputStream, capture: &Mutex<Capture>, buffers: &mut Buffers) {
        match stream {
            Stderr => {
                let read = self.read_once(Stderr, &mut buffers.stderr);
                self.empty(Stdout, capture, &mut buffers.stdout);
                push(Stderr, &buffers.stderr[..read.unwrap_or(0)], capture);
            }
            _ => {
                let read = self.read_once(stream, &mut buffers.stdout);
                push(stream, &buffers.stdout[..read.unwrap_or(0)], capture);
            }
        }
    }

    /// Takes in what is still there and closes all. Processes that live on get SIGPIPE when they print.
    pub(super) fn close(&mut self, capture: &Mutex<Capture>, buffers: &mut Buffers) {
        while let Some(stream) = self.0.first().map(|pipe| pipe.stream) {
            self.empty(stream, capture, &mut buffers.stdout);
            self.0.retain(|pipe| pipe.stream != stream);
        }
    }

    /// Takes in what `stream` has now: a process may print faster than this reads, so no more than a pipe can hold.
    fn empty(&mut self, stream: OutputStream, capture: &Mutex<Capture>, buffer: &mut [u8]) {
        let Some(pipe) = self.0.iter().find(|pipe| pipe.stream == stream) else {
            return;
        };
        let mut left = pipe_bytes(&pipe.from) + READ_BYTES;
        while let Some(read) = self.read_once(stream, buffer)
            && left > 0
        {
            push(stream, &buffer[..read], capture);
            left = left.saturating_sub(read);
        }
    }

    /// Reads once. Returns how much, or none if there is no more now.
    fn read_once(&mut self, stream: OutputStream, buffer: &mut [u8]) -> Option<usize> {
        let at = self.0.iter().position(|pipe| pipe.stream == stream)?;
        match self.0[at].from.read(buffer) {
            Ok(0) => drop(self.0.remove(at)),
            Ok(n) => return Some(n),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Some(0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            // A terminal that no process has any more ends with an error.
            Err(_) => drop(self.0.remove(at)),
        }
        None
    }
}

impl Pipe {
    fn new(stream: OutputStream) -> io::Result<(Pipe, PipeWriter)> {
        let (from, to) = io::pipe()?;
        Ok((Pipe::reading(stream, from)?, to))
    }

    fn reading(stream: OutputStream, from: PipeReader) -> io::Result<Pipe> {
        fcntl(&from, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(io::Error::from)?;
        Ok(Pipe { stream, from })
    }
}

fn push(stream: OutputStream, bytes: &[u8], capture: &Mutex<Capture>) {
    capture
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(stream, bytes);
}

/// How much fits into a pipe.
fn pipe_bytes(pipe: &PipeReader) -> usize {
    #[cfg(target_os = "linux")]
    // SAFETY: the descriptor is open; the call only asks.
    let size = unsafe { nix::libc::fcntl(pipe.as_raw_fd(), nix::libc::F_GETPIPE_SZ) };
    #[cfg(not(target_os = "linux"))]
    let size = {
        let _ = pipe.as_raw_fd();
        READ_BYTES as i32
    };
    usize::try_from(size).unwrap_or(READ_BYTES)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn scene() -> (Pipes, PipeWriter, PipeWriter, Mutex<Capture>, Buffers) {
        let (pipes, stdout, stderr) = Pipes::new().unwrap();
        let capture = Mutex::new(Capture::new(1024, "/nowhere/output".into(), 1024));
        (pipes, stdout, stderr, capture, Buffers::new())
    }

    fn text(capture: Mutex<Capture>) -> String {
        let output = capture.into_inner().unwrap().finish();
        String::from_utf8(output.head).unwrap()
    }

    /// The child printed to both between the moments at which the reactor asked for the one and for the other.
    #[test]
    fn what_was_printed_before_an_error_comes_before_it() {
        let (mut pipes, mut stdout, mut stderr, capture, mut buffers) = scene();
        stdout.write_all(b"out 1").unwrap();
        pipes.read(Stdout, &capture, &mut buffers);
        stdout.write_all(b"\n").unwrap();
        stderr.write_all(b"err\n").unwrap();
        pipes.read(Stderr, &capture, &mut buffers);
        stdout.write_all(b"out 2\n").unwrap();
        pipes.read(Stdout, &capture, &mut buffers);
        pipes.read(Stderr, &capture, &mut buffers);
        assert_eq!(text(capture), "out 1\nerr\nout 2\n");
    }

    #[test]
    fn the_last_bytes_of_both_are_taken_in_and_ends_are_noted() {
        let (mut pipes, mut stdout, mut stderr, capture, mut buffers) = scene();
        stderr.write_all(b"err").unwrap();
        stdout.write_all(b"out ").unwrap();
        drop(stderr);
        pipes.read(Stderr, &capture, &mut buffers);
        pipes.read(Stderr, &capture, &mut buffers);
        assert!(pipes.readable().map(|(stream, _)| stream).eq([Stdout]));
        stdout.write_all(b" more").unwrap();
        pipes.close(&capture, &mut buffers);
        assert_eq!(
            (text(capture).as_str(), pipes.readable().count()),
            ("out err more", 0)
        );
        assert!(stdout.write_all(b"x").is_err(), "its other end is closed");
    }
}
