//! Limits of queues as an operator handles them: set, shown, removed. How a claim heeds them is in `limits/queues.rs`.

use std::collections::BTreeMap;

use diesel::prelude::*;
use queuectl_core::limits::LIMITED_QUEUES;
use queuectl_core::{
    BurstAlone, QueueLimit, QueueLimitChange, QueueLimitKey, QueueName, QueueSetting, Timestamp,
};

use super::operations::SETTING_CHANGED;
use super::operator::Operator;
use super::queue_settings::change_settings;
use crate::backend::{Db, on_any};
use crate::limits::{Full, Keys, LimitParts, LimitRows, queue_key, queue_limit};
use crate::schema::{limit_keys, queue_limits};
use crate::types::nodes::Wake;
use crate::types::text::Words;
use crate::{Store, StoreError};

/// A queue's limit, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueLimitUse {
    /// The limit.
    pub limit: QueueLimit,
    /// Its jobs that run, or that a node has claimed.
    pub running: u64,
    /// Whether as many run as may.
    pub is_full: bool,
    /// When the rate allows the next start, if it allows none now.
    pub next_at: Option<Timestamp>,
}

impl Store {
    /// Changes settings of a queue and its limit, all or none. When this returns, no claim is under way that does not know of
    /// the new limit; jobs that run go on in any case.
    ///
    /// # Errors
    /// [`StoreError::QueueBurst`]; [`StoreError::TooMany`]: too many queues would have settings or limits of their own.
    pub fn change_queue(
        &mut self,
        queue: &QueueName,
        settings: &[(QueueSetting, Option<String>)],
        limit: &[QueueLimitChange],
    ) -> Result<(), StoreError> {
        let now = self.now()?;
        let operator = self.operator_at(now);
        self.write(|db| {
            change_settings(db, settings, &operator)?;
            match limit.is_empty() {
                true => Ok(()),
                false => change_limit(db, queue, limit, &operator),
            }
        })?;
        self.wake_all(Wake::Control);
        if limit.is_empty() {
            return Ok(());
        }
        self.wake_all(Wake::Jobs);
        self.backend.settle_claims()
    }

    /// The limits of queues, and how they stand.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn queue_limits(&mut self, now: Timestamp) -> Result<BTreeMap<String, QueueLimitUse>, StoreError> {
        self.conn()?.snapshot(|db| queue_limits_in(db, now))
    }
}

fn change_limit(
    db: &mut Db,
    queue: &QueueName,
    changes: &[QueueLimitChange],
    operator: &Operator,
) -> Result<(), StoreError> {
    on_any!(db, conn => conn.lock_limits(false))?;
    let row = queue_limits::table.find(queue.as_str());
    let parts = (
        queue_limits::running,
        queue_limits::rate_count,
        queue_limits::rate_period_ms,
        queue_limits::burst,
    );
    let before: Option<LimitParts> = row.select(parts).first(db).optional()?;
    let before = before.map(queue_limit).unwrap_or_default();
    let after = before
        .changed(changes)
        .map_err(|BurstAlone| StoreError::QueueBurst {
            queue: queue.to_string(),
        })?;
    for key in QueueLimitKey::ALL {
        let what = [("queue", queue.as_str()), ("setting", key.name())];
        operator.changed(db, SETTING_CHANGED, &what, before.value(key), after.value(key))?;
    }
    diesel::delete(row).execute(db)?;
    if after.rate.is_none() {
        diesel::delete(limit_keys::table.find(queue_key(queue.as_str()))).execute(db)?;
    }
    if after.is_empty() {
        return Ok(());
    }
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    diesel::insert_into(queue_limits::table)
        .values((
            queue_limits::name.eq(queue.as_str()),
            queue_limits::running.eq(after.running.map(number)),
            queue_limits::rate_count.eq(after.rate.map(|rate| number(rate.count))),
            queue_limits::rate_period_ms.eq(after
                .rate
                .map(|rate| i64::try_from(rate.period_ms).unwrap_or(i64::MAX))),
            queue_limits::burst.eq(after.rate.map(|rate| number(rate.burst))),
        ))
        .execute(db)?;
    let limited: i64 = queue_limits::table.count().get_result(db)?;
    match usize::try_from(limited) {
        Ok(..=LIMITED_QUEUES) => Ok(()),
        _ => Err(StoreError::TooMany {
            what: "queues with limits",
            most: LIMITED_QUEUES,
        }),
    }
}

/// The limits of queues, and how they stand.
pub(crate) fn queue_limits_in(
    db: &mut Db,
    now: Timestamp,
) -> Result<BTreeMap<String, QueueLimitUse>, StoreError> {
    let rows: Vec<(Words, LimitParts)> = queue_limits::table
        .select((
            queue_limits::name,
            (
                queue_limits::running,
                queue_limits::rate_count,
                queue_limits::rate_period_ms,
                queue_limits::burst,
            ),
        ))
        .load(db)?;
    let limited: Vec<(String, QueueLimit)> = rows
        .into_iter()
        .map(|(name, parts)| (name.text, queue_limit(parts)))
        .collect();
    let mut keys = Keys::default();
    on_any!(db, conn => keys.read_queues(conn, &limited))?;
    let uses = limited.into_iter().map(|(queue, limit)| {
        let full = keys.queue_room(&queue, now).err();
        let found = QueueLimitUse {
            limit,
            running: keys.running_in(&queue),
            is_full: full == Some(Full::Running),
            next_at: match full {
                Some(Full::Until(time)) => Some(time),
                _ => None,
            },
        };
        (queue, found)
    });
    Ok(uses.collect())
}
