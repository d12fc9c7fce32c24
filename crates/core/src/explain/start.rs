//! Whether `start --now` helps a job that waits. Not whether a node has room for it.

use super::{Code, Facts, Reason};

/// The command that starts a job past all its reasons, if it waits for something and that does.
pub(super) fn start_command(facts: &Facts<'_>, reasons: &[Reason]) -> Option<String> {
    let is_held_for_another = facts
        .waits_for
        .is_some_and(|found| found.unmet.is_some() || found.retried.is_some());
    let can_pass = |reason: &Reason| match reason.code {
        Code::Held => !is_held_for_another,
        Code::Limit | Code::Scheduled | Code::Retry | Code::Executor | Code::Busy => true,
        Code::Paused | Code::QueueLimit | Code::QueueRate => true,
        _ => false,
    };
    // Which node takes it is no part of that.
    let is_of_nodes = |reason: &Reason| matches!(reason.code, Code::Unserved | Code::Stopping | Code::Full);
    let passes = reasons
        .iter()
        .all(|reason| can_pass(reason) || is_of_nodes(reason));
    (passes && reasons.iter().any(can_pass))
        .then(|| format!("queuectl start {} --now", facts.job.public_id()))
}
