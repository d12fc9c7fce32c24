//! Jobs that have ended, and what can still be done about it.

use super::{Code, Facts, Reason, reason};
use crate::state::State;

pub(super) fn ended(facts: &Facts<'_>, code: Code, text: &str, command: &str) -> Reason {
    Reason {
        since: facts.job.finished_at,
        command: Some(format!("queuectl {command} {}", facts.job.public_id())),
        ..reason(code, text.to_owned())
    }
}

/// A job that was cancelled: by an operator, or because another did not end as it needs.
pub(super) fn cancelled(facts: &Facts<'_>) -> Reason {
    let by_hand = ended(facts, Code::Cancelled, "it was cancelled", "retry");
    let Some((parent, state)) = facts.waits_for.and_then(|found| found.unmet.as_ref()) else {
        return by_hand;
    };
    let holder = facts.waits_for.and_then(|found| found.key_holder.as_ref());
    if let Some((text, open)) = goes_on(facts, "cancelled") {
        return Reason {
            text,
            command: Some(format!("queuectl explain {open}")),
            ..by_hand
        };
    }
    let (text, command) = match (state, holder) {
        (State::Completed, Some(holder)) => (
            format!(
                "it was cancelled for job {parent}, which has succeeded since; job {holder} has its unique key"
            ),
            format!("queuectl explain {holder}"),
        ),
        _ => (
            format!("it was cancelled because job {parent} is {state}"),
            format!("queuectl retry {parent}"),
        ),
    };
    Reason {
        text,
        command: Some(command),
        ..by_hand
    }
}

/// Of a job that was cancelled or held for one that runs again or waits: that it goes on with it, and the job that has to end.
pub(super) fn goes_on<'a>(facts: &Facts<'a>, was: &str) -> Option<(String, &'a str)> {
    let found = facts.waits_for?;
    let (parent, open) = (&found.unmet.as_ref()?.0, found.revived_by.as_ref()?);
    let text = match open == parent {
        true => {
            format!("it was {was} for job {parent}, which was retried; it goes on if that ends as it needs")
        }
        false => format!(
            "it was {was} for job {parent}; it goes on if job {open}, which was retried, ends as it needs"
        ),
    };
    Some((text, open))
}

pub(super) fn dead(facts: &Facts<'_>) -> String {
    match facts.last {
        Some((_, message)) if !message.is_empty() => format!("it is dead: {message}"),
        _ => "it is dead".to_owned(),
    }
}
