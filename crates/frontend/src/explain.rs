//! Why a job does not run, in words: what `explain` shows.

use std::time::Duration;

use queuectl_core::explain::{Code, Explanation};
use queuectl_core::{Attempt, JobRef, State, Timestamp, show_rough, show_short, whole_ms};
use queuectl_storage::{ClaimFacts, Store, StoreError};
use queuectl_views::{ExplainGroupView, ExplainView, ReasonView};

use crate::reasons::Reasons;
use crate::time::{local, relative};

/// Returns why a job does not run.
///
/// # Errors
/// [`StoreError::NoSuchJob`]; [`StoreError::Database`].
pub fn load(store: &mut Store, job: &JobRef, now: Timestamp) -> Result<ExplainView, StoreError> {
    let reasons = Reasons::load(store, now)?;
    let facts = store.claim_facts(job, now)?;
    let explained = reasons.explain_fully(&facts);
    let attempts = store.attempts_without_output(facts.job.id)?;
    Ok(view(&facts, explained, &attempts, now))
}

/// Returns the lines for people.
pub fn lines(view: &ExplainView, now: Timestamp) -> Vec<String> {
    let mut lines = vec![heading(view)];
    lines.extend(view.reasons.iter().map(|reason| line(reason, now)));
    let waits = !(view.state.is_final() || view.state == State::Processing);
    match view.earliest_start.filter(|_| waits) {
        Some(at) if at > now => {
            lines.push(format!("it can start {}, at {}", relative(at, now), local(at)));
        }
        Some(_) => lines.push("it can start now".to_owned()),
        None if waits => lines.push("it cannot start before that has changed".to_owned()),
        None => {}
    }
    if let Some(command) = &view.start_command {
        lines.push(format!("to start it next, past all of that: `{command}`"));
    }
    let groups = view.groups.iter();
    lines.extend(groups.map(|group| with_command(group.text.clone(), group.command.as_deref())));
    match view.more_groups {
        0 => {}
        1 => lines.push("it is in 1 more group".to_owned()),
        more => lines.push(format!("it is in {more} more groups")),
    }
    lines.push(so_far(view));
    lines
}

fn view(facts: &ClaimFacts, explained: Explanation, attempts: &[Attempt], now: Timestamp) -> ExplainView {
    let job = &facts.job;
    let groups = facts.groups.iter();
    let groups = groups.map(|found| ExplainGroupView::new(&found.group, &found.progress));
    let ended = attempts
        .iter()
        .map(|attempt| attempt.finished_at.since(attempt.started_at));
    let running = job.started_at.filter(|_| job.node.is_some());
    let ran: Duration = ended.chain(running.map(|start| now.since(start))).sum();
    let whole = job.finished_at.unwrap_or(now).since(job.created_at);
    ExplainView {
        id: job.public_id(),
        number: job.id,
        queue: job.queue.clone(),
        state: job.state,
        reasons: explained.reasons.into_iter().map(ReasonView::from).collect(),
        groups: groups.collect(),
        more_groups: job.groups.len().saturating_sub(facts.groups.len()),
        earliest_start: explained.earliest_start,
        start_command: explained.start_command,
        waited_ms: whole_ms(whole.saturating_sub(ran)),
        ran_ms: whole_ms(ran),
        attempts: attempts.len() as u64 + u64::from(running.is_some()),
    }
}

fn heading(view: &ExplainView) -> String {
    let (id, state, queue) = (&view.id, view.state, &view.queue);
    format!("job {id} is {state}, in queue {queue}:")
}

fn line(reason: &ReasonView, now: Timestamp) -> String {
    let mut line = format!("- {}", reason.text);
    if let Some(since) = reason.since {
        let time = show_rough(now.since(since));
        match reason.code {
            Code::Completed | Code::Dead | Code::Cancelled => line.push_str(&format!(" ({time} ago)")),
            // When it ends says more than since when it waits.
            Code::Scheduled | Code::Retry | Code::Executor => {}
            _ => line.push_str(&format!(" (for {time})")),
        }
    }
    with_command(line, reason.command.as_deref())
}

fn with_command(text: String, command: Option<&str>) -> String {
    match command {
        Some(command) => format!("{text}: `{command}`"),
        None => text,
    }
}

fn so_far(view: &ExplainView) -> String {
    let short = |ms| show_short(Duration::from_millis(ms));
    let so_far = if view.state.is_final() { "" } else { "so far " };
    let waited = format!("{so_far}it waited {}", short(view.waited_ms));
    match view.attempts {
        0 => waited,
        1 => format!("{waited} and ran {} in 1 attempt", short(view.ran_ms)),
        attempts => format!("{waited} and ran {} in {attempts} attempts", short(view.ran_ms)),
    }
}
