//! What the history says of a span of time.

use queuectl_core::{ExecutorName, QueueName, Timestamp};

use super::ends::Ends;
use super::list::Position;

/// How jobs of one queue and executor ended in a minute or an hour.
#[derive(Debug, Clone)]
pub struct HistoryEntry {
    /// When it begins.
    pub at: Timestamp,
    /// How long it is, in ms.
    pub span_ms: i64,
    /// Their queue and executor. None: those of further ones, together.
    pub of: Option<(QueueName, ExecutorName)>,
    /// How they ended.
    pub ends: Ends,
}

/// How far the history goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryState {
    /// It has the jobs that ended up to this place, and those that were removed. None: nothing is recorded.
    pub counted: Option<Position>,
    /// The latest end of a job that was removed.
    pub removed_to: Timestamp,
    /// When it begins. None if there is nothing in it.
    pub begins: Option<Timestamp>,
}

impl HistoryState {
    /// When a job ended that is the last one of which the history is sure to know.
    pub fn counted_to(&self) -> Option<Timestamp> {
        self.counted.map(|place| Timestamp(place.ended))
    }
}
