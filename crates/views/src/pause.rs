//! A pause of a queue.

use queuectl_core::Timestamp;
use serde::Serialize;

/// A pause that is in force.
#[derive(Debug, Clone, Serialize)]
pub struct PauseView {
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself, if it does.
    pub until: Option<Timestamp>,
    /// The user and the machine.
    pub by: String,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}
