//! A limit, and the jobs that it concerns.

use queuectl_core::{JobId, LimitName, Timestamp};
use serde::Serialize;

/// A limit.
#[derive(Debug, Clone, Serialize)]
pub struct LimitView {
    /// Its name.
    pub name: LimitName,
    /// Most jobs of a key that run at a time; null for any number.
    pub running: Option<u32>,
    /// Whether each key is counted by itself.
    pub per_key: bool,
    /// Most starts in a length of time, as it is typed; null for any number.
    pub rate: Option<String>,
    /// Starts that may come at once; null without a rate.
    pub burst: Option<u32>,
    /// The exit status that makes a key wait.
    pub busy_status: Option<i32>,
    /// How long a key waits then, in ms.
    pub busy_wait_ms: Option<u64>,
    /// Jobs that run and count for it.
    pub jobs_running: u64,
    /// Jobs that wait for it.
    pub jobs_waiting: u64,
    /// Keys that jobs hold or wait for.
    pub keys: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A key of a limit.
#[derive(Debug, Clone, Serialize)]
pub struct LimitKeyView {
    /// The key, with the limit's name.
    pub key: String,
    /// Jobs that run and count for it.
    pub jobs_running: u64,
    /// Jobs that wait for it.
    pub jobs_waiting: u64,
    /// When the rate allows the next start, if jobs wait for that.
    pub next_at: Option<Timestamp>,
    /// Until when an attempt found it busy; null if none did, or that is past.
    pub busy_until: Option<Timestamp>,
}

/// A job that holds a key or waits for one.
#[derive(Debug, Clone, Serialize)]
pub struct LimitJobView {
    /// The id the user chose, else the number as text.
    pub id: String,
    /// The number that the queue gave.
    pub number: JobId,
    /// Its queue.
    pub queue: String,
    /// The key.
    pub key: String,
    /// Whether it runs; if not, it waits.
    pub runs: bool,
    /// Since when it runs or waits.
    pub since: Timestamp,
}

/// A limit with its keys and jobs.
#[derive(Debug, Clone, Serialize)]
pub struct LimitDetailView {
    /// The limit.
    #[serde(flatten)]
    pub limit: LimitView,
    /// Running jobs that were started with `start --now`, whatever the limit allows.
    pub started_now: u64,
    /// Its keys, those that most jobs wait for first; at most 100.
    pub by_key: Vec<LimitKeyView>,
    /// The first jobs that run and that wait; at most 20 of each.
    pub jobs: Vec<LimitJobView>,
}

/// What became of a limit that was resumed.
#[derive(Debug, Clone, Serialize)]
pub struct LimitResumedView {
    /// The limit, with the key if only that was resumed.
    pub limit: String,
    /// Keys that were put off until then.
    pub keys: u64,
}
