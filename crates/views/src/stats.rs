//! How jobs fared in a span of time.

use std::collections::BTreeMap;

use queuectl_core::Timestamp;
use serde::Serialize;

/// How long something took that was done many times, in ms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TimesView {
    /// Half of them took no longer.
    pub p50_ms: u64,
    /// 95 of 100 took no longer.
    pub p95_ms: u64,
    /// 99 of 100 took no longer.
    pub p99_ms: u64,
    /// The longest.
    pub max_ms: u64,
}

/// Jobs that have something in common.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatsOfView {
    /// What they have in common; null for all jobs, and for those of further names.
    pub name: Option<String>,
    /// Jobs that ended.
    pub jobs: u64,
    /// Of these, how many completed.
    pub completed: u64,
    /// How many died.
    pub dead: u64,
    /// How many were cancelled.
    pub cancelled: u64,
    /// Attempts that these jobs took beyond the first.
    pub retries: u64,
    /// Attempts of these jobs that failed, by outcome; only outcomes that there were.
    pub failures: BTreeMap<&'static str, u64>,
    /// Jobs that ended in a minute, on average.
    pub per_minute: f64,
    /// From when a job was stored, delays included, to when its first attempt began; null if none ran.
    pub waited: Option<TimesView>,
    /// How long the last attempt took; null if none ran.
    pub ran: Option<TimesView>,
}

/// What statistics were made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum StatsSource {
    /// The jobs that are stored.
    Jobs,
    /// The history, which knows minutes and hours of jobs that were removed, and the jobs that are not in it yet.
    History,
}

/// How jobs fared.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatsView {
    /// The beginning of the span of time.
    pub since: Timestamp,
    /// Its end.
    pub until: Timestamp,
    /// What they were made of.
    pub source: StatsSource,
    /// When the history begins; null if there is none.
    pub history_since: Option<Timestamp>,
    /// The latest end of a job that was removed from the store; null if none was since there is a history.
    pub removed_until: Option<Timestamp>,
    /// Whether all jobs that ended in it were looked at, and not only those that ended last.
    pub complete: bool,
    /// All of them together.
    pub total: StatsOfView,
    /// By what was asked for, most jobs first.
    pub by: Vec<StatsOfView>,
    /// How long each part of the span is, in ms.
    pub part_ms: u64,
    /// How many jobs ended in each part, oldest first.
    pub ended: Vec<u64>,
    /// How many died in each part.
    pub died: Vec<u64>,
}
