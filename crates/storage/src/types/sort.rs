//! What a list is sorted by if it is not in the order of an index.

use std::str::FromStr;

/// What jobs can be sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SortKey {
    /// The number.
    Number,
    /// The state: pending, scheduled, blocked, processing, failed, completed, dead, cancelled.
    State,
    /// The queue's name, by its bytes.
    Queue,
    /// The executor's name, by its bytes.
    Executor,
    /// The priority.
    Priority,
    /// The attempts since it was enqueued or last retried by hand.
    Attempts,
    /// When it is due, else when it last changed.
    When,
    /// When it was enqueued.
    Created,
    /// When its newest attempt started.
    Started,
    /// When it ended.
    Ended,
    /// How long its newest attempt took, or has taken so far.
    Duration,
    /// How long it waited until its newest attempt started, or has waited so far.
    Waited,
}

impl SortKey {
    /// All of them.
    pub const ALL: [SortKey; 12] = [
        SortKey::Number,
        SortKey::State,
        SortKey::Queue,
        SortKey::Executor,
        SortKey::Priority,
        SortKey::Attempts,
        SortKey::When,
        SortKey::Created,
        SortKey::Started,
        SortKey::Ended,
        SortKey::Duration,
        SortKey::Waited,
    ];

    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            SortKey::Number => "number",
            SortKey::State => "state",
            SortKey::Queue => "queue",
            SortKey::Executor => "executor",
            SortKey::Priority => "priority",
            SortKey::Attempts => "attempts",
            SortKey::When => "when",
            SortKey::Created => "created",
            SortKey::Started => "started",
            SortKey::Ended => "ended",
            SortKey::Duration => "duration",
            SortKey::Waited => "waited",
        }
    }
}

/// A key with its direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sort {
    /// What to sort by.
    pub key: SortKey,
    /// Whether the largest comes first. What has no value comes last in either direction.
    pub descending: bool,
}

impl From<SortKey> for Sort {
    fn from(key: SortKey) -> Sort {
        Sort {
            key,
            descending: false,
        }
    }
}

impl FromStr for Sort {
    type Err = String;

    /// Reads a key, with a hyphen before it for the other direction.
    fn from_str(text: &str) -> Result<Sort, String> {
        let (name, descending) = match text.strip_prefix('-') {
            Some(name) => (name, true),
            None => (text, false),
        };
        let key = SortKey::ALL.into_iter().find(|key| key.name() == name);
        let key = key.ok_or_else(|| {
            let names = SortKey::ALL.map(SortKey::name).join(", ");
            format!("'{name}' is not a key to sort by; the keys are {names}")
        })?;
        Ok(Sort { key, descending })
    }
}
