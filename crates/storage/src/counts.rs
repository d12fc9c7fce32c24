//! How many jobs each queue has in each state, kept beside the jobs so that nobody has to count millions of rows.
//!
//! Every transaction that moves jobs writes the differences along, once per queue and state and not per job. Two states
//! are left out: running jobs are few and counted when somebody asks, and completed is what is left of all. So a cycle
//! that records successes and claims the next jobs writes one row here.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, SmallInt, Text};
use diesel::sqlite::SqliteConnection;
use queuectl_core::{QueueName, State};

use crate::StoreError;
use crate::connection::Db;
use crate::listing::in_words_of;
use crate::ops::status::QueueCount;
use crate::postgres::statements::{AddCounts, FoldCounts};
use crate::sqlite::statements::AddToCount;
use crate::words::Words;

/// Stands for all jobs of a queue, in the column for the state.
const ALL: i16 = -1;

/// Differences that a transaction has made so far.
#[derive(Debug, Default)]
pub struct Deltas(Vec<(String, i16, i64)>);

impl Deltas {
    /// So many jobs came into the queue (or left it, if negative), in that state.
    pub fn came(&mut self, queue: &str, state: State, jobs: i64) {
        self.add(queue, ALL, jobs);
        self.entered(queue, state, jobs);
    }

    /// So many jobs of the queue entered that state (or left it, if negative).
    pub fn entered(&mut self, queue: &str, state: State, jobs: i64) {
        if !matches!(state, State::Processing | State::Completed) {
            self.add(queue, state.code(), jobs);
        }
    }

    /// These jobs became due: their queues, and their fences, by which scheduled jobs, never claimed, are told from
    /// failed ones.
    pub fn promoted(&mut self, jobs: &[(String, i64)]) {
        for (queue, fence) in jobs {
            let from = if *fence == 0 {
                State::Scheduled
            } else {
                State::Failed
            };
            self.entered(queue, from, -1);
            self.entered(queue, State::Pending, 1);
        }
    }

    fn add(&mut self, queue: &str, state: i16, jobs: i64) {
        match self.0.iter_mut().find(|(q, s, _)| *s == state && q == queue) {
            Some((_, _, sum)) => *sum += jobs,
            None => self.0.push((queue.to_owned(), state, jobs)),
        }
    }

    /// Writes them, within the transaction.
    pub fn store(self, conn: &mut Db) -> Result<(), StoreError> {
        match conn {
            Db::Sqlite(conn) => self.store_sqlite(conn),
            Db::Postgres(conn) => self.store_postgres(conn),
        }
    }

    /// On SQLite, where writers come one after the other, a row for each queue and state is changed.
    pub fn store_sqlite(self, conn: &mut SqliteConnection) -> Result<(), StoreError> {
        for (queue, state, jobs) in self.0.into_iter().filter(|(_, _, jobs)| *jobs != 0) {
            AddToCount { queue, state, jobs }.execute(conn)?;
        }
        Ok(())
    }

    /// On PostgreSQL, where several nodes would wait for each other at such a row, a row is added each time; what was
    /// added counts together, and now and then it is folded into one.
    pub fn store_postgres(self, conn: &mut PgConnection) -> Result<(), StoreError> {
        let mut rows = AddCounts {
            queue: Vec::new(),
            state: Vec::new(),
            jobs: Vec::new(),
        };
        for (queue, state, jobs) in self.0.into_iter().filter(|(_, _, jobs)| *jobs != 0) {
            rows.queue.push(queue);
            rows.state.push(state);
            rows.jobs.push(jobs);
        }
        if !rows.queue.is_empty() {
            rows.execute(conn)?;
        }
        Ok(())
    }
}

/// Forgets queues without jobs, and folds what was added up.
pub fn forget_empty(conn: &mut Db) -> Result<(), StoreError> {
    match conn {
        Db::Sqlite(conn) => diesel::sql_query(
            "DELETE FROM counts WHERE queue IN (SELECT queue FROM counts WHERE state = -1 AND jobs = 0)",
        )
        .execute(conn)?,
        Db::Postgres(conn) => FoldCounts {}.execute(conn)?,
    };
    Ok(())
}

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
const COUNTS: &str = "SELECT queue, state, jobs FROM counts WHERE ?1 IS NULL OR queue = ?1 \
     UNION ALL \
     SELECT queue, CAST(3 AS SMALLINT), count(*) FROM jobs INDEXED BY jobs_running WHERE node_id IS NOT NULL AND (?1 IS NULL OR queue = ?1) \
     GROUP BY queue \
     ORDER BY 1, 2";

/// How many jobs each queue, or one, has in each state; pairs without jobs are left out.
pub fn read(conn: &mut Db, queue: Option<&QueueName>) -> Result<Vec<QueueCount>, StoreError> {
    let rows: Vec<Row> = diesel::sql_query(in_words_of(conn, COUNTS))
        .bind::<diesel::sql_types::Nullable<Text>, _>(queue.map(QueueName::as_str))
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

/// Counts the jobs and compares: how many pairs of queue and state have a wrong count. Reads every job.
pub const WRONG: &str = "WITH counted (queue, state, jobs) AS (\
     SELECT queue, -1, count(*) FROM jobs GROUP BY queue \
     UNION ALL \
     SELECT queue, state, count(*) FROM jobs WHERE state IN (1, 2, 4, 6, 7) GROUP BY queue, state), \
     kept (queue, state, jobs) AS (\
     SELECT queue, state, sum(jobs) FROM counts GROUP BY queue, state HAVING sum(jobs) <> 0) \
     SELECT count(*) FROM (SELECT DISTINCT queue, state FROM (\
     SELECT * FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept) AS missing \
     UNION ALL \
     SELECT * FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted) AS surplus) AS either) AS pairs";

/// Counts the jobs anew. Reads every job.
pub const RECOUNT: &str = "DELETE FROM counts; \
     INSERT INTO counts SELECT queue, -1, count(*) FROM jobs GROUP BY queue; \
     INSERT INTO counts SELECT queue, state, count(*) FROM jobs WHERE state IN (1, 2, 4, 6, 7) GROUP BY queue, state;";
