//! The last guard of a lease: each worker process knows by itself when its jobs must have ended, and kills them then. A
//! dispatcher that is stopped, or starved, or hangs, renews nothing and tells nobody, and its worker processes would run
//! on while another machine takes the jobs over.
//!
//! The moment stands in a small file beside the node's lock: 8 bytes, the nanoseconds of the machine's clock that runs
//! since it was started and also while it sleeps, least significant first. The dispatcher writes a later moment with every
//! renewal; the worker processes look when the one that they know has come.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::os;
use crate::world::Instant;

/// With what a worker process ends that killed its jobs.
pub const STATUS: i32 = 72;
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

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
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

/// Reads the moment.
fn read(path: &Path) -> Option<Duration> {
    let bytes = std::fs::read(path).ok()?;
    Some(Duration::from_nanos(u64::from_le_bytes(bytes.try_into().ok()?)))
}

/// Waits, in a worker process, until the moment has come and is not put off any more, and there is something to end. Then
/// calls that. A file that is gone puts nothing off.
pub fn watch(path: &Path, running: impl Fn() -> bool, over: impl FnOnce()) {
    let mut known = Duration::ZERO;
    loop {
        known = read(path).unwrap_or(known);
        let left = known.saturating_sub(os::since_start());
        if !left.is_zero() {
            std::thread::sleep(left.min(SLEEP_MOST));
        } else if known.is_zero() || !running() {
            std::thread::sleep(PAUSE);
        } else {
            return over();
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
                watch(
                    &path,
                    || running.load(Ordering::SeqCst),
                    || tell.send(()).unwrap(),
                )
            });
            let short = Duration::from_millis(300);
            // Put off again and again.
            for _ in 0..10 {
                deadline.set(Instant::now() + short).unwrap();
                assert!(told.recv_timeout(short / 3).is_err());
            }
            // There is nothing to end.
            running.store(false, Ordering::SeqCst);
            assert!(told.recv_timeout(short * 2).is_err());
            running.store(true, Ordering::SeqCst);
            told.recv_timeout(Duration::from_secs(60)).unwrap();
        });
        drop(deadline);
        assert!(!path.exists());
    }
}
