//! Ended jobs with what says how long they waited and ran, page by page. What follows from many of them is worked out
//! elsewhere.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Text};
use queuectl_core::{ExecutorName, JobId, Payload, QueueName, State, Timestamp};

use super::listing;
use crate::backend::Db;
use crate::labels;
use crate::types::ends::{EndedJob, FAILURES, KINDS};
use crate::types::filter::JobFilter;
use crate::types::list::{ListFilter, Position};
use crate::types::text::Words;
use crate::{Store, StoreError};

/// What is read besides, because it costs more than the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedWith {
    /// Nothing.
    Nothing,
    /// Their commands.
    Commands,
    /// Their labels.
    Labels,
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
    #[diesel(sql_type = BigInt)]
    fence: i64,
    /// Empty if it is large or was not asked for.
    #[diesel(sql_type = Text, deserialize_as = Words)]
    payload: String,
}

const SELECT: &str = "SELECT jobs.id, jobs.queue, jobs.executor, jobs.state, jobs.attempts, jobs.created_at, \
     (SELECT min(started_at) FROM attempts WHERE attempts.job_id = jobs.id) AS first_started_at, \
     last.started_at, last.finished_at, coalesce(jobs.finished_at, jobs.updated_at) AS ended_at, jobs.fence, ";
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
            failures: [0; KINDS],
            command: payload.and_then(|payload| payload.command),
            labels: BTreeMap::new(),
        })
    }
}

pub(super) fn read(conn: &mut Db, ids: &[i64], with: EndedWith) -> Result<Vec<EndedJob>, StoreError> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    // Numbers need no quotes.
    let list: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let payload = match with {
        EndedWith::Commands => PAYLOAD,
        EndedWith::Nothing | EndedWith::Labels => NO_PAYLOAD,
    };
    let sql = format!("{SELECT}{payload}{FROM}({})", list.join(", "));
    let rows: Vec<Row> = diesel::sql_query(sql).load(conn)?;
    // A job that completed under its first claim had one attempt, which did not fail.
    let completed = State::Completed.code();
    let failed = rows.iter().filter(|row| row.fence > 1 || row.state != completed);
    let failures = failures(conn, &failed.map(|row| row.id).collect::<Vec<_>>())?;
    let mut jobs: Vec<EndedJob> = rows.into_iter().filter_map(Row::into_job).collect();
    for job in &mut jobs {
        job.failures = failures.get(&job.id.0).copied().unwrap_or_default();
    }
    if with == EndedWith::Labels {
        let mut labels = labels::of_jobs(conn, ids)?;
        for job in &mut jobs {
            job.labels = labels.remove(&job.id.0).unwrap_or_default().labels;
        }
    }
    Ok(jobs)
}

#[derive(QueryableByName)]
struct FailureRow {
    #[diesel(sql_type = BigInt)]
    job_id: i64,
    #[diesel(sql_type = SmallInt)]
    outcome: i16,
    #[diesel(sql_type = BigInt)]
    attempts: i64,
}

/// How many attempts of these jobs failed, by the kinds of [`FAILURES`].
fn failures(conn: &mut Db, ids: &[i64]) -> Result<HashMap<i64, [u32; KINDS]>, StoreError> {
    let mut failures: HashMap<i64, [u32; KINDS]> = HashMap::new();
    if ids.is_empty() {
        return Ok(failures);
    }
    let list: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let sql = format!(
        "SELECT job_id, outcome, count(*) AS attempts FROM attempts WHERE job_id IN ({}) GROUP BY job_id, outcome",
        list.join(", ")
    );
    for row in diesel::sql_query(sql).load::<FailureRow>(conn)? {
        if let Some(kind) = FAILURES.iter().position(|kind| kind.code() == row.outcome) {
            failures.entry(row.job_id).or_default()[kind] = u32::try_from(row.attempts).unwrap_or(u32::MAX);
        }
    }
    Ok(failures)
}

impl Store {
    /// Up to `limit` ended jobs behind that place and before another, that which ended last first. States that are not final are left out of the
    /// filter; without any, all final ones count.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn ended_page(
        &mut self,
        filter: &JobFilter,
        with: EndedWith,
        from: Option<Position>,
        above: Option<Position>,
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
            above,
            limit,
            ..ListFilter::default()
        };
        self.conn()?.snapshot(|conn| {
            let places = listing::positions(conn, &list)?;
            let ids: Vec<i64> = places.iter().map(|place| place.id).collect();
            let mut jobs = read(conn, &ids, with)?;
            jobs.sort_by_key(|job| std::cmp::Reverse((job.ended_at, job.id)));
            let is_full = places.len() >= limit as usize;
            let next = places.last().copied().filter(|_| is_full);
            Ok(EndedPage { jobs, next })
        })
    }
}
