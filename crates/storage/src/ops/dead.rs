//! Dead jobs with what says why they are dead, page by page, and changes to those of a page.
//!
//! Which of them have something in common is decided outside of the store. So a change names jobs together with the claims under
//! which they died: one that was retried meanwhile is left alone, even if it is dead again.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Integer, Nullable, SmallInt, Text};
use queuectl_core::{
    Command, ExecutorName, JobId, JobName, JobRef, Outcome, OutcomeKind, Payload, QueueName, State, Timestamp,
};

use super::listing;
use super::operations::Log;
use super::purge::{Purged, remove_kept};
use super::retry::run_again;
use crate::backend::Db;
use crate::counts::Deltas;
use crate::outcome;
use crate::rows::JobRow;
use crate::schema::{jobs, payloads};
use crate::state_dir::Lane;
use crate::states::sql;
use crate::types::filter::JobFilter;
use crate::types::list::{ListFilter, Position};
use crate::types::nodes::Wake;
use crate::types::operation::MassDone;
use crate::types::text::Words;
use crate::{Store, StoreError};

/// The end of an output that is read, in bytes.
pub const OUTPUT_END: usize = 1024;

/// Which dead jobs to read.
#[derive(Debug, Clone, Default)]
pub struct DeadFilter {
    /// Only in this queue.
    pub queue: Option<QueueName>,
    /// Only those that died before.
    pub died_before: Option<Timestamp>,
    /// Those that died first first, instead of last.
    pub oldest_first: bool,
}

/// A dead job, as far as it says why it is dead.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadJob {
    /// Its number.
    pub id: JobId,
    /// The id the user chose, if any.
    pub name: Option<JobName>,
    /// Its queue.
    pub queue: QueueName,
    /// The claim under which it died; 0 if it was never claimed.
    pub fence: i64,
    /// When it died.
    pub died_at: Timestamp,
    /// Its executor.
    pub executor: ExecutorName,
    /// Its command; none if its executor has an object instead, or it cannot be read.
    pub command: Option<Command>,
    /// How its last attempt ended; none if it had none, or that cannot be read.
    pub outcome: Option<Outcome>,
    /// The last [`OUTPUT_END`] bytes of what is stored of its output.
    pub output_end: Vec<u8>,
}

impl DeadJob {
    /// The id that users see: the name they chose, else the number.
    pub fn public_id(&self) -> String {
        match &self.name {
            Some(name) => name.to_string(),
            None => self.id.to_string(),
        }
    }
}

/// Some of the dead jobs.
#[derive(Debug)]
pub struct DeadPage {
    /// The jobs, in the order that was asked for.
    pub jobs: Vec<DeadJob>,
    /// Where to go on; none if there are no more.
    pub next: Option<Position>,
}

/// What became of dead jobs that were to run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetriedDead {
    /// Jobs that will run again.
    pub jobs: u64,
    /// Jobs that stay dead because other jobs have their unique keys.
    pub held_back: u64,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    /// Empty if the job has only a number.
    #[diesel(sql_type = Text, deserialize_as = Words)]
    name: String,
    #[diesel(sql_type = Text, deserialize_as = Words)]
    queue: String,
    #[diesel(sql_type = BigInt)]
    fence: i64,
    #[diesel(sql_type = BigInt)]
    died_at: i64,
    #[diesel(sql_type = Text, deserialize_as = Words)]
    executor: String,
    /// Empty if it is large.
    #[diesel(sql_type = Text, deserialize_as = Words)]
    payload: String,
    #[diesel(sql_type = BigInt)]
    payload_bytes: i64,
    #[diesel(sql_type = Nullable<SmallInt>)]
    outcome: Option<i16>,
    #[diesel(sql_type = Nullable<Integer>)]
    exit_code: Option<i32>,
    #[diesel(sql_type = Nullable<Integer>)]
    signal: Option<i32>,
    #[diesel(sql_type = Text, deserialize_as = Words)]
    message: String,
    #[diesel(sql_type = Nullable<Binary>)]
    output_end: Option<Vec<u8>>,
}

/// Payloads of up to this many bytes are read with the page.
const SMALL: i64 = 16 * 1024;

macro_rules! end_of {
    ($bytes:literal) => {
        concat!(
            "substr(",
            $bytes,
            ", CASE WHEN octet_length(",
            $bytes,
            ") > 1024 THEN CAST(octet_length(",
            $bytes,
            ") AS INTEGER) - 1023 ELSE 1 END)"
        )
    };
}

const SELECT: &str = concat!(
    "SELECT jobs.id, coalesce(jobs.name, '') AS name, jobs.queue, jobs.fence, \
     coalesce(jobs.finished_at, jobs.updated_at) AS died_at, jobs.executor, \
     CASE WHEN octet_length(payloads.payload) <= 16384 THEN payloads.payload ELSE '' END AS payload, \
     CAST(coalesce(octet_length(payloads.payload), 0) AS BIGINT) AS payload_bytes, \
     attempts.outcome, attempts.exit_code, attempts.signal, coalesce(attempts.message, '') AS message, \
     CASE WHEN octet_length(outputs.tail) > 0 THEN ",
    end_of!("outputs.tail"),
    " ELSE ",
    end_of!("outputs.head"),
    " END AS output_end FROM jobs LEFT JOIN payloads ON payloads.job_id = jobs.id \
     LEFT JOIN attempts ON attempts.job_id = jobs.id AND attempts.fence = jobs.fence \
     LEFT JOIN outputs ON outputs.job_id = jobs.id AND outputs.fence = jobs.fence WHERE "
);

impl Row {
    fn into_job(self, payload: &str) -> DeadJob {
        let payload: Option<Payload> = serde_json::from_str(payload).ok();
        let outcome = self.outcome.and_then(OutcomeKind::from_code);
        DeadJob {
            id: JobId(self.id),
            name: Some(self.name)
                .filter(|name| !name.is_empty())
                .map(JobName::as_stored),
            queue: QueueName::as_stored(self.queue),
            fence: self.fence,
            died_at: Timestamp(self.died_at),
            executor: ExecutorName::as_stored(self.executor),
            command: payload.and_then(|payload| payload.command),
            outcome: outcome.map(|kind| Outcome {
                kind,
                exit_code: self.exit_code,
                signal: self.signal,
                message: self.message,
            }),
            output_end: self.output_end.unwrap_or_default(),
        }
    }
}

fn read(conn: &mut Db, ids: &[i64]) -> Result<Vec<DeadJob>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // Numbers need no quotes.
    let list: Vec<String> = ids.iter().map(ToString::to_string).collect();
    const DEAD: &str = sql!("state = {dead}");
    let sql = format!("{SELECT}{DEAD} AND jobs.id IN ({})", list.join(", "));
    let rows: Vec<Row> = diesel::sql_query(sql).load(conn)?;
    let mut found = Vec::with_capacity(rows.len());
    for mut row in rows {
        let mut payload = std::mem::take(&mut row.payload);
        if row.payload_bytes > SMALL {
            let large: Option<Words> = payloads::table
                .filter(payloads::job_id.eq(row.id))
                .select(payloads::payload)
                .get_result(conn)
                .optional()?;
            payload = large.map(|words| words.text).unwrap_or_default();
        }
        found.push(row.into_job(&payload));
    }
    Ok(found)
}

/// Up to `limit` dead jobs behind that place.
pub fn page(
    conn: &mut Db,
    filter: &DeadFilter,
    from: Option<Position>,
    limit: u32,
) -> Result<DeadPage, StoreError> {
    let end = filter.died_before.map(|before| Position {
        ended: before.0,
        id: i64::MIN,
    });
    let list = ListFilter {
        jobs: JobFilter::from(State::Dead).in_queue(filter.queue.as_ref()),
        above: from.filter(|_| filter.oldest_first),
        below: from.filter(|_| !filter.oldest_first).or(end),
        oldest_first: filter.oldest_first,
        limit,
    };
    conn.snapshot(|conn| {
        let places = listing::positions(conn, &list)?;
        let ids: Vec<i64> = places.iter().map(|place| place.id).collect();
        let mut jobs = read(conn, &ids)?;
        jobs.sort_by_key(|job| (job.died_at, job.id));
        if !filter.oldest_first {
            jobs.reverse();
        }
        let is_full = places.len() >= limit as usize;
        let next = places.last().copied().filter(|_| is_full);
        Ok(DeadPage { jobs, next })
    })
}

impl Store {
    /// Up to `limit` dead jobs behind that place.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn dead_page(
        &mut self,
        filter: &DeadFilter,
        from: Option<Position>,
        limit: u32,
    ) -> Result<DeadPage, StoreError> {
        page(self.conn()?, filter, from, limit)
    }

    /// The same of one job; none if there is no such job, or it is not dead.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn dead_job(&mut self, job: &JobRef) -> Result<Option<DeadJob>, StoreError> {
        let conn = self.conn()?;
        let id = match job {
            JobRef::Number(id) => Some(id.0),
            JobRef::Name(name) => jobs::table
                .filter(jobs::name.eq(name.as_str()))
                .select(jobs::id)
                .get_result(conn)
                .optional()?,
        };
        match id {
            Some(id) => Ok(read(conn, &[id])?.pop()),
            None => Ok(None),
        }
    }

    /// Makes dead jobs ready again with fresh attempts, in one transaction, those that are still dead under these claims.
    ///
    /// # Errors
    /// [`StoreError::Database`]; none of them is changed then.
    pub fn retry_dead_jobs(&mut self, dead: &[DeadJob], now: Timestamp) -> Result<RetriedDead, StoreError> {
        let log = Log::of(self.operation.as_ref());
        let retried = self.write_again_in(Lane::Busy, |conn| {
            let entry = log.enter(conn, now)?;
            let rows = still_dead(conn, dead)?;
            let mut deltas = Deltas::default();
            let (jobs, held_back) = run_again(conn, rows, now, &mut deltas)?;
            outcome::finish(conn, deltas, now)?;
            let done = MassDone {
                changed: jobs,
                held_back,
                ..MassDone::default()
            };
            entry.store(conn, &done, None)?;
            Ok(RetriedDead { jobs, held_back })
        })?;
        self.wake_all(Wake::Jobs);
        Ok(retried)
    }

    /// Removes dead jobs for good, in one transaction, those that are still dead under these claims; `more` if time ran out
    /// before all of them were removed.
    ///
    /// # Errors
    /// [`StoreError::Database`]; none of them is removed then.
    pub fn purge_dead_jobs(&mut self, dead: &[DeadJob]) -> Result<Purged, StoreError> {
        let now = self.now()?;
        let log = Log::of(self.operation.as_ref());
        let (ids, more) = self.write_busily(|conn| {
            let mut entry = log.enter(conn, now)?;
            let ids: Vec<i64> = still_dead(conn, dead)?.into_iter().map(|row| row.id).collect();
            let found = ids.len();
            let removed = remove_kept(conn, ids, State::Dead, &mut entry)?;
            let done = MassDone {
                changed: removed.len() as u64,
                ..MassDone::default()
            };
            entry.store(conn, &done, None)?;
            let more = removed.len() < found;
            Ok((removed, more))
        })?;
        self.remove_outputs(&ids);
        let jobs = ids.len() as u64;
        Ok(Purged { jobs, more })
    }
}

/// The rows of those that nothing has happened to since they were read, in the order of their numbers.
fn still_dead(conn: &mut Db, dead: &[DeadJob]) -> Result<Vec<JobRow>, StoreError> {
    let ids: Vec<i64> = dead.iter().map(|job| job.id.0).collect();
    let mut rows: Vec<JobRow> = jobs::table
        .filter(jobs::id.eq_any(ids))
        .filter(jobs::state.eq(State::Dead.code()))
        .order(jobs::id)
        .select(JobRow::as_select())
        .load(conn)?;
    let claims: HashMap<i64, i64> = dead.iter().map(|job| (job.id.0, job.fence)).collect();
    rows.retain(|row| claims.get(&row.id) == Some(&row.fence));
    Ok(rows)
}
