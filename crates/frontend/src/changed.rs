//! What became of a job that was changed, in words.

use queuectl_core::{BlockedBy, State};
use queuectl_storage::{MassChange, NamedDone};

/// Says what became of a job.
pub fn result(change: MassChange, done: &NamedDone) -> &'static str {
    let blocked = match done.waits.first() {
        Some(BlockedBy::Dependency) => Some("blocked (dependency)"),
        Some(BlockedBy::Unique) => Some("blocked (unique)"),
        Some(BlockedBy::Overlap) => Some("blocked (overlap)"),
        Some(BlockedBy::Limit) => Some("blocked (limit)"),
        Some(BlockedBy::Held) | None => None,
    };
    match change {
        MassChange::Cancel if done.state == State::Processing => "is being stopped",
        MassChange::Cancel => "cancelled",
        MassChange::Hold => "held",
        MassChange::Purge => "purged",
        MassChange::Start => "starts next",
        MassChange::Retry | MassChange::Release => blocked.unwrap_or(done.state.name()),
    }
}
