//! Limits of open files: a node and its worker processes get as many as they need, jobs keep the soft limit that the node was
//! started with.
//!
//! The usual soft limit, 1024, is that low because programs that use select(2) break beyond it. Those programs are jobs, so
//! jobs get it back, and the node takes the hard limit. On systems without such limits this module does nothing.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::os;

/// Descriptors that a node has without its worker processes, with some to spare.
const NODE: u64 = 32;
/// Those that a node has for each worker process: its three streams.
const WORKER: u64 = 3;
/// Those that a worker process has without its jobs, with some for what it does while it starts one.
const OWN: u64 = 20;
/// Those that a worker process has for a job: its output, and the file that this goes to.
const JOB: u64 = 2;

/// The soft limit of jobs, where that of this process is another; 0: it is the same.
static OF_JOBS: AtomicU64 = AtomicU64::new(0);

/// What the limits of a node allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// The soft limit that the node was started with.
    pub given: u64,
    /// The limit that it has now.
    pub limit: u64,
}

impl Room {
    /// Worker processes that it has room for, at least one.
    pub fn workers(&self) -> u32 {
        fitting(self.limit, NODE, WORKER)
    }

    /// Jobs at a time that a worker process of it has room for, at least one.
    pub fn jobs(&self) -> u32 {
        fitting(self.limit, OWN, JOB)
    }
}

fn fitting(limit: u64, own: u64, each: u64) -> u32 {
    u32::try_from(limit.saturating_sub(own) / each)
        .unwrap_or(u32::MAX)
        .max(1)
}

/// Raises this process's soft limit to the hard one. None without a limit.
pub fn raise() -> Option<Room> {
    let (given, hard) = os::open_files_limit()?;
    let raised = given < hard && os::set_open_files_limit(hard);
    OF_JOBS.store(if raised { given } else { 0 }, Ordering::Relaxed);
    Some(Room {
        given,
        limit: if raised { hard } else { given },
    })
}

/// A worker process that inherited a raised limit lowers it to what `jobs` jobs at a time need. Jobs get `given`.
pub fn lower_limit(given: u64, jobs: u32) {
    let Some((soft, _)) = os::open_files_limit() else {
        return;
    };
    let needed = OWN + JOB * u64::from(jobs);
    let wanted = needed.max(given).min(soft);
    if wanted < soft {
        os::set_open_files_limit(wanted);
    }
    let differs = wanted != given && os::open_files_limit().is_some_and(|(soft, _)| soft != given);
    OF_JOBS.store(if differs { given } else { 0 }, Ordering::Relaxed);
}

/// The soft limit of jobs, where that of this process is another.
pub fn of_jobs() -> Option<u64> {
    Some(OF_JOBS.load(Ordering::Relaxed)).filter(|limit| *limit > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_one_of_each_at_least() {
        let room = |limit| Room { given: 1, limit };
        assert_eq!((room(5).workers(), room(5).jobs()), (1, 1));
        assert_eq!((room(40).workers(), room(40).jobs()), (2, 10));
        assert_eq!((room(1024).workers(), room(1024).jobs()), (330, 502));
        assert_eq!(room(u64::MAX).jobs(), u32::MAX);
    }
}
