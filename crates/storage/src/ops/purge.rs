//! Removing ended jobs for good, in small steps.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use queuectl_core::{JobRef, QueueName, Refused, State, Timestamp};

use super::only::Only;
use super::operations::{Entry, Log, keep, portion};
use super::show::find;
use super::{history, listing};
use crate::backend::Db;
use crate::counts::Deltas;
use crate::outcome::{self, standing};
use crate::rows::JobRow;
use crate::states::sql;
use crate::types::operation::MassDone;
use crate::{Store, StoreError};

/// Which ended jobs to remove.
#[derive(Debug, Clone)]
pub struct PurgeFilter {
    /// Their state; only final states have jobs to remove.
    pub state: State,
    /// Only in this queue.
    pub queue: Option<QueueName>,
    /// Only those that ended before.
    pub ended_before: Option<Timestamp>,
    /// Most jobs to remove in this step.
    pub limit: u32,
}

/// What a step of a purge did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Purged {
    /// Jobs removed.
    pub jobs: u64,
    /// Whether there may be more; if not, there was none left.
    pub more: bool,
}

impl Store {
    /// Removes up to `limit` ended jobs with their attempts and outputs, those that ended first first, and those of
    /// the queue `default` before all others. Ends early when it has taken long enough.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn purge(&mut self, filter: &PurgeFilter) -> Result<Purged, StoreError> {
        self.purge_where(filter, "TRUE")
    }

    /// Does the same with those that keep no unique key any more at that time: a key that outlives its job is known by the
    /// job's row alone.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn purge_expired(&mut self, filter: &PurgeFilter, now: Timestamp) -> Result<Purged, StoreError> {
        let keeps = sql!("(unique_ms IS NULL OR state = {cancelled} OR created_at + unique_ms <= ");
        self.purge_where(filter, &format!("{keeps}{})", now.0))
    }

    fn purge_where(&mut self, filter: &PurgeFilter, fit: &str) -> Result<Purged, StoreError> {
        let (ids, more) = self.write_busily(|conn| {
            let queue = filter.queue.as_ref();
            let (state, before) = (filter.state, filter.ended_before);
            let ids = listing::ended_where(conn, state, queue, before, filter.limit, fit)?;
            let all = ids.len() as u64 == u64::from(filter.limit);
            let found = ids.len();
            let removed = remove(conn, ids, filter.state)?;
            let more = all || removed.len() < found;
            Ok((removed, more))
        })?;
        self.remove_outputs(&ids);
        let jobs = ids.len() as u64;
        Ok(Purged { jobs, more })
    }

    /// How many ended jobs fit: what steps of [`Store::purge`] would remove. Reads an index over all of them.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn count_purgeable(&mut self, filter: &PurgeFilter) -> Result<u64, StoreError> {
        listing::count_ended(
            self.conn()?,
            filter.state,
            filter.queue.as_ref(),
            filter.ended_before,
        )
    }

    /// Removes one job, which must have ended and fit `only`.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if it is in another state; [`StoreError::LeftAlone`] if it is
    /// not one of those that are meant.
    pub fn purge_one(&mut self, job: &JobRef, only: &Only) -> Result<(), StoreError> {
        let now = self.now()?;
        let log = Log::of(self.operation.as_ref());
        let (id, operation) = self.write(|conn| {
            let mut entry = log.enter(conn, now)?;
            let row: JobRow = find(conn, job)?;
            let at = standing(&row)?;
            only.check(job, &row, at.state, "purge")?;
            if !at.state.is_final() {
                return Err(StoreError::Refused {
                    job: job.to_string(),
                    refused: Refused {
                        state: at.state,
                        event: "purge",
                    },
                });
            }
            let removed = remove_kept(conn, vec![row.id], at.state, &mut entry)?;
            let operation = entry.id();
            let done = MassDone {
                changed: removed.len() as u64,
                ..MassDone::default()
            };
            entry.store(conn, &done, None)?;
            Ok((row.id, operation))
        })?;
        self.has_entered(operation);
        self.remove_outputs(&[id]);
        Ok(())
    }
}

/// Jobs that are read at a time to be kept: more, as long as that is quick.
const KEPT: std::ops::RangeInclusive<usize> = 64..=1024;
const KEPT_QUICKLY: Duration = Duration::from_millis(10);
/// Longest time for which jobs are kept and removed in one transaction. Longer than without keeping them: more is done for each.
const KEPT_MOST: Duration = Duration::from_millis(50);

/// Removes jobs as [`remove`] does, and keeps them for an undo if the operation does: fewer than there are if it keeps much or
/// time is over.
pub(super) fn remove_kept(
    conn: &mut Db,
    ids: Vec<i64>,
    state: State,
    entry: &mut Entry,
) -> Result<Vec<i64>, StoreError> {
    let until = Instant::now() + KEPT_MOST;
    let mut removed = Vec::new();
    let mut rest = ids.as_slice();
    let mut size = *KEPT.start();
    while !rest.is_empty() && (removed.is_empty() || (Instant::now() < until && !entry.is_full())) {
        if !entry.keeps() {
            removed.extend(remove(conn, rest.to_vec(), state)?);
            break;
        }
        let start = Instant::now();
        let portion = portion(conn, &rest[..rest.len().min(size)])?;
        let some;
        (some, rest) = rest.split_at(portion.jobs);
        let mut of_these = some.to_vec();
        keep(conn, entry, &portion)?;
        while !of_these.is_empty() {
            // It may stop in between. On a server others may have been quicker.
            let gone = remove(conn, of_these.clone(), state)?;
            if gone.is_empty() {
                entry.forget(&of_these);
                break;
            }
            let gone_ids: HashSet<i64> = gone.iter().copied().collect();
            of_these.retain(|id| !gone_ids.contains(id));
            removed.extend(gone);
        }
        if start.elapsed() < KEPT_QUICKLY {
            size = (size * 2).min(*KEPT.end());
        }
    }
    Ok(removed)
}

/// Removes jobs that ended in that state with all that belongs to them, as many as there is time for. Returns those.
pub(super) fn remove(conn: &mut Db, ids: Vec<i64>, state: State) -> Result<Vec<i64>, StoreError> {
    let mut deltas = Deltas::default();
    let removal = history::before_removal(conn, &ids)?;
    let removed = conn.dialect().remove_jobs(ids, state, &mut deltas)?;
    outcome::removed(conn, &removed)?;
    outcome::arm_alerts(conn, &deltas)?;
    let queues = deltas.queues();
    conn.dialect().add_counts(deltas)?;
    if !removed.is_empty() {
        conn.dialect().fold_counts(Some(queues))?;
    }
    let removed: Vec<i64> = removed.into_iter().map(|(id, _)| id).collect();
    history::after_removal(conn, removal, &removed)?;
    Ok(removed)
}
