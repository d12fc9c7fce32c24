//! Alerts: hooks that run when a number of jobs are dead, and not again before they are armed: fewer jobs were dead, or a time is over.
//!
//! The transaction that records deaths looks at the number and stores the hook's job, so an alert runs once, whatever is
//! killed. The lock of its row has the second of two transactions count what the first did; both would pass over the number otherwise.
//! Whether it runs is decided in core. The transaction after which fewer jobs are dead arms it again.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use queuectl_core::limits::HOOK_DEPTH;
use queuectl_core::{
    Alert, Gates, Hook, HookOn, HookOns, JobId, Payload, QueueName, State, Timestamp, ValidJob,
};

use super::Change;
use super::hook_facts::{Ended, bounded};
use super::hooks::{Fired, insert_hooks, job_of};
use crate::backend::statements::statements;
use crate::backend::{AnySql, Db};
use crate::counts::Deltas;
use crate::hooks::{AlertRow, all_hooks};
use crate::limits::Keys;
use crate::rows::{AttemptRow, JobRow, groups_of};
use crate::schema::{alerts, attempts, jobs, payloads};
use crate::types::text::Words;
use crate::{StoreError, env};

statements! { AnySql, Db;
    /// How many jobs were dead before this transaction.
    DeadJobs {} -> (BigInt,) {
        "SELECT CAST(coalesce(sum(jobs), 0) AS BIGINT) FROM counts WHERE state = {dead}"
    }

    /// The same of a queue.
    DeadJobsOf { queue: String as Text } -> (BigInt,) {
        "SELECT CAST(coalesce(sum(jobs), 0) AS BIGINT) FROM counts WHERE queue = ? AND state = {dead}"
    }

    /// The most frequent error of the newest dead jobs, and how many have it. The index of finished jobs is one for each queue, and
    /// one for all but `default`.
    TopError {} -> (Text, BigInt) {
        "SELECT a.message, count(*) FROM (SELECT id, fence FROM (\
         SELECT * FROM (SELECT id, fence, finished_at FROM jobs WHERE queue = 'default' AND state = {dead} \
         AND finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1000) AS one UNION ALL \
         SELECT * FROM (SELECT id, fence, finished_at FROM jobs WHERE (queue = 'default') IS FALSE AND state = {dead} \
         AND finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1000) AS others) AS newest ORDER BY finished_at DESC LIMIT 1000) AS d \
         JOIN attempts AS a ON a.job_id = d.id AND a.fence = d.fence GROUP BY a.message ORDER BY 2 DESC, 1 LIMIT 1"
    }

    /// The same of a queue.
    TopErrorOf { queue: String as Text } -> (Text, BigInt) {
        "SELECT a.message, count(*) FROM (SELECT id, fence FROM jobs WHERE queue = ? AND state = {dead} AND finished_at IS NOT NULL \
         ORDER BY finished_at DESC LIMIT 1000) AS d JOIN attempts AS a ON a.job_id = d.id AND a.fence = d.fence \
         GROUP BY a.message ORDER BY 2 DESC, 1 LIMIT 1"
    }
}

/// Stores the alerts that jobs fire which have died. What else the transaction changed is not in the counts yet.
pub fn after(
    db: &mut Db,
    changes: &[Change],
    keys: &mut Keys,
    now: Timestamp,
    deltas: &Deltas,
) -> Result<(), StoreError> {
    let died = |change: &&Change| {
        change.gates.has(Gates::HOOKS) && HookOns::of(change.from, change.to).has(HookOn::Death)
    };
    let ids: Vec<i64> = changes.iter().filter(died).map(|change| change.job).collect();
    if ids.is_empty() || !env::fires_hooks() {
        return Ok(());
    }
    let mut hooks = all_hooks(db)?;
    hooks.retain(|hook| hook.alert.is_some());
    if hooks.is_empty() {
        return Ok(());
    }
    // Hooks fire no hooks.
    let rows: Vec<JobRow> = jobs::table
        .filter(jobs::id.eq_any(ids))
        .filter(jobs::hook.is_null())
        .filter(jobs::hook_depth.lt(HOOK_DEPTH.cast_signed()))
        .order(jobs::id.desc())
        .select(JobRow::as_select())
        .load(db)?;
    let mut new = Vec::new();
    // In the order of their names, so that transactions wait for each other and never in a circle.
    for hook in &hooks {
        let queue = hook.queue.as_ref().map(QueueName::as_str);
        let last = rows
            .iter()
            .find(|row| queue.is_none_or(|queue| queue == row.queue));
        if let Some(last) = last {
            new.extend(look_at(db, hook, queue, last, now, deltas)?);
        }
    }
    insert_hooks(db, &new, keys, now)
}

/// Looks at one alert after deaths that concern it, of which `last` is one. Returns the job that runs it, if it does.
fn look_at(
    db: &mut Db,
    hook: &Hook,
    queue: Option<&str>,
    last: &JobRow,
    now: Timestamp,
    deltas: &Deltas,
) -> Result<Option<ValidJob>, StoreError> {
    let Some(alert) = lock(db, hook)? else {
        return Ok(None);
    };
    let [before, after] = dead_jobs(db, queue, deltas)?;
    let fires = alert.fires(before, after, now);
    let fired_at = match fires {
        true => Some(now),
        false => alert.fired_at.filter(|_| after >= u64::from(alert.dead)),
    };
    if fired_at != alert.fired_at {
        set_fired(db, hook, fired_at)?;
    }
    match fires {
        true => job(db, hook, alert, after, last, now),
        false => Ok(None),
    }
}

/// Arms the alerts again that have run, if the transaction leaves fewer jobs dead than they are for. What it changed is not
/// in the counts yet.
pub fn arm(db: &mut Db, deltas: &Deltas) -> Result<(), StoreError> {
    if !deltas.has_less(State::Dead) {
        return Ok(());
    }
    let mut hooks = all_hooks(db)?;
    hooks.retain(|hook| hook.alert.is_some_and(|alert| alert.fired_at.is_some()));
    for hook in &hooks {
        let queue = hook.queue.as_ref().map(QueueName::as_str);
        if deltas.of(queue, State::Dead) < 0
            && let Some(alert) = lock(db, hook)?
            && dead_jobs(db, queue, deltas)?[1] < u64::from(alert.dead)
        {
            set_fired(db, hook, None)?;
        }
    }
    Ok(())
}

/// How many jobs are dead of a queue, or of all, before the transaction and after it.
fn dead_jobs(db: &mut Db, queue: Option<&str>, deltas: &Deltas) -> Result<[u64; 2], StoreError> {
    let before = match queue {
        None => DeadJobs {}.get_result::<(i64,)>(db)?.0,
        Some(queue) => {
            let queue = queue.to_owned();
            DeadJobsOf { queue }.get_result::<(i64,)>(db)?.0
        }
    };
    let after = before.saturating_add(deltas.of(queue, State::Dead));
    Ok([before, after].map(|jobs| u64::try_from(jobs).unwrap_or(0)))
}

fn set_fired(db: &mut Db, hook: &Hook, at: Option<Timestamp>) -> Result<(), StoreError> {
    diesel::update(alerts::table.find(hook.name.as_str()))
        .set(alerts::fired_at.eq(at.map(|at| at.0)))
        .execute(db)?;
    Ok(())
}

/// Locks an alert and returns how it stands; none if it was removed meanwhile.
fn lock(db: &mut Db, hook: &Hook) -> Result<Option<Alert>, StoreError> {
    let row = alerts::table.find(hook.name.as_str());
    if env::locks_groups() {
        diesel::update(row)
            .set(alerts::threshold.eq(alerts::threshold))
            .execute(db)?;
    }
    let row: Option<AlertRow> = row.select(AlertRow::as_select()).first(db).optional()?;
    Ok(row.map(|row| row.alert()))
}

/// The job that runs an alert: a hook of the job whose death it was.
fn job(
    db: &mut Db,
    hook: &Hook,
    alert: Alert,
    dead: u64,
    last: &JobRow,
    now: Timestamp,
) -> Result<Option<ValidJob>, StoreError> {
    let payload: Option<Words> = payloads::table
        .filter(payloads::job_id.eq(last.id))
        .select(payloads::payload)
        .first(db)
        .optional()?;
    let payload: Option<Payload> = payload.and_then(|words| serde_json::from_str(&words.text).ok());
    let payload = payload.unwrap_or_default();
    let attempt: Option<AttemptRow> = attempts::table
        .find((last.id, last.fence))
        .select(AttemptRow::as_select())
        .first(db)
        .optional()?;
    let groups = match Gates::from_code(last.gates).has(Gates::MEMBER) {
        true => groups_of(db, JobId(last.id))?,
        false => Vec::new(),
    };
    let ended = Ended {
        row: last,
        payload: &payload,
        groups: &groups,
        attempt: attempt.as_ref(),
        state: State::Dead,
    };
    let top: Option<(Words, i64)> = match &hook.queue {
        None => TopError {}.get_result(db).optional()?,
        Some(queue) => {
            let queue = queue.as_str().to_owned();
            TopErrorOf { queue }.get_result(db).optional()?
        }
    };
    let mut more = BTreeMap::from([
        ("QUEUECTL_HOOK_DEAD".to_owned(), dead.to_string()),
        ("QUEUECTL_HOOK_WHEN_DEAD".to_owned(), alert.dead.to_string()),
    ]);
    if let Some((error, jobs)) = top {
        more.insert("QUEUECTL_HOOK_TOP_ERROR".to_owned(), bounded(&error.text));
        more.insert("QUEUECTL_HOOK_TOP_ERROR_JOBS".to_owned(), jobs.to_string());
    }
    Ok(job_of(&Fired::common(hook, HookOn::Death), &ended, more, now))
}
