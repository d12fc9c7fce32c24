//! The lock at which the writers of one file queue.
//!
//! It is a courtesy between writers; SQLite's own lock is what keeps them apart, so a writer that cannot take part (a
//! read-only folder) goes ahead without it, and so does one that waited for longer than [`WRITE_LOCK_MOST`], behind a
//! process that was stopped while it held the lock.
//!
//! There are two queues: a user goes before the nodes that wait, and these let no more than [`USERS_FIRST`] go by. Only the
//! first of each, which holds its lock, tries the write lock: a writer that is done hands over to a process that is awake,
//! and not to a queue whose head has to be woken first, on processors that others keep busy.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use queuectl_sys::Access;

use super::STATE_DIR;
use crate::os;

/// Longest wait for the write lock: as long as SQLite waits for its own.
pub const WRITE_LOCK_MOST: Duration = Duration::from_secs(30);

/// How often the first in the queue tries the write lock.
const WRITE_LOCK_POLL: Duration = Duration::from_micros(150);
/// For how long those that write all the time let users go first.
const USERS_FIRST: Duration = Duration::from_millis(5);

/// Where a writer queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// With those that write all the time: cycles of nodes, clean-up.
    Busy,
    /// With those who want to write once and somebody waits for.
    User,
}

/// The files of the lock; opened when they are first needed.
#[derive(Clone, Default)]
pub struct Locks(Option<Files>);

#[derive(Clone)]
struct Files {
    next: [Arc<File>; 2],
    write: Arc<File>,
}

/// The write lock, or a place in the queue for it, until it is dropped.
pub struct WriteLock(Arc<File>);

impl WriteLock {
    /// For a file that this process has locked.
    pub fn of(file: Arc<File>) -> WriteLock {
        WriteLock(file)
    }
}

impl Drop for WriteLock {
    fn drop(&mut self) {
        let _ = self.0.unlock();
    }
}

impl Locks {
    /// Waits for the write lock. None if this writer goes ahead without it.
    pub fn lock(&mut self, folder: &Path, lane: Lane) -> Option<WriteLock> {
        let until = Instant::now() + WRITE_LOCK_MOST;
        if self.0.is_none() {
            let folder = os::make_folder(folder, STATE_DIR).ok()?;
            let open = |name| os::open_in(&folder, name, Access::Make).ok().map(Arc::new);
            self.0 = Some(Files {
                next: [open("next")?, open("next-user")?],
                write: open("turn")?,
            });
        }
        let Files { next, write } = self.0.as_ref()?;
        let user = Arc::clone(&next[Lane::User as usize]);
        let (next, write) = (
            WriteLock(Arc::clone(&next[lane as usize])),
            WriteLock(Arc::clone(write)),
        );
        let queued = match next.0.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock) => lock_in_time(&next.0, WRITE_LOCK_MOST),
            Err(TryLockError::Error(_)) => return None,
        };
        if !queued {
            // The wait goes on behind our back; what it locks in the end must not be taken for ours.
            self.0 = None;
            return None;
        }
        let users_first = (lane == Lane::Busy).then(|| Instant::now() + USERS_FIRST);
        loop {
            if users_first.is_some_and(|until| Instant::now() < until) && is_locked(&user) {
                thread::sleep(WRITE_LOCK_POLL);
                continue;
            }
            match write.0.try_lock() {
                Ok(()) => return Some(write),
                Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(WRITE_LOCK_POLL),
                Err(_) => return None,
            }
        }
    }
}

/// Whether somebody holds a lock; not to be asked of one's own.
fn is_locked(file: &File) -> bool {
    match file.try_lock_shared() {
        Ok(()) => {
            let _ = file.unlock();
            false
        }
        Err(error) => matches!(error, TryLockError::WouldBlock),
    }
}

/// Waits for a lock, queued by the kernel among the others, for `most` at the longest. The kernel knows no such limit, so
/// a thread does the waiting.
pub fn lock_in_time(file: &Arc<File>, most: Duration) -> bool {
    let (locked, wait) = mpsc::sync_channel(0);
    let waiting = Arc::clone(file);
    let waiter = thread::Builder::new().name("write-lock".into()).spawn(move || {
        // A rendezvous: if the receiver has given up, sending fails and the lock is released again.
        if waiting.lock().is_ok() && locked.send(()).is_err() {
            let _ = waiting.unlock();
        }
    });
    waiter.is_ok() && wait.recv_timeout(most).is_ok()
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::*;

    /// Eight writers from both queues: all get the lock, and never two at a time.
    #[test]
    fn writers_of_both_queues_get_the_write_lock_one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let busy = AtomicBool::new(false);
        let locked = AtomicUsize::new(0);
        thread::scope(|scope| {
            for number in 0..8 {
                let (busy, locked, mut locks) = (&busy, &locked, Locks::default());
                let lane = if number % 2 == 0 { Lane::Busy } else { Lane::User };
                scope.spawn(move || {
                    for _ in 0..50 {
                        let lock = locks.lock(folder, lane).expect("the lock");
                        assert!(!busy.swap(true, Ordering::SeqCst), "two at a time");
                        locked.fetch_add(1, Ordering::SeqCst);
                        thread::yield_now();
                        busy.store(false, Ordering::SeqCst);
                        drop(lock);
                    }
                });
            }
        });
        assert_eq!(locked.into_inner(), 400);
    }

    #[test]
    fn the_write_lock_is_waited_for_but_not_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("turn");
        // Not emptied: Windows lets no process write to what is locked.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false);
        let open = || Arc::new(options.open(&path).unwrap());
        let (first, second) = (open(), open());
        first.lock().unwrap();
        assert!(
            !lock_in_time(&second, Duration::from_millis(1)),
            "the first has it"
        );
        // std unlocks twice on Windows, and Wine has another error for the second time than it looks for.
        let _ = first.unlock();
        // The waiter that was given up lets go of it again, so a third gets it.
        let third = open();
        assert!(lock_in_time(&third, WRITE_LOCK_MOST));
    }
}
