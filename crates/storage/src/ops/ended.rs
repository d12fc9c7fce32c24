//! Ended jobs with what says how long they waited and ran, page by page. What follows from many of them is worked out
//! elsewhere.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Text};
use queuectl_core::{Command, ExecutorName, JobId, Payload, QueueName, State, Timestamp};

use super::listing;
use crate::backend::Db;
use crate::types::filter::JobFilter;
use crate::types::list::{ListFilter, Position};
use crate::types::text::Words;
use crate::{Store, StoreError};

/// An ended job, as far as it says how it fared.
#[derive(Debug, Clone, PartialEq)]
pub struct EndedJob {
    /// Its number.
    pub id: JobId,
    /// Its queue.
    pub queue: QueueName,
    /// Its executor.
    pub executor: ExecutorName,
    /// How it ended.
    pub state: State,
    /// Attempts that counted.
    pub attempts: u32,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When its first attempt that is known began; none if it never ran.
    pub first_started_at: Option<Timestamp>,
    /// When its last attempt began and ended.
    pub last_attempt: Option<(Timestamp, Timestamp)>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// Its command, if commands were asked for; none if its executor has an object instead, or if the payload has more than
    /// 16 KiB.
    pub command: Option<Command>,
}

/// Some of the ended jobs.
#[derive(Debug)]
pub struct EndedPage {
    /// The jobs, that which ended last first.
    pub jobs: Vec<EndedJob>,
    /// Where to go on; none if there are no more.
    pub next: Option<Position>,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    id: i64,
    #[diesel(sql_type = Text, deserialize_as = Words)]
    queue: String,
    #[diesel(sql_type = Text, deserialize_as = Words)]
    executor: String,
    #[diesel(sql_type = SmallInt)]
    state: i16,
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = BigInt)]
    created_at: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    first_started_at: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    started_at: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    finished_at: Option<i64>,
    #[diesel(sql_type = BigInt)]
    ended_at: i64,
    /// Empty if it is large or was not asked for.
    #[diesel(sql_type = Text, deserialize_as = Words)]
    payload: String,
}

const SELECT: &str = "SELECT jobs.id, jobs.queue, jobs.executor, jobs.state, jobs.attempts, jobs.created_at, \
     (SELECT min(started_at) FROM attempts WHERE attempts.job_id = jobs.id) AS first_started_at, \
     last.started_at, last.finished_at, coalesce(jobs.finished_at, jobs.updated_at) AS ended_at, ";
const PAYLOAD: &str = "coalesce((SELECT CASE WHEN octet_length(payload) <= 16384 THEN payload ELSE '' END \
     FROM payloads WHERE payloads.job_id = jobs.id), '') AS payload ";
const NO_PAYLOAD: &str = "'' AS payload ";
const FROM: &str = "FROM jobs LEFT JOIN attempts last ON last.job_id = jobs.id AND last.fence = jobs.fence \
     WHERE jobs.id IN ";

impl Row {
    /// None of a state that this version does not know.
    fn into_job(self) -> Option<EndedJob> {
        let payload: Option<Payload> = serde_json::from_str(&self.payload).ok();
        Some(EndedJob {
            id: JobId(self.id),
            queue: QueueName::as_stored(self.queue),
            executor: ExecutorName::as_stored(self.executor),
            state: State::from_code(self.state)?,
            attempts: u32::try_from(self.attempts).unwrap_or(0),
            created_at: Timestamp(self.created_at),
            first_started_at: self.first_started_at.map(Timestamp),
            last_attempt: self
                .started_at
                .zip(self.finished_at)
                .map(|(began, ended)| (Timestamp(began), Timestamp(ended))),
            ended_at: Timestamp(self.ended_at),
            command: payload.and_then(|payload| payload.command),
        })
    }
}

fn read(conn: &mut Db, ids: &[i64], with_commands: bool) -> Result<Vec<EndedJob>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // Numbers need no quotes.
    let list: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let payload = if with_commands { PAYLOAD } else { NO_PAYLOAD };
    let sql = format!("{SELECT}{payload}{FROM}({})", list.join(", "));
    let rows: Vec<Row> = diesel::sql_query(sql).load(conn)?;
    Ok(rows.into_iter().filter_map(Row::into_job).collect())
}

impl Store {
    /// Up to `limit` ended jobs behind that place, that which ended last first. States that are not final are left out of the
    /// filter; without any, all final ones count.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn ended_page(
        &mut self,
        filter: &JobFilter,
        with_commands: bool,
        from: Option<Position>,
        limit: u32,
    ) -> Result<EndedPage, StoreError> {
        let mut jobs = filter.clone();
        jobs.states.retain(|state| state.is_final());
        if jobs.states.is_empty() {
            jobs.states = State::ALL.into_iter().filter(|state| state.is_final()).collect();
        }
        let list = ListFilter {
            jobs,
            below: from,
            limit,
            ..ListFilter::default()
        };
        self.conn()?.snapshot(|conn| {
            let places = listing::positions(conn, &list)?;
            let ids: Vec<i64> = places.iter().map(|place| place.id).collect();
            let mut jobs = read(conn, &ids, with_commands)?;
            jobs.sort_by_key(|job| std::cmp::Reverse((job.ended_at, job.id)));
            let is_full = places.len() >= limit as usize;
            let next = places.last().copied().filter(|_| is_full);
            Ok(EndedPage { jobs, next })
        })
    }
}
