//! Something that happened to a job or a queue.

use queuectl_core::{JobId, NodeId, OutcomeKind, Timestamp};
use serde::Serialize;
use serde_json::Value;

/// An event of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventView {
    /// Its number; `--since` goes on behind it.
    pub event: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: String,
    /// The job's id, if it happened to one.
    pub id: Option<String>,
    /// The job's number.
    pub number: Option<JobId>,
    /// The node that had the job.
    pub node: Option<NodeId>,
    /// The job's fencing token.
    pub fence: Option<i64>,
    /// When the job is due, if it waits since then.
    pub run_at: Option<Timestamp>,
    /// How the attempt ended, if one did.
    pub outcome: Option<OutcomeKind>,
    /// Why, for anything but success.
    pub error: Option<String>,
    /// What else there is to say.
    pub detail: Option<Value>,
}

impl EventView {
    /// Returns what is said besides the kind, in words.
    pub fn in_words(&self, time: impl Fn(Timestamp) -> String) -> String {
        let mut words = Vec::new();
        let telling = self.outcome.filter(|outcome| *outcome != OutcomeKind::Succeeded);
        words.extend(telling.map(|outcome| outcome.to_string()));
        words.extend(self.error.clone());
        words.extend(self.run_at.map(|due| format!("due {}", time(due))));
        if let Some(Value::Object(members)) = &self.detail {
            let said = members.iter().filter(|(_, value)| !value.is_null());
            words.extend(said.map(|(name, value)| match value {
                Value::String(text) => format!("{name} {text}"),
                other => format!("{name} {other}"),
            }));
        }
        words.join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_told_in_words() {
        let event = EventView {
            event: 7,
            at: Timestamp(0),
            kind: "failed".into(),
            id: Some("job1".into()),
            number: Some(JobId(1)),
            node: Some(NodeId(2)),
            fence: Some(1),
            run_at: Some(Timestamp(5)),
            outcome: Some(OutcomeKind::TimedOut),
            error: Some("ran longer than 1 s".into()),
            detail: Some(serde_json::json!({"by": 12, "reason": null, "queue": "mail"})),
        };
        assert_eq!(
            event.in_words(|time| time.0.to_string()),
            "timed_out; ran longer than 1 s; due 5; by 12; queue mail"
        );
    }
}
