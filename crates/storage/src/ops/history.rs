//! The history of statistics: how jobs fared that ended in each minute, by queue and executor, whatever becomes of the jobs.
//!
//! Nodes count the jobs now and then, in small steps, so that the end of a job costs nothing more. A place in the order of ends says
//! how far they are; it moves in the transaction that adds the jobs up to it, so each is counted once, whichever node does it. What
//! removes a job behind that place counts it in its own transaction. Minutes become hours after a day, which keeps the table
//! small. What a job did before it was retried by hand is counted, too: these are ends, not jobs.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use diesel::prelude::*;
use queuectl_core::{ExecutorName, QueueName, State, Timestamp};

use super::ended::{self, EndedWith};
use super::listing;
use crate::backend::{Db, insert_rows};
use crate::schema::{history, history_state, jobs};
use crate::types::ends::{EndedJob, Ends};
use crate::types::filter::JobFilter;
use crate::types::history::{HistoryEntry, HistoryState};
use crate::types::list::{ListFilter, Position};
use crate::types::sketch::Sketch;
use crate::types::text::Words;
use crate::{Store, StoreError};

const MINUTE_MS: i64 = 60 * 1000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// How long after its end a job is counted: longer than a transaction that ends jobs takes, of which the lease of its node is
/// a limit. A job that one stored later still would not be counted.
const LATE_MS: i64 = 2 * MINUTE_MS;
/// Jobs that a step counts.
const STEP: u32 = 500;
/// Queues with their executors that are told apart in a minute or an hour.
const KEYS: usize = 100;
/// The place of a history that is switched off.
const OFF: i64 = i64::MAX;

/// Which row: the span, when it begins, the queue and the executor.
type Key = (i64, i64, String, String);

/// A row of `history`.
#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = history, treat_none_as_default_value = false)]
struct HistoryRow {
    span_ms: i64,
    at: i64,
    #[diesel(deserialize_as = Words)]
    queue: String,
    #[diesel(deserialize_as = Words)]
    executor: String,
    completed: i64,
    dead: i64,
    cancelled: i64,
    retries: i64,
    failed: i64,
    timed_out: i64,
    crashed: i64,
    lost: i64,
    system_failures: i64,
    busy: i64,
    waited: Vec<u8>,
    ran: Vec<u8>,
}

impl HistoryRow {
    fn new((span_ms, at, queue, executor): Key, ends: &Ends) -> HistoryRow {
        let whole = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let [failed, timed_out, crashed, lost, system_failures, busy] = ends.failures.map(whole);
        HistoryRow {
            span_ms,
            at,
            queue,
            executor,
            completed: whole(ends.completed),
            dead: whole(ends.dead),
            cancelled: whole(ends.cancelled),
            retries: whole(ends.retries),
            failed,
            timed_out,
            crashed,
            lost,
            system_failures,
            busy,
            waited: ends.waited.to_bytes(),
            ran: ends.ran.to_bytes(),
        }
    }

    fn ends(&self) -> Ends {
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        Ends {
            completed: count(self.completed),
            dead: count(self.dead),
            cancelled: count(self.cancelled),
            retries: count(self.retries),
            failures: [
                self.failed,
                self.timed_out,
                self.crashed,
                self.lost,
                self.system_failures,
                self.busy,
            ]
            .map(count),
            waited: Sketch::read(&self.waited),
            ran: Sketch::read(&self.ran),
        }
    }

    fn into_entry(self) -> HistoryEntry {
        let ends = self.ends();
        let is_others = self.queue.is_empty() && self.executor.is_empty();
        HistoryEntry {
            at: Timestamp(self.at),
            span_ms: self.span_ms,
            of: (!is_others).then(|| {
                let executor = ExecutorName::as_stored(self.executor);
                (QueueName::as_stored(self.queue), executor)
            }),
            ends,
        }
    }
}

impl Store {
    /// Takes a step of what keeps the history: counts some of the jobs that ended, makes hours of old minutes, and forgets what
    /// is older than `keep`; zero switches it off. Returns whether there is more to do.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn keep_history(&mut self, keep: Duration, now: Timestamp) -> Result<bool, StoreError> {
        let state = state(self.conn()?)?;
        if keep.is_zero() {
            if state.counted.is_some() {
                self.write_busily(|conn| {
                    diesel::delete(history::table).execute(conn)?;
                    set_counted(conn, Position { ended: OFF, id: OFF })
                })?;
            }
            return Ok(false);
        }
        let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        let oldest = now.0.saturating_sub(keep_ms);
        let mut more = false;
        let place = place(state, oldest);
        if state.counted.is_none() || !uncounted(self.conn()?, place, now, 1)?.is_empty() {
            more |= self.write_busily(|conn| count(conn, oldest, now))?;
        }
        if old_minute(self.conn()?, now)?.is_some() {
            more |= self.write_busily(|conn| merge_hour(conn, now))?;
        }
        if state.begins.is_some_and(|begins| begins.0 < oldest) {
            self.write_busily(|conn| forget(conn, oldest))?;
        }
        Ok(more)
    }

    /// How far the history goes.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn history_state(&mut self) -> Result<HistoryState, StoreError> {
        state(self.conn()?)
    }

    /// Has jobs counted that were counted before, for a test that must fail then.
    #[doc(hidden)]
    pub fn count_history_anew(&mut self) -> Result<(), StoreError> {
        set_counted(self.conn()?, Position { ended: 0, id: 0 })
    }

    /// Calls `each` with what the history has of the time from `since` on and before `until`, as far as whole minutes and hours say
    /// so; of these queues and executors, or of all. Returns how far it goes.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn history(
        &mut self,
        since: Timestamp,
        until: Timestamp,
        filter: &JobFilter,
        mut each: impl FnMut(HistoryEntry),
    ) -> Result<HistoryState, StoreError> {
        let queues: Vec<&str> = filter.queues.iter().map(QueueName::as_str).collect();
        let executors: Vec<&str> = filter.executors.iter().map(ExecutorName::as_str).collect();
        self.conn()?.snapshot(|conn| {
            for span_ms in [MINUTE_MS, HOUR_MS] {
                // One hour or day of rows at a time.
                let portion = 24 * span_ms;
                let mut from = since.0.saturating_sub(since.0.rem_euclid(span_ms));
                loop {
                    let next: Option<i64> = history::table
                        .filter(history::span_ms.eq(span_ms).and(history::at.ge(from)))
                        .filter(history::at.lt(until.0))
                        .select(diesel::dsl::min(history::at))
                        .first(conn)?;
                    let Some(next) = next else { break };
                    let end = until.0.min(next.saturating_add(portion));
                    let rows: Vec<HistoryRow> = history::table
                        .filter(history::span_ms.eq(span_ms).and(history::at.ge(next)))
                        .filter(history::at.lt(end))
                        .select(HistoryRow::as_select())
                        .load(conn)?;
                    for row in rows {
                        let fits = |names: &[&str], name: &str| names.is_empty() || names.contains(&name);
                        if fits(&queues, &row.queue) && fits(&executors, &row.executor) {
                            each(row.into_entry());
                        }
                    }
                    from = end;
                }
            }
            state(conn)
        })
    }
}

fn state(conn: &mut Db) -> Result<HistoryState, StoreError> {
    let (ended, id, removed_to): (i64, i64, i64) = history_state::table
        .select((
            history_state::counted_at,
            history_state::counted_id,
            history_state::removed_to,
        ))
        .first(conn)?;
    let mut begins = None;
    for span_ms in [MINUTE_MS, HOUR_MS] {
        let first: Option<i64> = history::table
            .filter(history::span_ms.eq(span_ms))
            .select(diesel::dsl::min(history::at))
            .first(conn)?;
        begins = first.into_iter().chain(begins).min();
    }
    Ok(HistoryState {
        counted: (ended != OFF).then_some(Position { ended, id }),
        removed_to: Timestamp(removed_to),
        begins: begins.map(Timestamp),
    })
}

/// Where counting goes on: not with jobs that would be forgotten at once.
fn place(state: HistoryState, oldest: i64) -> Position {
    let first = Position {
        ended: oldest,
        id: i64::MIN,
    };
    state.counted.map_or(first, |counted| counted.max(first))
}

/// Jobs behind that place that ended long enough ago, those that ended first first.
fn uncounted(
    conn: &mut Db,
    above: Position,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Position>, StoreError> {
    let filter = ListFilter {
        jobs: JobFilter {
            states: State::ALL.into_iter().filter(|state| state.is_final()).collect(),
            until: Some(Timestamp(now.0.saturating_sub(LATE_MS))),
            ..JobFilter::default()
        },
        above: Some(above),
        oldest_first: true,
        limit,
        ..ListFilter::default()
    };
    listing::positions(conn, &filter)
}

/// Has others wait who count jobs, until this transaction has ended.
fn lock(conn: &mut Db) -> Result<HistoryState, StoreError> {
    diesel::update(history_state::table)
        .set(history_state::removed_to.eq(history_state::removed_to))
        .execute(conn)?;
    state(conn)
}

fn set_counted(conn: &mut Db, place: Position) -> Result<(), StoreError> {
    diesel::update(history_state::table)
        .set((
            history_state::counted_at.eq(place.ended),
            history_state::counted_id.eq(place.id),
        ))
        .execute(conn)?;
    Ok(())
}

/// Counts the next jobs. Returns whether there may be more.
fn count(conn: &mut Db, oldest: i64, now: Timestamp) -> Result<bool, StoreError> {
    let place = place(lock(conn)?, oldest);
    let places = uncounted(conn, place, now, STEP)?;
    let ids: Vec<i64> = places.iter().map(|place| place.id).collect();
    let ended = ended::read(conn, &ids, EndedWith::Nothing)?;
    add(conn, &ended)?;
    set_counted(conn, places.last().copied().unwrap_or(place))?;
    Ok(places.len() >= STEP as usize)
}

/// Adds jobs to the minutes in which they ended.
fn add(conn: &mut Db, ended: &[EndedJob]) -> Result<(), StoreError> {
    let mut sums: BTreeMap<Key, Ends> = BTreeMap::new();
    for job in ended {
        let at = job.ended_at.0 - job.ended_at.0.rem_euclid(MINUTE_MS);
        let key = (MINUTE_MS, at, job.queue.to_string(), job.executor.to_string());
        sums.entry(key).or_default().add(job);
    }
    merge(conn, sums)
}

/// Adds to the rows that there are, and makes others; of further queues and executors than are told apart, one.
fn merge(conn: &mut Db, sums: BTreeMap<Key, Ends>) -> Result<(), StoreError> {
    let mut spans: BTreeMap<(i64, i64), Vec<(Key, Ends)>> = BTreeMap::new();
    for (key, ends) in sums {
        spans.entry((key.0, key.1)).or_default().push((key, ends));
    }
    for ((span_ms, at), sums) in spans {
        let stored = history::table
            .filter(history::span_ms.eq(span_ms).and(history::at.eq(at)))
            .select(HistoryRow::as_select())
            .load::<HistoryRow>(conn)?;
        let mut known: HashMap<(String, String), Ends> = stored
            .iter()
            .map(|row| ((row.queue.clone(), row.executor.clone()), row.ends()))
            .collect();
        let mut changed: BTreeMap<(String, String), Ends> = BTreeMap::new();
        for ((_, _, queue, executor), ends) in sums {
            let mut key = (queue, executor);
            if !known.contains_key(&key) && known.len() >= KEYS {
                key = (String::new(), String::new());
            }
            let sum = known.entry(key.clone()).or_default();
            sum.merge(&ends);
            changed.insert(key, sum.clone());
        }
        let mut rows = Vec::with_capacity(changed.len());
        for ((queue, executor), ends) in changed {
            let this = history::span_ms.eq(span_ms).and(history::at.eq(at));
            let this = this
                .and(history::queue.eq(queue.clone()))
                .and(history::executor.eq(executor.clone()));
            diesel::delete(history::table.filter(this)).execute(conn)?;
            rows.push(HistoryRow::new((span_ms, at, queue, executor), &ends));
        }
        insert_rows!(conn, history::table, rows);
    }
    Ok(())
}

/// The oldest minute of an hour that ended a day ago or before.
fn old_minute(conn: &mut Db, now: Timestamp) -> Result<Option<i64>, StoreError> {
    let end = now.0.saturating_sub(DAY_MS);
    let end = end - end.rem_euclid(HOUR_MS);
    let first: Option<i64> = history::table
        .filter(history::span_ms.eq(MINUTE_MS).and(history::at.lt(end)))
        .select(diesel::dsl::min(history::at))
        .first(conn)?;
    Ok(first)
}

/// Makes an hour of the oldest minutes. Returns whether there may be more.
fn merge_hour(conn: &mut Db, now: Timestamp) -> Result<bool, StoreError> {
    lock(conn)?;
    let Some(first) = old_minute(conn, now)? else {
        return Ok(false);
    };
    let hour = first - first.rem_euclid(HOUR_MS);
    let minutes = || {
        let in_hour = history::at.ge(hour).and(history::at.lt(hour + HOUR_MS));
        history::span_ms.eq(MINUTE_MS).and(in_hour)
    };
    let rows: Vec<HistoryRow> = history::table
        .filter(minutes())
        .select(HistoryRow::as_select())
        .load(conn)?;
    let mut sums: BTreeMap<Key, Ends> = BTreeMap::new();
    for row in rows {
        let ends = row.ends();
        let key = (HOUR_MS, hour, row.queue, row.executor);
        sums.entry(key).or_default().merge(&ends);
    }
    diesel::delete(history::table.filter(minutes())).execute(conn)?;
    merge(conn, sums)?;
    Ok(true)
}

/// Forgets what ended before.
fn forget(conn: &mut Db, oldest: i64) -> Result<(), StoreError> {
    for span_ms in [MINUTE_MS, HOUR_MS] {
        let gone = history::span_ms
            .eq(span_ms)
            .and(history::at.le(oldest.saturating_sub(span_ms)));
        diesel::delete(history::table.filter(gone)).execute(conn)?;
    }
    Ok(())
}

/// What has to be known of jobs before they are removed.
pub(super) struct Removal {
    /// Those that are not counted, perhaps.
    uncounted: Vec<EndedJob>,
    /// When each ended.
    ends: HashMap<i64, i64>,
}

/// Looks at jobs that are going to be removed.
pub(super) fn before_removal(conn: &mut Db, ids: &[i64]) -> Result<Removal, StoreError> {
    let mut removal = Removal {
        uncounted: Vec::new(),
        ends: HashMap::new(),
    };
    let Some(counted) = state(conn)?.counted else {
        return Ok(removal);
    };
    let found: Vec<(i64, Option<i64>)> = jobs::table
        .filter(jobs::id.eq_any(ids))
        .select((jobs::id, jobs::finished_at))
        .load(conn)?;
    removal.ends = found
        .into_iter()
        .filter_map(|(id, ended)| Some((id, ended?)))
        .collect();
    let ends = removal.ends.iter();
    let behind = ends.filter(|(id, ended)| {
        let place = Position {
            ended: **ended,
            id: **id,
        };
        place > counted
    });
    let behind: Vec<i64> = behind.map(|(id, _)| *id).collect();
    removal.uncounted = ended::read(conn, &behind, EndedWith::Nothing)?;
    Ok(removal)
}

/// Counts jobs that were removed, in the same transaction, unless they are counted.
pub(super) fn after_removal(conn: &mut Db, removal: Removal, removed: &[i64]) -> Result<(), StoreError> {
    let Removal { mut uncounted, ends } = removal;
    uncounted.retain(|job| removed.contains(&job.id.0));
    if !uncounted.is_empty() {
        // Others may have counted them since.
        let Some(counted) = lock(conn)?.counted else {
            return Ok(());
        };
        uncounted.retain(|job| {
            let place = Position {
                ended: job.ended_at.0,
                id: job.id.0,
            };
            place > counted
        });
        add(conn, &uncounted)?;
    }
    let latest = removed.iter().filter_map(|id| ends.get(id)).max();
    if let Some(latest) = latest.copied() {
        diesel::update(history_state::table.filter(history_state::removed_to.lt(latest)))
            .set(history_state::removed_to.eq(latest))
            .execute(conn)?;
    }
    Ok(())
}
