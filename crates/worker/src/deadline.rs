//! The last guard of a lease: each worker process knows by itself when its jobs must have ended, and kills them then. A
//! dispatcher that is stopped, or starved, or hangs, renews nothing and sends nothing, and its worker processes would run
//! on while another machine takes the jobs over.
//!
//! The moment stands in a small file beside the node's lock: 8 bytes, the nanoseconds of the machine's clock that runs
//! since it was started and also while it sleeps, least significant first. The dispatcher writes a later moment with every
//! renewal; the worker processes look when the one that they know has come.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::env::Instant;
use crate::os;

/// Exit status of a worker process that killed its own jobs.
pub const STATUS: u8 = 72;
/// Longest sleep between two looks: a machine that was suspended finds out that long after it woke.
const SLEEP_MOST: Duration = Duration::from_secs(1);
/// Between two looks while the time is over and nothing runs.
const PAUSE: Duration = Duration::from_millis(100);

/// The node's side. The file goes with it.
pub struct Deadline {
    file: File,
    path: PathBuf,
}

impl Deadline {
    /// Makes the file, in a folder that is the user's alone.
    pub fn create(path: PathBuf) -> io::Result<Deadline> {
        let mut options = OpenOptions::new();
        os::for_owner_only(options.write(true).create(true).truncate(true));
        let file = options.open(&path)?;
        Ok(Deadline { file, path })
    }

    /// From now on everything must have ended at that moment.
    pub fn set(&self, at: Instant) -> io::Result<()> {
        let left = at.saturating_duration_since(Instant::now());
        let at = os::since_start().saturating_add(left);
        let nanos = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX);
        os::write_at_start(&self.file, &nanos.to_le_bytes())
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The side of a worker process: what it knows of the moment. A file that is gone puts nothing off.
pub struct SharedDeadline {
    path: PathBuf,
    /// In the file's nanoseconds; 0 until it could be read.
    known: AtomicU64,
}

impl SharedDeadline {
    /// The moment in that file.
    pub fn of(path: PathBuf) -> SharedDeadline {
        let known = AtomicU64::new(0);
        SharedDeadline { path, known }
    }

    /// How long it is until the moment, as far as it is known.
    fn left(&self) -> Duration {
        Duration::from_nanos(self.known.load(Ordering::Relaxed)).saturating_sub(os::since_start())
    }

    /// Whether the moment has come and is not put off. Looks into the file only if it seems so.
    pub fn has_come(&self) -> bool {
        if self.left().is_zero()
            && let Some(later) = self.read()
        {
            self.known.store(later, Ordering::Relaxed);
        }
        self.known.load(Ordering::Relaxed) != 0 && self.left().is_zero()
    }

    fn read(&self) -> Option<u64> {
        let bytes = std::fs::read(&self.path).ok()?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    }

    /// Waits until the moment has come and there is something to end. Then calls that.
    pub fn watch(&self, running: impl Fn() -> bool, over: impl FnOnce()) {
        loop {
            if self.has_come() && running() {
                return over();
            }
            let left = self.left();
            std::thread::sleep(if left.is_zero() {
                PAUSE
            } else {
                left.min(SLEEP_MOST)
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn what_runs_is_ended_when_the_moment_has_come_and_nobody_puts_it_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.lease");
        let deadline = Deadline::create(path.clone()).unwrap();
        let (running, (tell, told)) = (AtomicBool::new(true), mpsc::channel());
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let moment = SharedDeadline::of(path.clone());
                moment.watch(|| running.load(Ordering::SeqCst), || tell.send(()).unwrap());
            });
            let short = Duration::from_millis(300);
            // Put off again and again.
            for _ in 0..10 {
                deadline.set(Instant::now() + short).unwrap();
                assert!(told.recv_timeout(short / 3).is_err());
            }
            // There is nothing to end, and nothing is to begin.
            let moment = SharedDeadline::of(path.clone());
            assert!(!moment.has_come());
            running.store(false, Ordering::SeqCst);
            assert!(told.recv_timeout(short * 2).is_err());
            assert!(moment.has_come());
            running.store(true, Ordering::SeqCst);
            told.recv_timeout(Duration::from_secs(60)).unwrap();
            deadline.set(Instant::now() + Duration::from_secs(60)).unwrap();
            assert!(!moment.has_come(), "it is put off after all");
        });
        drop(deadline);
        assert!(!path.exists());
    }
}
