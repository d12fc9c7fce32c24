//! A limit of a queue.

use queuectl_core::Timestamp;
use serde::Serialize;

/// How many jobs of a queue run at a time, and how fast they start.
#[derive(Debug, Clone, Serialize)]
pub struct QueueLimitView {
    /// Most jobs that run at a time; null for any number.
    pub running: Option<u32>,
    /// Most starts in a length of time, as it is typed; null for any number.
    pub rate: Option<String>,
    /// Starts that may come at once; null without a rate.
    pub burst: Option<u32>,
    /// Its jobs that run, or that a node has claimed.
    pub jobs_running: u64,
    /// Whether as many run as may.
    pub full: bool,
    /// When the rate allows the next start, if it allows none now.
    pub next_at: Option<Timestamp>,
}

impl QueueLimitView {
    /// Says what is allowed: `4 running, 10/s (burst 5)`.
    pub fn allows(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.running.map(|running| format!("{running} running")));
        if let Some(rate) = &self.rate {
            let burst = self.burst.filter(|burst| *burst > 1);
            parts.push(burst.map_or_else(|| rate.clone(), |burst| format!("{rate} (burst {burst})")));
        }
        parts.join(", ")
    }
}
