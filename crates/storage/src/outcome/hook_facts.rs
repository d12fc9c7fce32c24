//! What a hook is told of the job and of the attempt that ended: variables of its environment.

use std::collections::BTreeMap;

use queuectl_core::limits::HOOK_FACT_CHARS;
use queuectl_core::{GroupName, HookOn, OutcomeKind, Payload, State, Timestamp};

use crate::rows::{AttemptRow, JobRow};

/// A job with the attempt that ended.
pub struct Ended<'a> {
    pub row: &'a JobRow,
    pub payload: &'a Payload,
    /// The groups that it is a member of.
    pub groups: &'a [GroupName],
    /// None if the database did not take it.
    pub attempt: Option<&'a AttemptRow>,
    /// The state that the job has now.
    pub state: State,
}

/// The facts. What does not apply is left out. The command is without what may be secret.
pub fn facts(on: HookOn, name: Option<&str>, ended: &Ended<'_>) -> BTreeMap<String, String> {
    let (row, attempt) = (ended.row, ended.attempt);
    let time = |ms: i64| Timestamp(ms).to_string();
    let public_id = row.name.clone().unwrap_or_else(|| row.id.to_string());
    let outcome = attempt.and_then(|attempt| OutcomeKind::from_code(attempt.outcome));
    let message = attempt.map(|attempt| attempt.message.clone());
    let groups: Vec<&str> = ended.groups.iter().map(GroupName::as_str).collect();
    let facts = [
        ("QUEUECTL_HOOK", Some(on.name().to_owned())),
        ("QUEUECTL_HOOK_NAME", name.map(str::to_owned)),
        ("QUEUECTL_HOOK_JOB_ID", Some(public_id)),
        ("QUEUECTL_HOOK_STATE", Some(ended.state.name().to_owned())),
        ("QUEUECTL_HOOK_QUEUE", Some(row.queue.clone())),
        ("QUEUECTL_HOOK_COMMAND", Some(ended.payload.display())),
        (
            "QUEUECTL_HOOK_ATTEMPT",
            attempt.map(|attempt| attempt.attempt.to_string()),
        ),
        (
            "QUEUECTL_HOOK_OUTCOME",
            outcome.map(|outcome| outcome.name().to_owned()),
        ),
        (
            "QUEUECTL_HOOK_EXIT_CODE",
            attempt
                .and_then(|attempt| attempt.exit_code)
                .map(|code| code.to_string()),
        ),
        (
            "QUEUECTL_HOOK_SIGNAL",
            attempt
                .and_then(|attempt| attempt.signal)
                .map(|signal| signal.to_string()),
        ),
        (
            "QUEUECTL_HOOK_ERROR",
            message.filter(|message| !message.is_empty()),
        ),
        (
            "QUEUECTL_HOOK_STARTED_AT",
            attempt.map(|attempt| time(attempt.started_at)),
        ),
        (
            "QUEUECTL_HOOK_ENDED_AT",
            attempt.map(|attempt| time(attempt.finished_at)),
        ),
        (
            "QUEUECTL_HOOK_GROUP",
            Some(groups.join(",")).filter(|groups| !groups.is_empty()),
        ),
        (
            "QUEUECTL_HOOK_SCHEDULE",
            ended.payload.env.get("QUEUECTL_SCHEDULE").cloned(),
        ),
        (
            "QUEUECTL_HOOK_SCHEDULED_AT",
            ended.payload.env.get("QUEUECTL_SCHEDULED_AT").cloned(),
        ),
    ];
    let facts = facts.into_iter();
    facts
        .filter_map(|(name, value)| Some((name.to_owned(), bounded(&value?))))
        .collect()
}

/// The beginning of a text, without what no process takes in its environment.
pub fn bounded(text: &str) -> String {
    let mut chars = text.chars().map(|c| if c == '\0' { '\u{fffd}' } else { c });
    let mut bounded: String = chars.by_ref().take(HOOK_FACT_CHARS).collect();
    if chars.next().is_some() {
        bounded.push('…');
    }
    bounded
}
