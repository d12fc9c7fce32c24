//! Everything about one job: what `show` shows.

use queuectl_core::{Attempt, Job, JobId, Settings};
use queuectl_storage::{HookJob, Relative, Store, StoreError};
use queuectl_views::{
    AttemptView, EventView, HookJobView, JobDetailView, JobView, ProgressView, RelativeView,
};
use serde_json::value::RawValue;

use crate::load;
use crate::reasons::Looked;

/// Most events that a timeline has, the newest ones.
const EVENTS: u32 = 100;

/// Returns a job with its attempts and what is around it, with or without secrets.
///
/// # Errors
/// [`StoreError::Database`].
pub fn load(
    store: &mut Store,
    job: Job,
    attempts: &[Attempt],
    secrets: bool,
) -> Result<JobDetailView, StoreError> {
    let stored = store.stored_settings()?;
    let pairs = stored.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let settings = Settings::from_stored(pairs);
    let sources = load::sources(&job, &stored);
    let last_line = load::last_line(store, &job, attempts)?;
    let error = attempts.last().map(|attempt| attempt.outcome.message.clone());
    let error = error.filter(|message| !message.is_empty());
    let events = match settings.event_retention.is_zero() {
        true => Vec::new(),
        // A role that may not read events goes without.
        false => timeline(store, job.id).unwrap_or_default(),
    };
    // Only a job that says so was made by a schedule.
    let tick = match job.payload.env.contains_key("QUEUECTL_SCHEDULE") {
        true => store.tick_of(job.id)?,
        false => None,
    };
    let revived_by = match job.unmet {
        Some(_) => store.revived_by(job.id)?,
        None => None,
    };
    let parents: Vec<RelativeView> = store.parents(job.id)?.into_iter().map(relative).collect();
    let dependants: Vec<RelativeView> = store.dependants(job.id)?.into_iter().map(relative).collect();
    let hooks = store.hooks_of(job.id)?.into_iter().map(hook_job).collect();
    let now = store.now()?;
    let reason = Looked::default().first(store, &job, now);
    // A role that may not read it goes without.
    let said = store.said(job.id, job.fence).unwrap_or_default();
    let mut shown = JobView::new(job, error, &settings, secrets);
    shown.reason = reason;
    if shown.progress.is_none() {
        shown.progress = said.progress.map(ProgressView::from);
    }
    Ok(JobDetailView {
        result: said.result.and_then(|result| RawValue::from_string(result).ok()),
        checkpoint: said.checkpoint,
        events,
        schedule: tick.as_ref().map(|tick| tick.schedule.to_string()),
        scheduled_at: tick.map(|tick| tick.at),
        job: shown,
        last_line,
        sources,
        revived_by,
        parents,
        dependants,
        hooks,
        attempt_history: attempts.iter().map(AttemptView::from).collect(),
    })
}

/// Returns the view of a job that is a hook of another.
fn hook_job(found: HookJob) -> HookJobView {
    HookJobView {
        number: found.id,
        on: found.on,
        state: found.state,
    }
}

/// Returns the view of a job that another waits for, or that waits for another.
fn relative(found: Relative) -> RelativeView {
    RelativeView {
        id: found.name.unwrap_or_else(|| found.id.to_string()),
        number: found.id,
        condition: found.condition.name(),
        state: found.state,
        met: found.is_met,
    }
}

fn timeline(store: &mut Store, job: JobId) -> Result<Vec<EventView>, StoreError> {
    let place = store.newest_events_from(Some(job), EVENTS)?;
    let found = store.events_after(Some(job), place, EVENTS)?;
    Ok(found.into_iter().map(load::event).collect())
}
