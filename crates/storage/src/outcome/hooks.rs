//! Hooks: the transaction that records the end of an attempt stores the jobs that run its hooks. So a hook is neither lost
//! nor run for what was rolled back, and it is retried, limited and logged as any other job.
//!
//! A job has the gate if it was enqueued with hooks. While there are hooks of all jobs, or of a queue's, the statements
//! that record ends pass over the jobs that these may be for, and add the gate to what they read. A job that is a hook
//! fires none, nor does one to which [`HOOK_DEPTH`] of them have led.

use std::collections::BTreeMap;

use diesel::prelude::*;
use queuectl_core::limits::{HOOK_DEPTH, PRIORITY};
use queuectl_core::{
    Command, EnqueuedBy, Gates, Hook, HookOn, HookOns, JobHooks, JobId, JobSpec, OutcomeKind, Payload,
    QueueName, State, Timestamp, ValidJob,
};

use super::hook_facts::{Ended, facts};
use super::{Change, Mechanism, insert};
use crate::backend::Db;
use crate::backend::statements::Note;
use crate::env::Guard;
use crate::hooks::{JobHooksRow, all_hooks};
use crate::limits::Keys;
use crate::rows::{AttemptRow, JobRow, groups_of};
use crate::schema::{attempts, job_hooks, jobs, payloads};
use crate::types::text::Words;
use crate::{StoreError, env};

/// Ends are looked at together by [`after`].
pub const MECHANISM: Mechanism = Mechanism {
    gates: Gates::HOOKS,
    follow: |_, _, _, _| Ok(()),
    forget,
};

/// Ends whose payloads, which can be large, are in memory at a time.
const CHUNK: usize = 64;

fn forget(db: &mut Db, job: i64) -> Result<(), StoreError> {
    diesel::delete(job_hooks::table.find(job)).execute(db)?;
    Ok(())
}

/// Stores the hooks of attempts that ended. Each statement is for all of them.
pub fn after(db: &mut Db, changes: &[Change], keys: &mut Keys, now: Timestamp) -> Result<(), StoreError> {
    let fires =
        |change: &&Change| change.gates.has(Gates::HOOKS) && !HookOns::of(change.from, change.to).is_empty();
    let changes: Vec<&Change> = changes.iter().filter(fires).collect();
    if changes.is_empty() || !env::fires_hooks() {
        return Ok(());
    }
    let mut common = all_hooks(db)?;
    // Those are about the number of dead jobs.
    common.retain(|hook| hook.alert.is_none());
    for some in changes.chunks(CHUNK) {
        store(db, some, &common, keys, now)?;
    }
    Ok(())
}

/// A hook that is to run.
pub struct Fired<'a> {
    pub on: HookOn,
    pub command: &'a Command,
    pub cwd: Option<&'a str>,
    pub to_queue: Option<&'a QueueName>,
    pub name: Option<&'a str>,
}

impl<'a> Fired<'a> {
    /// A hook that is not a job's own.
    pub fn common(hook: &'a Hook, on: HookOn) -> Fired<'a> {
        Fired {
            on,
            command: &hook.command,
            cwd: hook.cwd.as_deref(),
            to_queue: hook.to_queue.as_ref(),
            name: Some(hook.name.as_str()),
        }
    }
}

fn store(
    db: &mut Db,
    changes: &[&Change],
    common: &[Hook],
    keys: &mut Keys,
    now: Timestamp,
) -> Result<(), StoreError> {
    let ids: Vec<i64> = changes.iter().map(|change| change.job).collect();
    let own: Vec<JobHooksRow> = job_hooks::table
        .filter(job_hooks::job_id.eq_any(&ids))
        .select(JobHooksRow::as_select())
        .load(db)?;
    if own.is_empty() && common.is_empty() {
        return Ok(());
    }
    let rows: Vec<JobRow> = jobs::table
        .filter(jobs::id.eq_any(&ids))
        .filter(jobs::hook.is_null())
        .filter(jobs::hook_depth.lt(HOOK_DEPTH.cast_signed()))
        .order(jobs::id)
        .select(JobRow::as_select())
        .load(db)?;
    let told: Vec<(i64, Words)> = payloads::table
        .filter(payloads::job_id.eq_any(&ids))
        .select((payloads::job_id, payloads::payload))
        .load(db)?;
    let mut new = Vec::new();
    for row in &rows {
        let Some(change) = changes.iter().find(|change| change.job == row.id) else {
            continue;
        };
        let ons = HookOns::of(change.from, change.to);
        let payload = told.iter().find(|(job, _)| *job == row.id);
        let payload = payload.and_then(|(_, text)| serde_json::from_str::<Payload>(&text.text).ok());
        let payload = payload.unwrap_or_default();
        let own = own.iter().find(|own| own.job_id == row.id);
        let unreadable = own.map_or(HookOns::NONE, JobHooksRow::unreadable);
        let mut unreadable = unreadable.iter().filter(|on| ons.has(*on)).peekable();
        let own = own.map(|own| own.clone().into_hooks()).unwrap_or_default();
        let fired = fired(ons, &own, common, row, &payload);
        if fired.is_empty() && unreadable.peek().is_none() {
            continue;
        }
        let attempt: Option<AttemptRow> = attempts::table
            .find((row.id, row.fence))
            .select(AttemptRow::as_select())
            .first(db)
            .optional()?;
        // An attempt that found a limit busy did not fail.
        if attempt
            .as_ref()
            .is_some_and(|attempt| attempt.outcome == OutcomeKind::Busy.code())
        {
            continue;
        }
        for on in unreadable {
            note_unreadable(db, row.id, on, now)?;
        }
        if fired.is_empty() {
            continue;
        }
        let groups = match Gates::from_code(row.gates).has(Gates::MEMBER) {
            true => groups_of(db, JobId(row.id))?,
            false => Vec::new(),
        };
        let ended = Ended {
            row,
            groups: &groups,
            payload: &payload,
            attempt: attempt.as_ref(),
            state: change.to,
        };
        new.extend(
            fired
                .iter()
                .filter_map(|hook| job_of(hook, &ended, BTreeMap::new(), now)),
        );
    }
    insert_hooks(db, &new, keys, now)
}

/// Stores the jobs that run hooks.
pub fn insert_hooks(
    db: &mut Db,
    new: &[ValidJob],
    keys: &mut Keys,
    now: Timestamp,
) -> Result<(), StoreError> {
    if new.is_empty() {
        return Ok(());
    }
    let ids = insert(db, new, now)?;
    for (job, id) in new.iter().zip(&ids) {
        note(db, job, *id, now)?;
    }
    // Other nodes may have room for them.
    keys.woken.extend(ids.iter().map(|id| id.0));
    Ok(())
}

/// The hooks that an end fires: the job's own first, then the others by name.
fn fired<'a>(
    ons: HookOns,
    own: &'a JobHooks,
    common: &'a [Hook],
    row: &JobRow,
    payload: &'a Payload,
) -> Vec<Fired<'a>> {
    let schedule = payload.env.get("QUEUECTL_SCHEDULE").map(String::as_str);
    let mut fired = Vec::new();
    for on in ons.iter() {
        fired.extend(own.get(on).map(|command| Fired {
            on,
            command,
            cwd: payload.cwd.as_deref(),
            to_queue: own.to_queue.as_ref(),
            name: None,
        }));
        let applies = |hook: &&Hook| {
            let queue = hook.queue.as_ref().map(QueueName::as_str);
            let of_schedule = hook.schedule.as_ref().map(|name| name.as_str());
            hook.on.has(on)
                && queue.is_none_or(|queue| queue == row.queue)
                && (of_schedule.is_none() || of_schedule == schedule)
        };
        fired.extend(common.iter().filter(applies).map(|hook| Fired::common(hook, on)));
    }
    fired
}

/// The job that runs a hook, which is told `more` besides the facts of the end. It goes before others of the ended job's priority, so that it does not wait behind a backlog.
/// None, and a message in the log, if a stored command cannot run: that must not keep the end from being recorded.
pub fn job_of(
    hook: &Fired<'_>,
    ended: &Ended<'_>,
    more: BTreeMap<String, String>,
    now: Timestamp,
) -> Option<ValidJob> {
    let row = ended.row;
    let mut env = facts(hook.on, hook.name, ended);
    env.extend(more);
    let queue = hook.to_queue.cloned();
    let priority = i32::try_from(PRIORITY.max).unwrap_or(i32::MAX);
    let spec = JobSpec {
        queue: queue.or_else(|| Some(QueueName::as_stored(row.queue.clone()))),
        priority: Some(row.priority.saturating_add(1).min(priority)),
        payload: Payload {
            command: Some(hook.command.clone()),
            env,
            cwd: hook.cwd.map(str::to_owned),
            ..Payload::default()
        },
        ..JobSpec::default()
    };
    let by = EnqueuedBy {
        job: JobId(row.id),
        hook: Some(hook.on),
        depth: u16::try_from(row.hook_depth).unwrap_or(0) + 1,
    };
    match spec.validate(now) {
        Ok(job) => Some(job.with_enqueued_by(Some(by))),
        Err(error) => {
            tracing::error!(job = row.id, on = hook.on.name(), "a hook cannot run: {error}");
            None
        }
    }
}

/// Has the ledger of the ended job say which hook it fired.
fn note(db: &mut Db, job: &ValidJob, id: JobId, now: Timestamp) -> Result<(), StoreError> {
    let Some(EnqueuedBy { job: of, hook, .. }) = job.enqueued_by() else {
        return Ok(());
    };
    let name = job.payload.env.get("QUEUECTL_HOOK_NAME");
    let on = hook.map(HookOn::name);
    Note {
        at: now.0,
        job_id: of.0,
        kind: "hook".to_owned(),
        detail: serde_json::json!({ "on": on, "job": id.0, "name": name }).to_string(),
    }
    .execute(db)?;
    Ok(())
}

/// Says in the log and in the ledger that a job's own hook does not run because it cannot be read.
fn note_unreadable(db: &mut Db, job: i64, on: HookOn, now: Timestamp) -> Result<(), StoreError> {
    tracing::error!(job, on = on.name(), "a hook cannot be read and does not run");
    Note {
        at: now.0,
        job_id: job,
        kind: "hook".to_owned(),
        detail: serde_json::json!({ "on": on, "job": null, "problem": "its stored command cannot be read" })
            .to_string(),
    }
    .execute(db)?;
    Ok(())
}

/// Whether jobs that end so may have hooks of all jobs, or of a queue's: what the statements look for.
pub fn events(from: State, to: State) -> i16 {
    match env::fires_hooks() && !env::is_disabled(Guard::AddedHooks) {
        true => HookOns::of(from, to).code(),
        false => 0,
    }
}
