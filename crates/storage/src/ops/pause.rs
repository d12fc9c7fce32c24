//! Pausing queues. A paused queue is not claimed from: its jobs stay as they are, and those that run go on.
//!
//! A pause is read by every claim in its own transaction, so no claim that begins after its commit takes a job of the queue.

use std::collections::BTreeMap;

use diesel::prelude::*;
use queuectl_core::limits::PAUSED_QUEUES;
use queuectl_core::{QueueName, Timestamp};

use super::any;
use super::operator::Operator;
use crate::backend::Db;
use crate::backend::statements::{NoteOther, StorePause};
use crate::schema::queues;
use crate::types::nodes::Wake;
use crate::types::pause::{ENDLESS, Pause};
use crate::types::text::{MaybeWords, Words};
use crate::{Store, StoreError};

impl Store {
    /// Pauses queues, whether they have jobs or not. A pause that is in force is changed, and goes on since when it began. When
    /// this returns, no claim from them is under way. Without names, nothing changes.
    ///
    /// # Errors
    /// [`StoreError::TooMany`]: no queue was paused.
    pub fn pause_queues(&mut self, names: &[QueueName], pause: &Pause) -> Result<(), StoreError> {
        if names.is_empty() {
            return Ok(());
        }
        let operator = Operator::by(&pause.by, pause.at);
        self.write(|conn| {
            let over = queues::table.filter(queues::paused_until.le(pause.at.0));
            diesel::delete(over).execute(conn)?;
            for name in names {
                let row = queues::table.find(name.as_str());
                let before: Option<Option<i64>> = row.select(queues::paused_at).first(conn).optional()?;
                let statement = StorePause {
                    name: name.to_string(),
                    at: pause.at.0,
                    until: pause.until.map_or(ENDLESS, |until| until.0),
                    by: pause.by.clone(),
                    reason: pause.reason.clone(),
                };
                statement.execute(conn)?;
                // The triggers of the ledger know when a pause begins and when it ends.
                if before.flatten().is_some() {
                    let detail = serde_json::json!({
                        "queue": name.as_str(), "by": pause.by, "reason": pause.reason,
                        "until": pause.until.map(|until| until.0),
                    });
                    NoteOther {
                        at: pause.at.0,
                        kind: "queue paused".to_owned(),
                        detail: detail.to_string(),
                    }
                    .execute(conn)?;
                }
            }
            let named: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
            let reason = pause.reason.as_ref().map(|reason| format!(": {reason}"));
            let what = format!("queue {}{}", named.join(", "), reason.unwrap_or_default());
            operator.enter(conn, "queue paused", what, None)?;
            let paused: i64 = queues::table.count().get_result(conn)?;
            match usize::try_from(paused) {
                Ok(paused) if paused <= PAUSED_QUEUES => Ok(()),
                _ => Err(StoreError::TooMany {
                    what: "paused queues",
                    most: PAUSED_QUEUES,
                }),
            }
        })?;
        // A node has to know when the pause ends.
        self.wake_all(Wake::Jobs);
        self.backend.settle_claims()
    }

    /// Ends pauses. Says of each queue whether it was paused.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn resume_queues(&mut self, names: &[QueueName], now: Timestamp) -> Result<Vec<bool>, StoreError> {
        let operator = self.operator_at(now);
        let resumed = self.write(|conn| {
            let mut resumed = Vec::new();
            for name in names {
                let row = queues::table.find(name.as_str());
                let until: Option<Option<i64>> =
                    row.select(queues::paused_until).get_result(conn).optional()?;
                diesel::delete(row).execute(conn)?;
                let was_paused = until.flatten().is_some_and(|until| until > now.0);
                if was_paused {
                    operator.enter(conn, "queue resumed", format!("queue {name}"), None)?;
                }
                resumed.push(was_paused);
            }
            Ok(resumed)
        })?;
        self.wake_all(Wake::Jobs);
        Ok(resumed)
    }

    /// The pauses that are in force, by queue.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn pauses(&mut self, now: Timestamp) -> Result<BTreeMap<String, Pause>, StoreError> {
        pauses_in(self.conn()?, now)
    }

    /// Whether a job of the queue runs, or was claimed to.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn any_running(&mut self, queue: &QueueName) -> Result<bool, StoreError> {
        any::running(self.conn()?, Some(queue))
    }

    /// Has claims ignore that queues are paused. For tests, which must fail then.
    #[doc(hidden)]
    pub fn ignore_pauses(&mut self) {
        self.backend.ignore_pauses();
    }
}

/// The pauses that are in force, by queue.
pub(crate) fn pauses_in(conn: &mut Db, now: Timestamp) -> Result<BTreeMap<String, Pause>, StoreError> {
    type Row = (Words, Option<i64>, Option<i64>, MaybeWords, MaybeWords);
    let rows: Vec<Row> = queues::table.filter(queues::paused_until.gt(now.0)).load(conn)?;
    let pauses = rows.into_iter().map(|(name, at, until, by, reason)| {
        let pause = Pause {
            at: Timestamp(at.unwrap_or_default()),
            until: until.filter(|until| *until < ENDLESS).map(Timestamp),
            by: Option::from(by).unwrap_or_default(),
            reason: reason.into(),
        };
        (name.text, pause)
    });
    Ok(pauses.collect())
}
