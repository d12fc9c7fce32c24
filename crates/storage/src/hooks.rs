//! Hooks as they are stored: those of a job, and those of all jobs, of a queue's or of a schedule's.
//!
//! What becomes of them is in `outcome/hooks.rs`; how an operator handles them in `ops/hooks.rs`.

use diesel::prelude::*;
use queuectl_core::{
    Alert, Command, Hook, HookName, HookOn, HookOns, JobHooks, JobId, QueueName, ScheduleName, Timestamp,
    ValidJob,
};
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::backend::{Db, insert_rows};
use crate::columns::{of_i32, of_i64, to_i32, to_i64};
use crate::schema::{alerts, hooks, job_hooks};
use crate::types::text::{MaybeWords, Words};

/// The hooks that a job was enqueued with.
#[derive(Debug, Clone, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = job_hooks, treat_none_as_default_value = false)]
pub struct JobHooksRow {
    pub job_id: i64,
    #[diesel(deserialize_as = MaybeWords)]
    on_success: Option<String>,
    #[diesel(deserialize_as = MaybeWords)]
    on_failure: Option<String>,
    #[diesel(deserialize_as = MaybeWords)]
    on_death: Option<String>,
    #[diesel(deserialize_as = MaybeWords)]
    to_queue: Option<String>,
}

impl JobHooksRow {
    fn new(job: JobId, own: &JobHooks) -> JobHooksRow {
        let stored = |on| own.get(on).map(to_stored);
        JobHooksRow {
            job_id: job.0,
            on_success: stored(HookOn::Success),
            on_failure: stored(HookOn::Failure),
            on_death: stored(HookOn::Death),
            to_queue: own.to_queue.as_ref().map(|queue| queue.as_str().to_owned()),
        }
    }

    /// The hooks of a job; none if there is no row.
    pub fn of(conn: &mut Db, job: i64) -> Result<JobHooks, StoreError> {
        let row = job_hooks::table.find(job).select(JobHooksRow::as_select());
        let row: Option<JobHooksRow> = row.first(conn).optional()?;
        Ok(row.map(JobHooksRow::into_hooks).unwrap_or_default())
    }

    /// What the hooks are for that cannot be read.
    pub fn unreadable(&self) -> HookOns {
        let stored = [
            (HookOn::Success, &self.on_success),
            (HookOn::Failure, &self.on_failure),
            (HookOn::Death, &self.on_death),
        ];
        let bad = stored.into_iter().filter(|(_, text)| {
            let text = text.as_deref();
            text.is_some_and(|text| from_stored(text).is_none())
        });
        bad.fold(HookOns::NONE, |all, (on, _)| all.with(on))
    }

    /// The hooks. One that cannot be read is left out: `db:check` says so, and an event when it was to run.
    pub fn into_hooks(self) -> JobHooks {
        let command = |text: Option<String>| text.and_then(|text| from_stored(&text));
        JobHooks {
            on_success: command(self.on_success),
            on_failure: command(self.on_failure),
            on_death: command(self.on_death),
            to_queue: self.to_queue.map(QueueName::as_stored),
        }
    }
}

/// Stores the hooks of new jobs.
pub fn insert_of_jobs<'a>(
    conn: &mut Db,
    jobs: impl Iterator<Item = (JobId, &'a ValidJob)>,
) -> Result<(), StoreError> {
    let rows = jobs.filter(|(_, job)| !job.hooks.is_empty());
    let rows: Vec<JobHooksRow> = rows.map(|(id, job)| JobHooksRow::new(id, &job.hooks)).collect();
    insert_rows!(conn, job_hooks::table, rows);
    Ok(())
}

/// Stores the hooks that a job has from now on.
pub fn replace_of_job(conn: &mut Db, id: JobId, job: &ValidJob) -> Result<(), StoreError> {
    diesel::delete(job_hooks::table.find(id.0)).execute(conn)?;
    insert_of_jobs(conn, std::iter::once((id, job)))
}

/// A hook of all jobs, of a queue's or of a schedule's.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = hooks, treat_none_as_default_value = false)]
pub struct HookRow {
    #[diesel(deserialize_as = Words)]
    pub name: String,
    events: i16,
    #[diesel(deserialize_as = MaybeWords)]
    queue: Option<String>,
    #[diesel(deserialize_as = MaybeWords)]
    schedule: Option<String>,
    #[diesel(deserialize_as = MaybeWords)]
    to_queue: Option<String>,
    #[diesel(deserialize_as = Words)]
    command: String,
    #[diesel(deserialize_as = MaybeWords)]
    cwd: Option<String>,
    created_at: i64,
}

impl HookRow {
    pub fn new(hook: &Hook) -> HookRow {
        let queue = |queue: &Option<QueueName>| queue.as_ref().map(|queue| queue.as_str().to_owned());
        HookRow {
            name: hook.name.as_str().to_owned(),
            events: hook.on.code(),
            queue: queue(&hook.queue),
            schedule: hook.schedule.as_ref().map(|name| name.as_str().to_owned()),
            to_queue: queue(&hook.to_queue),
            command: to_stored(&hook.command),
            cwd: hook.cwd.clone(),
            created_at: hook.created_at.0,
        }
    }

    /// The hook without its alert. A command that cannot be read is shown, and fails when it runs.
    pub fn into_hook(self) -> Hook {
        Hook {
            name: HookName::as_stored(self.name),
            on: HookOns::from_code(self.events),
            queue: self.queue.map(QueueName::as_stored),
            schedule: self.schedule.map(ScheduleName::as_stored),
            to_queue: self.to_queue.map(QueueName::as_stored),
            command: from_stored(&self.command).unwrap_or(Command::Line(self.command)),
            cwd: self.cwd,
            created_at: Timestamp(self.created_at),
            alert: None,
        }
    }
}

/// How many jobs have to be dead for a hook.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = alerts, treat_none_as_default_value = false)]
pub struct AlertRow {
    #[diesel(deserialize_as = Words)]
    hook: String,
    threshold: i32,
    again_ms: Option<i64>,
    fired_at: Option<i64>,
}

impl AlertRow {
    pub fn new(hook: &HookName, alert: Alert) -> AlertRow {
        AlertRow {
            hook: hook.as_str().to_owned(),
            threshold: to_i32(alert.dead),
            again_ms: alert.again_ms.map(to_i64),
            fired_at: alert.fired_at.map(|at| at.0),
        }
    }

    pub fn alert(&self) -> Alert {
        Alert {
            dead: of_i32(self.threshold),
            again_ms: self.again_ms.map(of_i64),
            fired_at: self.fired_at.map(Timestamp),
        }
    }
}

/// The rows of all hooks but those of single jobs, by name. There are few.
pub fn all(conn: &mut Db) -> Result<Vec<HookRow>, StoreError> {
    let rows = hooks::table.order(hooks::name).select(HookRow::as_select());
    Ok(rows.load(conn)?)
}

/// The rows that say for which of them how many jobs have to be dead, by name.
pub fn all_alerts(conn: &mut Db) -> Result<Vec<AlertRow>, StoreError> {
    let rows = alerts::table.order(alerts::hook).select(AlertRow::as_select());
    Ok(rows.load(conn)?)
}

/// All hooks but those of single jobs, by name.
pub fn all_hooks(conn: &mut Db) -> Result<Vec<Hook>, StoreError> {
    let rows = all(conn)?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let alerts = all_alerts(conn)?;
    let with_alert = |row: HookRow| {
        let alert = alerts.iter().find(|alert| alert.hook == row.name);
        Hook {
            alert: alert.map(AlertRow::alert),
            ..row.into_hook()
        }
    };
    Ok(rows.into_iter().map(with_alert).collect())
}

fn to_stored(command: &Command) -> String {
    // Texts always serialise.
    serde_json::to_string(command).unwrap_or_default()
}

fn from_stored(text: &str) -> Option<Command> {
    serde_json::from_str(text).ok()
}
