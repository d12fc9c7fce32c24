//! A bounded queue of log lines, and the thread that writes them to standard error.
//!
//! A reader can stall: a full pipe, a terminal after Ctrl-S, a disk that hangs. A node must not stall with it, so only this
//! thread writes to standard error. Lines that do not fit into the queue are dropped, and a later line tells how many. The
//! thread writes the lines of some milliseconds at once, so that a busy node does not wake it for each.

use std::io::{self, Write};
use std::sync::{Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Bytes that the queue holds.
const ROOM: usize = 4 * 1024 * 1024;
/// How long the first line of a batch waits for others.
const LINGER: Duration = Duration::from_millis(5);
/// Time for the last lines to be written when the process ends.
pub const LAST_LINES: Duration = Duration::from_secs(2);
/// Pause before another write to a full, non-blocking pipe or terminal.
const RETRY: Duration = Duration::from_millis(10);

/// The queue of this process, if it is a node or a worker process.
static QUEUE: OnceLock<Queue> = OnceLock::new();

/// The lines to write.
pub struct Queue {
    lines: Mutex<Lines>,
    /// Signals lines to write.
    filled: Condvar,
    /// Signals written lines.
    written: Condvar,
}

#[derive(Default)]
struct Lines {
    bytes: Vec<u8>,
    /// Dropped lines.
    dropped: u64,
    /// Whether the thread holds unwritten lines.
    writing: bool,
    /// Whether a caller waits until everything is written.
    hurry: bool,
}

impl Lines {
    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.dropped == 0
    }
}

/// Starts the thread. `notice` formats the line about dropped lines.
pub fn start(notice: impl Fn(u64) -> Vec<u8> + Send + 'static) -> io::Result<()> {
    let queue = QUEUE.get_or_init(Queue::new);
    thread::Builder::new()
        .name("log".into())
        .spawn(move || {
            never_stop_for_the_terminal();
            queue.write_all(&mut io::stderr(), &notice);
        })
        .map(drop)
}

/// Returns the queue of this process, if it has one.
pub fn queue() -> Option<&'static Queue> {
    QUEUE.get()
}

/// Adds whole lines. Never waits.
pub fn push(lines: &[u8]) {
    if let Some(queue) = queue() {
        queue.push(lines);
    }
}

/// Waits until everything is written, for [`LAST_LINES`] at most.
pub fn flush() {
    if let Some(queue) = queue() {
        queue.flush(LAST_LINES);
    }
}

impl Queue {
    fn new() -> Queue {
        Queue {
            lines: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, bytes: &[u8]) {
        let mut lines = self.lines();
        let was_empty = lines.is_empty();
        if lines.dropped > 0 || lines.bytes.len() + bytes.len() > ROOM {
            lines.dropped += count(bytes);
        } else {
            lines.bytes.extend_from_slice(bytes);
        }
        if was_empty {
            self.filled.notify_one();
        }
    }

    /// Waits until everything is written, at most that long.
    fn flush(&self, limit: Duration) {
        let deadline = Instant::now() + limit;
        let mut lines = self.lines();
        lines.hurry = true;
        self.filled.notify_one();
        while lines.writing || !lines.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let waited = self.written.wait_timeout(lines, left);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        lines.hurry = false;
    }

    /// Waits for lines and takes all of them, with the number of lines dropped after them.
    fn take(&self, buffer: &mut Vec<u8>) -> u64 {
        let mut lines = self.lines();
        lines.writing = false;
        self.written.notify_all();
        while lines.is_empty() {
            lines = self.filled.wait(lines).unwrap_or_else(PoisonError::into_inner);
        }
        let full_at = Instant::now() + LINGER;
        loop {
            let left = full_at.saturating_duration_since(Instant::now());
            if left.is_zero() || lines.hurry || lines.bytes.len() > ROOM / 2 {
                break;
            }
            let waited = self.filled.wait_timeout(lines, left);
            lines = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        lines.writing = true;
        buffer.clear();
        std::mem::swap(buffer, &mut lines.bytes);
        std::mem::take(&mut lines.dropped)
    }

    fn write_all(&self, to: &mut impl Write, notice: &impl Fn(u64) -> Vec<u8>) -> ! {
        let mut buffer = Vec::new();
        // Dropped, and not said yet.
        let mut lost = 0;
        loop {
            let dropped = self.take(&mut buffer);
            lost += write(to, &buffer) + dropped;
            if lost > 0 && write(to, &notice(lost)) == 0 {
                lost = 0;
            }
        }
    }
}

/// Writes lines and returns how many of them could not be written.
fn write(to: &mut impl Write, mut lines: &[u8]) -> u64 {
    while !lines.is_empty() {
        match to.write(lines) {
            Ok(0) => return count(lines),
            Ok(written) => lines = &lines[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(_) => return count(lines),
        }
    }
    0
}

fn count(lines: &[u8]) -> u64 {
    lines.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// With `stty tostop`, a process in the background is stopped when it writes to the terminal, unless the writing thread
/// blocks the signal. Other threads do not, because jobs would inherit that.
fn never_stop_for_the_terminal() {
    #[cfg(unix)]
    {
        use nix::sys::signal::{SigSet, Signal};
        let mut signals = SigSet::empty();
        signals.add(Signal::SIGTTOU);
        // It fails for arguments only that are not valid.
        let _ = signals.thread_block();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// A reader that takes a write only when it is told to.
    struct Stalled {
        go: Receiver<()>,
        got: Sender<Vec<u8>>,
    }

    impl Write for Stalled {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.go.recv().map_err(io::Error::other)?;
            self.got.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A queue, what lets its reader go on, and what that got.
    fn queue() -> (Arc<Queue>, Sender<()>, Receiver<Vec<u8>>) {
        let queue = Arc::new(Queue::new());
        let ((go, may), (got, lines)) = (channel(), channel());
        let writing = Arc::clone(&queue);
        thread::spawn(move || {
            let notice = |n| format!("{n} dropped\n").into_bytes();
            writing.write_all(&mut Stalled { go: may, got }, &notice)
        });
        (queue, go, lines)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn nobody_waits_for_a_reader_that_stalls_and_what_was_dropped_is_said_in_its_place() {
        let (queue, go, lines) = queue();
        let line = [b"x".repeat(1023), b"\n".to_vec()].concat();
        // More than twice the room: whatever the thread has taken meanwhile, some do not fit.
        let pushed = 3 * ROOM / line.len();
        (0..pushed).for_each(|_| queue.push(&line));
        let (mut kept, mut said) = (0, 0);
        // The thread may have taken the first lines while others were dropped, and says so once for each time.
        while kept + said < pushed as u64 {
            go.send(()).unwrap();
            let next = String::from_utf8(lines.recv_timeout(LONG).unwrap()).unwrap();
            match next.strip_suffix(" dropped\n") {
                Some(number) => said += number.parse::<u64>().unwrap(),
                None => kept += count(next.as_bytes()),
            }
        }
        assert!(said > 0, "the queue has room for {kept} lines");
        assert_eq!(kept + said, pushed as u64);
        queue.push(b"after\n");
        go.send(()).unwrap();
        assert_eq!(lines.recv_timeout(LONG).unwrap(), b"after\n");
    }

    #[test]
    fn the_end_waits_for_the_last_lines_but_not_for_ever() {
        let (queue, go, lines) = queue();
        queue.push(b"last\n");
        queue.flush(Duration::from_millis(20));
        assert!(lines.try_recv().is_err(), "it stalls");
        go.send(()).unwrap();
        queue.flush(LONG);
        assert_eq!(lines.try_recv().unwrap(), b"last\n");
    }

    /// Fails, takes a part, is full for a moment, is interrupted, and takes the rest.
    struct Odd(Vec<io::Result<usize>>, Vec<u8>);

    impl Write for Odd {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = self.0.pop().unwrap_or(Ok(bytes.len()))?;
            self.1.extend(&bytes[..taken]);
            Ok(taken)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_cannot_be_written_are_counted() {
        use io::ErrorKind::{Interrupted, StorageFull, WouldBlock};
        let lines = b"one\ntwo\nthree\n";
        let mut to = Odd(
            vec![Err(WouldBlock.into()), Err(Interrupted.into()), Ok(2)],
            Vec::new(),
        );
        assert_eq!(write(&mut to, lines), 0);
        assert_eq!(to.1, lines);
        let mut full = Odd(vec![Err(StorageFull.into()), Ok(5)], Vec::new());
        assert_eq!(write(&mut full, lines), 2);
    }
}
