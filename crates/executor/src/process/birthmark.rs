//! Birthmarks: a number that tells for which run of which worker process a process was started, whatever it does to its
//! environment.
//!
//! The marks in the environment cannot be read where a process may not be looked into (it is not dumpable, or set-group-ID
//! as `ssh-agent` is) and are gone where it cleared its environment. A limit is inherited by all descendants, survives the
//! start of every program, and everybody may read it in `/proc`. The one that is used bounds the processor time that a
//! process of real-time scheduling may use without a pause; the values here are more than a hundred thousand years, so
//! they limit nothing. A process that sets this limit itself loses its mark and is left to those in the environment.

use std::fs;

use nix::libc;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};
use sha2::{Digest, Sha256};

/// From the most significant bit on: one that is always set, 32 bits of the node, those of the worker process and the run.
const SIGN: u64 = 1 << 62;
const WORKER_BITS: u32 = 12;
const RUN_BITS: u32 = 18;

/// The largest number of a run.
pub(crate) const RUN_MOST: u32 = (1 << RUN_BITS) - 1;

const fn low(bits: u32) -> u64 {
    (1 << bits) - 1
}

/// What all processes with a certain beginning of their cookies have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pattern {
    value: u64,
    mask: u64,
}

impl Pattern {
    /// That of a node's mark `STORE.NODE` or of a worker process's cookie `STORE.NODE.NUMBER.`; none for other texts.
    pub(super) fn of(cookie: &str) -> Option<Pattern> {
        let mut parts = cookie.split('.');
        let (store, node) = (parts.next()?, parts.next()?);
        if store.is_empty() || node.is_empty() {
            return None;
        }
        // The same in every version, for one may rescue what another started.
        let sum = Sha256::digest(format!("{store}.{node}"));
        let node = u64::from(u32::from_le_bytes(*sum.first_chunk()?));
        let (worker, mask) = match (parts.next(), parts.next(), parts.next()) {
            (None, None, None) => (0, !low(WORKER_BITS + RUN_BITS)),
            (Some(number), Some(""), None) => (number.parse::<u64>().ok()?, !low(RUN_BITS)),
            _ => return None,
        };
        let worker = worker & low(WORKER_BITS);
        let value = SIGN | node << (WORKER_BITS + RUN_BITS) | worker << RUN_BITS;
        Some(Pattern { value, mask })
    }

    /// Whether a process carries it.
    pub(super) fn is_on(self, pid: u32) -> bool {
        read(pid).is_some_and(|found| found & self.mask == self.value)
    }
}

/// The marks of a worker process.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Birthmark(Option<Pattern>);

impl Birthmark {
    /// Marks this process, and so what plugins start in it, as the worker process with that cookie. If it cannot be
    /// marked, or the limit is in use, the marks in the environment remain.
    pub(crate) fn put_on(cookie: &str) -> Birthmark {
        let free = getrlimit(Resource::RLIMIT_RTTIME)
            .is_ok_and(|(soft, hard)| hard == RLIM_INFINITY && (soft == hard || soft & SIGN != 0));
        let pattern = Pattern::of(cookie).filter(|pattern| free && set(pattern.value));
        Birthmark(pattern)
    }

    /// Has what is started meanwhile carry the number of a run.
    pub(crate) fn during<T>(self, run: u32, start: impl FnOnce() -> T) -> T {
        let Some(Pattern { value, .. }) = self.0 else {
            return start();
        };
        set(value | u64::from(run) & low(RUN_BITS));
        let started = start();
        set(value);
        started
    }

    /// The number of the run for which a process was started; none if that is not known.
    pub(super) fn run_of(self, pid: u32) -> Option<u32> {
        let Pattern { value, mask } = self.0?;
        let found = read(pid).filter(|found| found & mask == value)?;
        u32::try_from(found & low(RUN_BITS)).ok().filter(|run| *run != 0)
    }
}

fn set(value: u64) -> bool {
    setrlimit(Resource::RLIMIT_RTTIME, value as libc::rlim_t, RLIM_INFINITY).is_ok()
}

/// The limit of a process as everybody may read it.
fn read(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("Max realtime timeout"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_tells_nodes_and_workers_apart() {
        let of = |cookie| Pattern::of(cookie).unwrap();
        let (node, other, worker) = (of("store.node"), of("store.other"), of("store.node.7."));
        assert_ne!(node.value, other.value);
        assert_eq!(worker.value & node.mask, node.value);
        assert_ne!(worker.value & other.mask, other.value);
        assert_ne!(worker.value, of("store.node.70.").value);
        // A value that limits nothing, before and after the kernel converts its unit.
        assert!(worker.value >= SIGN && worker.value | low(RUN_BITS) < SIGN << 1);
        for text in [
            "",
            "store",
            "store.",
            ".",
            "store.node.7",
            "store.node.x.",
            "store.node.7.8.",
        ] {
            assert_eq!(Pattern::of(text), None, "{text}");
        }
    }
}
