//! `explain`: says why a job does not run, and which command would change that.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::explain::{Code, Explanation};
use queuectl_core::{Attempt, BlockedBy, Job, JobRef, Timestamp, show_rough, show_short, whole_ms};
use queuectl_views::{ExplainView, ReasonView};

use crate::context::Context;
use crate::exit::Exit;
use crate::output::time::{local, relative};
use crate::reasons::Reasons;
use crate::registry::Run;

/// Say why a job does not run, when it can, and what would change that
#[derive(Debug, Args)]
#[command(after_help = "\
Every reason is on a line of its own, in the order in which they would have to go, with the command that changes it. \
The last line says where the time of the job went so far. docs/json.md has the codes of the reasons.")]
pub struct ExplainArgs {
    /// The job's id or number
    #[arg(value_name = "JOB")]
    job: JobRef,
}

impl Run for ExplainArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let reasons = Reasons::load(&mut store, now)?;
        let facts = store.claim_facts(&self.job, now)?;
        let mut unmet = Vec::new();
        if facts.job.waits.has(BlockedBy::Dependency) {
            let parents = store.parents(facts.job.id)?.into_iter();
            let open = parents.filter(|parent| parent.is_met != Some(true));
            unmet.extend(open.map(|parent| parent.name.unwrap_or_else(|| parent.id.to_string())));
        }
        let explained = reasons.explain_fully(&facts, &unmet);
        let attempts = store.attempts_without_output(facts.job.id)?;
        let view = view(&facts.job, explained, &attempts, now);
        context.output.document(&view, |page| {
            page.line(&heading(&view))?;
            for reason in &view.reasons {
                page.line(&line(reason, now))?;
            }
            let waits = !(view.state.is_final() || facts.job.node.is_some());
            match view.earliest_start.filter(|_| waits) {
                Some(at) if at > now => {
                    page.line(&format!("it can start {}, at {}", relative(at, now), local(at)))?;
                }
                Some(_) => page.line("it can start now")?,
                None if waits => page.line("it cannot start before that has changed")?,
                None => {}
            }
            page.line(&so_far(&view))
        })?;
        Ok(Exit::OK)
    }
}

fn view(job: &Job, explained: Explanation, attempts: &[Attempt], now: Timestamp) -> ExplainView {
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
        earliest_start: explained.earliest_start,
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
    if let Some(command) = &reason.command {
        line.push_str(&format!(": `{command}`"));
    }
    line
}

fn so_far(view: &ExplainView) -> String {
    let short = |ms| show_short(Duration::from_millis(ms));
    let waited = format!("so far it waited {}", short(view.waited_ms));
    match view.attempts {
        0 => waited,
        1 => format!("{waited} and ran {} in 1 attempt", short(view.ran_ms)),
        attempts => format!("{waited} and ran {} in {attempts} attempts", short(view.ran_ms)),
    }
}
