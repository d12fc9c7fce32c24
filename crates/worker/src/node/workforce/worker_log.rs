//! What a worker process writes to standard error: its own log, and whatever plugins print.
//!
//! It goes through the node rather than to the node's standard error itself. The reader of that can stall, and a worker
//! process that waits for it runs no jobs. What a plugin prints has no end of its own, so there is a limit to it.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Longest line; a longer one is passed on in parts.
const LINE: usize = 64 * 1024;
/// Most bytes that are passed on of one worker process within [`SPAN`]. What is beyond that is dropped and counted.
const MOST: usize = 1024 * 1024;
const SPAN: Duration = Duration::from_secs(60);
/// How long the last lines of a process that ended are waited for. They are there, unless something that a plugin started
/// holds the pipe as well.
const LAST: Duration = Duration::from_millis(100);

/// Lines under way. Its other end is dropped when the last one was passed on.
pub struct Passing(Receiver<()>);

impl Passing {
    /// Waits for the last lines of a process that ended.
    pub fn wait(&self) {
        let end = self.0.recv_timeout(LAST);
        debug_assert_ne!(end, Ok(()), "nothing is ever sent");
        if end == Err(RecvTimeoutError::Timeout) {
            tracing::debug!("something that the worker process left behind holds its standard error");
        }
    }
}

/// How much was passed on lately.
struct Measure {
    since: Instant,
    passed: usize,
    dropped: usize,
}

impl Measure {
    fn new(now: Instant) -> Measure {
        Measure {
            since: now,
            passed: 0,
            dropped: 0,
        }
    }

    /// Whether this many bytes may pass. Returns how many bytes did not pass earlier.
    fn may_pass(&mut self, bytes: usize, now: Instant) -> (bool, usize) {
        let mut told = 0;
        if now.saturating_duration_since(self.since) >= SPAN {
            told = std::mem::replace(self, Measure::new(now)).dropped;
        }
        let may = self.passed + bytes <= MOST;
        if may {
            self.passed += bytes;
        } else {
            self.dropped += bytes;
        }
        (may, told)
    }
}

/// Starts passing lines on to `to`, until the other end is closed.
pub fn pass_on(worker: usize, from: impl Read + Send + 'static, to: fn(&[u8])) -> io::Result<Passing> {
    let (end, ended) = channel();
    thread::Builder::new()
        .name(format!("log of worker {}", worker + 1))
        .spawn(move || {
            let mut measure = Measure::new(Instant::now());
            let tell = |bytes: usize| {
                if bytes > 0 {
                    tracing::warn!(
                        worker = worker + 1,
                        bytes,
                        "what the worker process printed was dropped beyond {} MiB a minute",
                        MOST / 1024 / 1024
                    );
                }
            };
            copy(from, |lines| {
                let (may, dropped) = measure.may_pass(lines.len(), Instant::now());
                tell(dropped);
                if may {
                    to(lines);
                } else if measure.dropped == lines.len() {
                    tracing::warn!(
                        worker = worker + 1,
                        "the worker process, or a plugin in it, prints more than {} MiB a minute; dropping the rest",
                        MOST / 1024 / 1024
                    );
                }
            });
            tell(measure.dropped);
            drop(end);
        })?;
    Ok(Passing(ended))
}

/// Passes whole lines on, as many at a time as are there.
fn copy(mut from: impl Read, mut to: impl FnMut(&[u8])) {
    let mut buffer = vec![0; LINE];
    let mut held = 0;
    loop {
        let read = match from.read(&mut buffer[held..LINE - 1]) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => 0,
        };
        let filled = held + read;
        let end = buffer[held..filled].iter().rposition(|byte| *byte == b'\n');
        let whole = end.map_or(0, |end| held + end + 1);
        to_if_any(&buffer[..whole], &mut to);
        buffer.copy_within(whole..filled, 0);
        held = filled - whole;
        if held > 0 && (read == 0 || held == LINE - 1) {
            buffer[held] = b'\n';
            to(&buffer[..=held]);
            held = 0;
        }
        if read == 0 {
            return;
        }
    }
}

fn to_if_any(lines: &[u8], to: &mut impl FnMut(&[u8])) {
    if !lines.is_empty() {
        to(lines);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives these pieces, one for each read, as far as there is room.
    struct Pieces(Vec<Vec<u8>>);

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let Some(piece) = self.0.first_mut() else {
                return Ok(0);
            };
            let size = piece.len().min(into.len());
            into[..size].copy_from_slice(&piece[..size]);
            piece.drain(..size);
            if piece.is_empty() {
                self.0.remove(0);
            }
            Ok(size)
        }
    }

    fn copied(pieces: &[&[u8]]) -> Vec<String> {
        let pieces = Pieces(pieces.iter().map(|piece| piece.to_vec()).collect());
        let mut lines = Vec::new();
        copy(pieces, |line| {
            lines.push(String::from_utf8(line.to_vec()).unwrap())
        });
        lines
    }

    #[test]
    fn what_is_printed_has_a_limit() {
        let start = Instant::now();
        let mut measure = Measure::new(start);
        assert_eq!(measure.may_pass(MOST - 1, start), (true, 0));
        assert_eq!(measure.may_pass(2, start), (false, 0));
        assert_eq!(measure.may_pass(1, start), (true, 0), "a short line still fits");
        assert_eq!(measure.may_pass(5, start + SPAN / 2), (false, 0));
        assert_eq!(measure.may_pass(MOST, start + SPAN), (true, 7));
        assert_eq!(measure.may_pass(1, start + SPAN), (false, 0));
    }

    #[test]
    fn only_whole_lines_are_passed_on() {
        assert_eq!(
            copied(&[b"a", b"b\nc\nd", b"e\n", b"f"]),
            ["ab\nc\n", "de\n", "f\n"]
        );
        assert!(copied(&[]).is_empty());
    }

    #[test]
    fn a_line_without_an_end_does_not_grow() {
        let long = vec![b'x'; 2 * LINE];
        let lines = copied(&[&long, b"y\n"]);
        assert!(
            lines
                .iter()
                .all(|line| line.len() <= LINE && line.ends_with('\n'))
        );
        let letters: usize = lines.iter().map(|line| line.trim_end().len()).sum();
        assert_eq!(letters, long.len() + 1);
    }
}
