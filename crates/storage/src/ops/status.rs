//! Counting jobs, and whether there are any.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt, Text};
use queuectl_core::{BlockedBy, QueueName, State, Timestamp};

use super::any;
use crate::backend::Db;
use crate::states::{ALL, sql};
use crate::types::cycle::Queues;
use crate::types::source::Source;
use crate::types::text::Words;
use crate::{Store, StoreError};

/// How many jobs a queue has in a state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueCount {
    /// The queue.
    pub queue: String,
    /// The state.
    pub state: State,
    /// How many.
    pub jobs: u64,
}

/// Jobs that were rescued from nodes that died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rescued {
    /// How many.
    pub jobs: u64,
    /// When the last of them was.
    pub last_at: Timestamp,
}

impl Store {
    /// How many jobs each queue has in each state; pairs without jobs are left out.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn counts(&mut self, queue: Option<&QueueName>) -> Result<Vec<QueueCount>, StoreError> {
        // One moment for all of them.
        self.conn()?.snapshot(|conn| read_counts(conn, queue))
    }

    /// Whether a node of these queues still has something to wait for: a job that is ready, runs, is scheduled or waits for its
    /// retry. What only an operator can let go on does not count: jobs that are held, and those of paused queues, or whose limit
    /// lets none start, unless they run.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn any_unfinished(&mut self, queues: &Queues, now: Timestamp) -> Result<bool, StoreError> {
        if self.backend.has_ready(queues, now)? {
            return Ok(true);
        }
        let mut paused: BTreeSet<String> = self.pauses(now)?.into_keys().collect();
        let limits = self.queue_limits(now)?.into_iter();
        paused.extend(
            limits
                .filter(|(_, of)| of.limit.running == Some(0))
                .map(|(queue, _)| queue),
        );
        Ok(self.any_waiting(queues, &paused)? || self.any_parked(queues, &paused)?)
    }

    /// Whether a job of these queues runs, or waits for a time that comes by itself.
    fn any_waiting(&mut self, queues: &Queues, paused: &BTreeSet<String>) -> Result<bool, StoreError> {
        if !paused.is_empty() {
            let is_waiting = |count: &QueueCount| match count.state {
                State::Processing => true,
                State::Scheduled | State::Failed => !paused.contains(&count.queue),
                _ => false,
            };
            let counts = self.counts(None)?;
            return Ok(counts
                .iter()
                .any(|count| queues.include(&count.queue) && is_waiting(count)));
        }
        match queues {
            Queues::All => Ok(self.next_due()?.is_some() || any::running(self.conn()?, None)?),
            Queues::Only(names) => {
                for name in names {
                    if any::waiting(self.conn()?, name)? || any::running(self.conn()?, Some(name))? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
        }
    }

    /// Whether a job of these queues waits for nothing but limits that have room before long: none of them lets no job run.
    fn any_parked(&mut self, queues: &Queues, paused: &BTreeSet<String>) -> Result<bool, StoreError> {
        let conn = self.conn()?;
        let sql = conn.dialect().words(PARKED);
        let of: Vec<OfQueue> = diesel::sql_query(sql)
            .bind::<Integer, _>(BlockedBy::Limit as i32)
            .load(conn)?;
        Ok(of
            .iter()
            .any(|row| queues.include(&row.queue) && !paused.contains(&row.queue)))
    }

    /// How many jobs, of one queue or all, lost an attempt since then because their node died, and when the last of them was
    /// rescued; none if there is no such job. Looks at the newest 10,000 such attempts; those of jobs that were purged are gone.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn rescued_since(
        &mut self,
        queue: Option<&QueueName>,
        since: Timestamp,
    ) -> Result<Option<Rescued>, StoreError> {
        let conn = self.conn()?;
        let row: RescuedRow = diesel::sql_query(conn.dialect().words(RESCUED))
            .bind::<BigInt, _>(since.0)
            .bind::<Nullable<Text>, _>(queue.map(QueueName::as_str))
            .get_result(conn)?;
        let jobs = u64::try_from(row.jobs).unwrap_or(0);
        Ok(row.last_at.map(|at| Rescued {
            jobs,
            last_at: Timestamp(at),
        }))
    }

    /// Whether any job of these queues ended dead or cancelled since then.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn any_ended_badly(&mut self, queues: &Queues, since: Timestamp) -> Result<bool, StoreError> {
        for source in Source::served(queues) {
            for state in [State::Dead, State::Cancelled] {
                if any::ended_since(self.conn()?, &source, state, since)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }
}

#[derive(QueryableByName)]
struct RescuedRow {
    #[diesel(sql_type = BigInt)]
    jobs: i64,
    #[diesel(sql_type = Nullable<BigInt>)]
    last_at: Option<i64>,
}

/// The condition of the index stands there literally.
const RESCUED: &str = "SELECT count(DISTINCT job_id) AS jobs, max(finished_at) AS last_at FROM (\
     SELECT job_id, finished_at FROM attempts INDEXED BY attempts_lost WHERE outcome = 5 AND finished_at >= ?1 \
     ORDER BY finished_at DESC LIMIT 10000) AS lost \
     WHERE ?2 IS NULL OR EXISTS (SELECT 1 FROM jobs WHERE jobs.id = job_id AND queue = ?2)";

#[derive(QueryableByName)]
struct OfQueue {
    #[diesel(sql_type = Text, deserialize_as = Words)]
    queue: String,
}

/// The queues of jobs that wait for limits alone, leaving out limits that let no job run.
const PARKED: &str = sql!(
    "SELECT DISTINCT queue FROM jobs INDEXED BY all_blocked WHERE state = {blocked} AND waits = ?1 AND NOT EXISTS ( \
     SELECT 1 FROM job_limits JOIN limits \
     ON limits.name = job_limits.key OR limits.name || ':' = substr(job_limits.key, 1, length(limits.name) + 1) \
     WHERE job_limits.job_id = jobs.id AND limits.running = 0)"
);

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text, deserialize_as = Words)]
    queue: String,
    #[diesel(sql_type = SmallInt)]
    state: i16,
    #[diesel(sql_type = BigInt)]
    jobs: i64,
}

/// What is counted, in one moment: the counts kept, and the running jobs.
const COUNTS: &str = sql!(
    "SELECT queue, state, jobs FROM counts WHERE ?1 IS NULL OR queue = ?1 \
     UNION ALL \
     SELECT queue, CAST({processing} AS SMALLINT), count(*) FROM jobs INDEXED BY jobs_running WHERE node_id IS NOT NULL AND (?1 IS NULL OR queue = ?1) \
     GROUP BY queue \
     ORDER BY 1, 2"
);

/// How many jobs each queue, or one, has in each state; pairs without jobs are left out.
fn read_counts(conn: &mut Db, queue: Option<&QueueName>) -> Result<Vec<QueueCount>, StoreError> {
    let rows: Vec<Row> = diesel::sql_query(conn.dialect().words(COUNTS))
        .bind::<Nullable<Text>, _>(queue.map(QueueName::as_str))
        .load(conn)?;
    let mut counts = Vec::new();
    for of_queue in rows.chunk_by(|a, b| a.queue == b.queue) {
        let all: i64 = of_queue
            .iter()
            .filter(|row| row.state == ALL)
            .map(|row| row.jobs)
            .sum();
        let others: i64 = of_queue
            .iter()
            .filter(|row| row.state != ALL)
            .map(|row| row.jobs)
            .sum();
        for state in State::ALL {
            let jobs = match state {
                State::Completed => all - others,
                _ => of_queue
                    .iter()
                    .filter(|row| row.state == state.code())
                    .map(|row| row.jobs)
                    .sum(),
            };
            if let Some(jobs) = u64::try_from(jobs).ok().filter(|jobs| *jobs > 0) {
                let queue = of_queue[0].queue.clone();
                counts.push(QueueCount { queue, state, jobs });
            }
        }
    }
    Ok(counts)
}
