//! What the executor counts: containers started, running and removed.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// The numbers so far.
#[derive(Debug, Default)]
pub struct Numbers {
    started: AtomicU64,
    running: AtomicU64,
    removed: AtomicU64,
}

/// A container that runs, as long as this lives.
pub struct Running<'a>(&'a Numbers);

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Relaxed);
    }
}

impl Numbers {
    pub fn add_started(&self) {
        self.started.fetch_add(1, Relaxed);
    }

    pub fn add_removed(&self, count: u64) {
        self.removed.fetch_add(count, Relaxed);
    }

    /// Counts a container among the running ones.
    pub fn running(&self) -> Running<'_> {
        self.running.fetch_add(1, Relaxed);
        Running(self)
    }

    pub fn all(&self) -> BTreeMap<String, u64> {
        [
            ("started", &self.started),
            ("running", &self.running),
            ("removed", &self.removed),
        ]
        .map(|(name, number)| (name.to_owned(), number.load(Relaxed)))
        .into()
    }
}
