//! Follows one job over its attempts.

use anyhow::Result;
use queuectl_core::{Attempt, Job, JobRef, Outcome, OutcomeKind, State, show_short};
use queuectl_frontend::output::Stream;
use queuectl_storage::Store;

use super::print::{Printer, Shown};
use crate::commands::waiter::Waiter;
use crate::context::Context;
use crate::output::diagnostics;

/// Where [`follow`] begins.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With the first attempt.
    First,
    /// With the newest attempt.
    Newest,
}

/// Prints the attempts of a job until the job has ended.
pub fn follow(
    store: &mut Store,
    job: &JobRef,
    from: From,
    waiter: &mut Waiter,
    shown: &Shown,
    context: &Context,
) -> Result<()> {
    let mut printed = 0;
    loop {
        let marker = waiter.ask(store, Store::change_marker)?;
        let found = waiter.ask(store, |store| store.job(job))?;
        // A job that waits for its next attempt shows the last one; a job that was given back has none.
        if found.fence > printed {
            if from == From::First || printed > 0 {
                // Attempts that began and ended between two looks.
                let ended = waiter.ask(store, |store| store.attempts_without_output(found.id))?;
                let missed = ended.iter().map(|attempt| attempt.fence);
                for fence in missed.filter(|fence| *fence > printed && *fence < found.fence) {
                    print_attempt(store, job, fence, Some(waiter), shown, context)?;
                }
            }
            printed = found.fence;
            if let Some(attempt) = print_attempt(store, job, found.fence, Some(waiter), shown, context)? {
                let after = waiter.ask(store, |store| store.job(job))?;
                if after.fence == printed && !after.state.is_final() {
                    let next = match after.due_at {
                        Some(due) => {
                            let now = waiter.ask(store, Store::now)?;
                            format!("next in {}", show_short(due.since(now)))
                        }
                        None => "the job is back in the queue".to_owned(),
                    };
                    diagnostics::note(&format!(
                        "attempt {} {}; {next}",
                        attempt.number,
                        how_it_ended(&attempt)
                    ));
                }
            }
            continue;
        }
        if found.state.is_final() {
            return Ok(());
        }
        waiter.wait_for_change(store, marker, &found)?;
    }
}

/// Notes how an attempt ended, between the output of two.
pub fn say_end(job: &Job, attempt: &Attempt, shown: &Shown) {
    let of = match shown.with_ids {
        true => format!("job '{}': ", job.public_id()),
        false => String::new(),
    };
    let (number, how) = (attempt.number, how_it_ended(attempt));
    diagnostics::note(&format!("{of}attempt {number} {how}"));
}

fn how_it_ended(attempt: &Attempt) -> String {
    let Outcome { kind, message, .. } = &attempt.outcome;
    match kind {
        OutcomeKind::TimedOut => message.clone(),
        OutcomeKind::Returned => "was cut off".to_owned(),
        OutcomeKind::SystemFailure => format!("could not run ({message})"),
        OutcomeKind::Crashed | OutcomeKind::Lost => format!("was lost ({message})"),
        OutcomeKind::Failed | OutcomeKind::Busy | OutcomeKind::Cancelled | OutcomeKind::Succeeded => {
            match message.is_empty() {
                true => kind.to_string(),
                false => format!("{kind} ({message})"),
            }
        }
    }
}

/// Prints one attempt, with `follow` until it has ended. Returns the attempt if it has ended.
pub fn print_attempt(
    store: &mut Store,
    job: &JobRef,
    fence: i64,
    follow: Option<&mut Waiter>,
    shown: &Shown,
    context: &Context,
) -> Result<Option<Attempt>> {
    let mut once = Waiter::new(None);
    let is_followed = follow.is_some();
    let waiter = follow.unwrap_or(&mut once);
    let mut found = waiter.ask(store, |store| store.job(job))?;
    let outputs = waiter.ask(store, Store::outputs)?;
    let mut stream = Stream::new(outputs.file(found.id.0, fence), 0);
    let mut printer = Printer::new(shown, &found, context.output);
    loop {
        let marker = waiter.ask(store, Store::change_marker)?;
        let ended = waiter.ask(store, |store| store.attempt(found.id, fence))?;
        let running = found.state == State::Processing && found.fence == fence;
        printer.print_file(&mut stream)?;
        if let Some(attempt) = ended {
            printer.print_rest(&attempt, &mut stream)?;
            return Ok(Some(attempt));
        }
        if !running || !is_followed {
            printer.finish()?;
            if running && !shown.with_ids {
                diagnostics::note(&format!("job '{job}' is still running; -f follows it"));
            }
            return Ok(None);
        }
        printer.go_on_with_all()?;
        // The file can grow while the store does not change.
        while waiter.ask(store, Store::change_marker)? == marker {
            waiter.look_for_nodes(store, &found);
            waiter.pause();
            printer.print_file(&mut stream)?;
        }
        found = waiter.ask(store, |store| store.job(job))?;
    }
}
