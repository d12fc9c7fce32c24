//! Hooks as an operator handles them: added, listed, removed. And which job had another stored. What hooks do is in
//! `outcome/hooks.rs`.

use diesel::dsl::count_star;
use diesel::prelude::*;
use queuectl_core::limits::HOOKS;
use queuectl_core::{EnqueuedBy, Hook, HookName, HookOn, JobId, JobRef, State};

use crate::backend::on_any;
use crate::hooks::{AlertRow, HookRow, all, all_hooks};
use crate::schema::{alerts, hooks, jobs, nodes};
use crate::types::text::Words;
use crate::{Store, StoreError};

/// A job that is a hook of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookJob {
    /// Its number.
    pub id: JobId,
    /// What it is a hook for; none if a later version stored it.
    pub on: Option<HookOn>,
    /// Its state; none if it cannot be read.
    pub state: Option<State>,
}

/// Hooks of a job that are listed, the newest ones.
const LISTED: i64 = 100;

impl Store {
    /// Adds a hook. When this returns, it runs for every attempt whose end is recorded from then on.
    ///
    /// # Errors
    /// [`StoreError::HookTaken`]; [`StoreError::TooManyHooks`].
    pub fn add_hook(&mut self, hook: &Hook) -> Result<(), StoreError> {
        let operator = self.operator_at(hook.created_at);
        self.write(|conn| {
            // Of two that add the last one that there may be, the second sees the first.
            conn.dialect().lock_schedules()?;
            let name = hook.name.as_str();
            let stored = all(conn)?;
            if stored.iter().any(|row| row.name == name) {
                return Err(StoreError::HookTaken(name.to_owned()));
            }
            if stored.len() >= HOOKS {
                return Err(StoreError::TooManyHooks);
            }
            let row = HookRow::new(hook);
            on_any!(conn, conn => diesel::insert_into(hooks::table).values(row).execute(conn))?;
            if let Some(alert) = hook.alert {
                let row = AlertRow::new(&hook.name, alert);
                on_any!(conn, conn => diesel::insert_into(alerts::table).values(row).execute(conn))?;
            }
            let mut rest = serde_json::json!({
                "on": hook.on.to_string(), "queue": hook.queue, "schedule": hook.schedule, "command": hook.command,
            });
            if let Some(alert) = hook.alert {
                rest["when_dead"] = alert.dead.into();
            }
            operator.note(conn, "hook added", &[("hook", name)], rest)
        })?;
        // A cycle that began before does not see it.
        self.backend.settle_claims()
    }

    /// All hooks but those of single jobs, by name.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn hooks(&mut self) -> Result<Vec<Hook>, StoreError> {
        all_hooks(self.conn()?)
    }

    /// A hook.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHook`].
    pub fn hook(&mut self, name: &HookName) -> Result<Hook, StoreError> {
        let all = all_hooks(self.conn()?)?;
        let found = all.into_iter().find(|hook| hook.name == *name);
        found.ok_or_else(|| StoreError::NoSuchHook(name.to_string()))
    }

    /// Removes hooks, all or none. Jobs that they made stay.
    ///
    /// # Errors
    /// [`StoreError::NoSuchHook`].
    pub fn remove_hooks(&mut self, names: &[HookName]) -> Result<(), StoreError> {
        let now = self.now()?;
        let operator = self.operator_at(now);
        // In the order in which nodes lock them.
        let mut names: Vec<&HookName> = names.iter().collect();
        names.sort_by_key(|name| name.as_str());
        self.write(|conn| {
            for name in &names {
                if diesel::delete(hooks::table.find(name.as_str())).execute(conn)? == 0 {
                    return Err(StoreError::NoSuchHook(name.to_string()));
                }
                diesel::delete(alerts::table.find(name.as_str())).execute(conn)?;
                operator.note(
                    conn,
                    "hook removed",
                    &[("hook", name.as_str())],
                    serde_json::json!({}),
                )?;
            }
            Ok(())
        })
    }

    /// The hooks that a job fired, oldest first: the newest 100 jobs that are there.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn hooks_of(&mut self, job: JobId) -> Result<Vec<HookJob>, StoreError> {
        let mut rows: Vec<(i64, Option<i16>, i16)> = jobs::table
            .filter(jobs::enqueued_by.eq(job.0))
            .filter(jobs::hook.is_not_null())
            .order(jobs::id.desc())
            .limit(LISTED)
            .select((jobs::id, jobs::hook, jobs::state))
            .load(self.conn()?)?;
        rows.reverse();
        let hook_job = |(id, on, state): (i64, Option<i16>, i16)| HookJob {
            id: JobId(id),
            on: on.and_then(HookOn::from_code),
            state: State::from_code(state),
        };
        Ok(rows.into_iter().map(hook_job).collect())
    }

    /// A name for a hook that none has.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn free_hook_name(&mut self) -> Result<HookName, StoreError> {
        let conn = self.conn()?;
        let mut number: i64 = hooks::table.select(count_star()).first(conn)?;
        loop {
            number += 1;
            let name = format!("hook-{number}");
            let taken: i64 = hooks::table
                .filter(hooks::name.eq(&name))
                .select(count_star())
                .first(conn)?;
            if taken == 0 {
                return Ok(HookName::as_stored(name));
            }
        }
    }

    /// Says by which job a new one is enqueued, from what a running job is told: its id, and the mark of the processes of
    /// its node. None unless that job runs, and in this store.
    ///
    /// # Errors
    /// [`StoreError::Database`], also for a role that may not read nodes.
    pub fn enqueued_by(&mut self, job: &JobRef, mark: &str) -> Result<Option<EnqueuedBy>, StoreError> {
        let query = jobs::table
            .inner_join(nodes::table.on(jobs::node_id.eq(nodes::id.nullable())))
            .select((jobs::id, jobs::hook_depth, nodes::cookie));
        let found: Option<(i64, i16, Words)> = match job {
            JobRef::Number(id) => query.filter(jobs::id.eq(id.0)).first(self.conn()?).optional()?,
            JobRef::Name(name) => query
                .filter(jobs::name.eq(name.as_str()))
                .first(self.conn()?)
                .optional()?,
        };
        let own = found.filter(|(_, _, cookie)| mark.starts_with(&cookie.text));
        Ok(own.map(|(id, depth, _)| EnqueuedBy {
            job: JobId(id),
            hook: None,
            depth: u16::try_from(depth).unwrap_or(0),
        }))
    }
}
