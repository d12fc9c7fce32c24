//! The ledger of events: what happened to jobs and queues, in the order in which it became true.
//!
//! Triggers write it, in the transactions that it tells of, while the setting `event_retention` is set; otherwise it costs
//! nothing. Not here: what they write (`sqlite/ledger.rs` and the migrations of PostgreSQL).

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, SmallInt, Text};
use queuectl_core::limits::EVENTS_KEPT;
use queuectl_core::{JobId, NodeId, OutcomeKind, Timestamp};

use crate::backend::Db;
use crate::backend::statements::{Note, PurgeEvents};
use crate::types::text::Words;
use crate::{Store, StoreError};

/// Events that are looked at by one step of clean-up.
const STEP: i64 = 5000;

/// A place in the order of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventPlace {
    transaction: i64,
    id: i64,
}

impl EventPlace {
    /// Before all events.
    pub const START: EventPlace = EventPlace {
        transaction: i64::MIN,
        id: i64::MIN,
    };
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEvent {
    /// Its number.
    pub id: i64,
    /// Its place in the order.
    pub place: EventPlace,
    /// When it happened.
    pub at: Timestamp,
    /// The job, if it happened to one.
    pub job: Option<JobId>,
    /// The id the user chose, of a job that is still there.
    pub name: Option<String>,
    /// What happened, in a word or two.
    pub kind: String,
    /// The node that had the job.
    pub node: Option<NodeId>,
    /// The job's fencing token.
    pub fence: Option<i64>,
    /// When the job is due, if it waits since then.
    pub due_at: Option<Timestamp>,
    /// How the attempt ended, if one did and its job is still there.
    pub outcome: Option<OutcomeKind>,
    /// Why, if it did not succeed.
    pub message: Option<String>,
    /// What else there is to say, as JSON.
    pub detail: Option<String>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = BigInt)]
    transaction: i64,
    #[diesel(sql_type = BigInt)]
    at: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    job_id: Option<i64>,
    #[diesel(sql_type = Nullable<Text>)]
    name: Option<Words>,
    #[diesel(sql_type = Text)]
    kind: String,
    #[diesel(sql_type = Nullable<BigInt>)]
    node_id: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    fence: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    due_at: Option<i64>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    outcome: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    message: Option<Words>,
    #[diesel(sql_type = Nullable<Text>)]
    detail: Option<Words>,
}

impl From<Row> for LedgerEvent {
    fn from(row: Row) -> LedgerEvent {
        let text = |words: Option<Words>| words.map(|words| words.text);
        LedgerEvent {
            id: row.id,
            place: EventPlace {
                transaction: row.transaction,
                id: row.id,
            },
            at: Timestamp(row.at),
            job: row.job_id.map(JobId),
            name: text(row.name),
            // The triggers see only what became of the job, which may be cancelled all the same.
            kind: match row.outcome.and_then(OutcomeKind::from_code) {
                Some(OutcomeKind::Busy) if ["failed", "returned"].contains(&row.kind.as_str()) => {
                    OutcomeKind::Busy.name().to_owned()
                }
                _ => row.kind,
            },
            node: row.node_id.map(NodeId),
            fence: row.fence,
            due_at: row.due_at.map(Timestamp),
            outcome: row.outcome.and_then(OutcomeKind::from_code),
            message: text(row.message).filter(|message| !message.is_empty()),
            detail: text(row.detail),
        }
    }
}

#[derive(QueryableByName)]
struct Place {
    #[diesel(sql_type = BigInt)]
    transaction: i64,
    #[diesel(sql_type = BigInt)]
    id: i64,
}

#[derive(QueryableByName)]
struct HeldUp {
    #[diesel(sql_type = Bool)]
    held_up: bool,
}

impl From<Place> for EventPlace {
    fn from(Place { transaction, id }: Place) -> EventPlace {
        EventPlace { transaction, id }
    }
}

impl Store {
    /// Returns the next events after a place, of one job or of all. Events are in the order in which their transactions
    /// ended, so a reader that goes on from the last place misses none.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn events_after(
        &mut self,
        job: Option<JobId>,
        after: EventPlace,
        limit: u32,
    ) -> Result<Vec<LedgerEvent>, StoreError> {
        let conn = self.conn()?;
        let ledger = conn.dialect().ledger();
        let sql = format!(
            "SELECT e.id, {} AS transaction, e.at, e.job_id, jobs.name, e.kind, e.node_id, e.fence, e.due_at, \
             attempts.outcome, attempts.message, e.detail FROM events AS e LEFT JOIN jobs ON jobs.id = e.job_id \
             LEFT JOIN attempts ON attempts.job_id = e.job_id AND attempts.fence = e.fence AND e.node_id IS NOT NULL \
             AND e.kind IN ('succeeded', 'failed', 'dead', 'cancelled', 'returned') \
             WHERE {} AND {} ORDER BY {} LIMIT ?4",
            ledger.transaction,
            ledger.after,
            of_job(job),
            ledger.order[0],
        );
        let rows: Vec<Row> = diesel::sql_query(conn.dialect().words(&quoted(&sql)))
            .bind::<BigInt, _>(after.transaction)
            .bind::<BigInt, _>(after.id)
            .bind::<BigInt, _>(job.map_or(0, |job| job.0))
            .bind::<Integer, _>(i32::try_from(limit).unwrap_or(i32::MAX))
            .load(conn)?;
        Ok(rows.into_iter().map(LedgerEvent::from).collect())
    }

    /// The place before the newest events, of one job or of all.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn newest_events_from(&mut self, job: Option<JobId>, events: u32) -> Result<EventPlace, StoreError> {
        let after = EventPlace::START;
        let found = self.nth(job, after, "?4 = ?4", 1, i64::from(events))?;
        // The one before the first of them.
        Ok(found.unwrap_or(EventPlace::START))
    }

    /// Whether there are events that cannot be read yet, because a transaction that began before theirs is still open.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn events_are_held_up(&mut self) -> Result<bool, StoreError> {
        let conn = self.conn()?;
        let sql = format!("SELECT {} AS held_up", conn.dialect().ledger().is_behind);
        let found: HeldUp = diesel::sql_query(sql).get_result(conn)?;
        Ok(found.held_up)
    }

    /// The place of the event with that number; if it is not there any more, the place before the first one after it.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn event_place(&mut self, id: i64) -> Result<EventPlace, StoreError> {
        if let Some(same) = self.nth(None, EventPlace::START, "e.id = ?4", id, 0)? {
            return Ok(same);
        }
        let conn = self.conn()?;
        let ledger = conn.dialect().ledger();
        let sql = format!(
            "SELECT {} AS transaction, e.id FROM events AS e WHERE e.id > ?1 ORDER BY {} LIMIT 1",
            ledger.transaction, ledger.order[0]
        );
        let query = diesel::sql_query(conn.dialect().words(&quoted(&sql))).bind::<BigInt, _>(id);
        let next: Option<Place> = query.get_result(conn).optional()?;
        Ok(next.map_or(EventPlace { transaction: 0, id }, |next| EventPlace {
            transaction: next.transaction,
            id: next.id - 1,
        }))
    }

    /// The place of the last event from before a time.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn event_place_at(&mut self, time: Timestamp) -> Result<EventPlace, StoreError> {
        let found = self.nth(None, EventPlace::START, "e.at < ?4", time.0, 0)?;
        Ok(found.unwrap_or(EventPlace::START))
    }

    /// The place of an event, counted from the newest one of those that fit.
    fn nth(
        &mut self,
        job: Option<JobId>,
        after: EventPlace,
        fit: &str,
        value: i64,
        skip: i64,
    ) -> Result<Option<EventPlace>, StoreError> {
        let conn = self.conn()?;
        let ledger = conn.dialect().ledger();
        let sql = format!(
            "SELECT {} AS transaction, e.id FROM events AS e WHERE {} AND {} AND {fit} ORDER BY {} LIMIT 1 OFFSET ?5",
            ledger.transaction,
            ledger.after,
            of_job(job),
            ledger.order[1],
        );
        let found: Option<Place> = diesel::sql_query(conn.dialect().words(&quoted(&sql)))
            .bind::<BigInt, _>(after.transaction)
            .bind::<BigInt, _>(after.id)
            .bind::<BigInt, _>(job.map_or(0, |job| job.0))
            .bind::<BigInt, _>(value)
            .bind::<BigInt, _>(skip)
            .get_result(conn)
            .optional()?;
        Ok(found.map(EventPlace::from))
    }

    /// Removes one step's worth of events that are older than that, or too many. Returns whether there may be more.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn purge_events(&mut self, retention: Duration, now: Timestamp) -> Result<bool, StoreError> {
        let kept = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        // A read takes no lock, and mostly there is nothing to remove.
        let conn = self.conn()?;
        let oldest = diesel::sql_query("SELECT at AS \"transaction\", id FROM events ORDER BY id LIMIT 1");
        let oldest: Option<Place> = oldest.get_result(conn).optional()?;
        let newest =
            diesel::sql_query("SELECT at AS \"transaction\", id FROM events ORDER BY id DESC LIMIT 1");
        let newest: Option<Place> = newest.get_result(conn).optional()?;
        let (Some(oldest), Some(newest)) = (oldest, newest) else {
            return Ok(false);
        };
        let before = match retention.is_zero() {
            // Nothing is recorded any more.
            true => i64::MAX,
            false => now.0.saturating_sub(kept),
        };
        let last = newest.id - EVENTS_KEPT;
        if oldest.transaction >= before && oldest.id > last {
            return Ok(false);
        }
        let step = PurgeEvents {
            step: STEP,
            before,
            last,
        };
        let removed = self.write_busily(|conn| Ok(step.execute(conn)?))?;
        Ok(removed as i64 >= STEP)
    }
}

/// Writes that something happened to a job which its row does not tell, if events are recorded. In the transaction in which
/// it does.
pub(crate) fn note(
    conn: &mut Db,
    job: JobId,
    kind: &str,
    detail: String,
    now: Timestamp,
) -> Result<(), StoreError> {
    Note {
        at: now.0,
        job_id: job.0,
        kind: kind.to_owned(),
        detail,
    }
    .execute(conn)?;
    Ok(())
}

fn of_job(job: Option<JobId>) -> &'static str {
    match job {
        Some(_) => "e.job_id = ?3",
        None => "?3 = ?3",
    }
}

/// `transaction` is a word of SQL.
fn quoted(sql: &str) -> String {
    sql.replace("AS transaction", "AS \"transaction\"")
}
