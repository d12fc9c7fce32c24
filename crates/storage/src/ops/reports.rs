//! What a running job says about itself: how far it is, a checkpoint, a result.
//!
//! A process of the job writes it, by the store alone, so no node has to be asked. It is fenced as the end of an attempt is: under
//! the lock of the job's row, only the attempt that runs now may write.

use std::time::Duration;

use diesel::prelude::*;
use queuectl_core::limits::PROGRESS_PAUSE;
use queuectl_core::{JobId, JobProgress, JobRef, JobReport, State, Timestamp};
use serde::{Deserialize, Serialize};

use super::live::progress;
use super::show::find;
use crate::backend::{Db, on_any};
use crate::outcome::standing;
use crate::rows::JobRow;
use crate::schema::{nodes, reports};
use crate::types::text::{MaybeWords, Words};
use crate::{Store, StoreError};

/// Jobs looked up by one statement.
const CHUNK: usize = 500;

/// Who reports, as a process of a job knows it from its environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reporter {
    /// The job.
    pub job: JobRef,
    /// The fencing token of its attempt.
    pub fence: i64,
    /// The mark of the worker process that started it, which no job of another store has. A container has none.
    pub mark: Option<String>,
}

/// What became of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reported {
    /// It is stored.
    Stored,
    /// The one before was stored a moment ago; it is to be repeated after this time.
    TooSoon(Duration),
}

/// What is kept beside a job that it has said itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// How far its newest attempt was.
    pub progress: Option<JobProgress>,
    /// The result of its newest attempt: JSON.
    pub result: Option<String>,
    /// From where the next attempt goes on.
    pub checkpoint: Option<String>,
}

/// A row of `reports`.
#[derive(Debug, Clone, Hash, Queryable, Selectable, Insertable, AsChangeset, Serialize, Deserialize)]
#[diesel(table_name = reports, primary_key(job_id), treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct ReportRow {
    pub job_id: i64,
    pub fence: i64,
    pub percent: Option<i16>,
    #[diesel(deserialize_as = MaybeWords)]
    pub message: Option<String>,
    pub reported_at: Option<i64>,
    #[diesel(deserialize_as = MaybeWords)]
    pub result: Option<String>,
    #[diesel(deserialize_as = MaybeWords)]
    pub checkpoint: Option<String>,
}

impl ReportRow {
    fn new(job_id: i64, fence: i64, checkpoint: Option<String>) -> ReportRow {
        ReportRow {
            job_id,
            fence,
            percent: None,
            message: None,
            reported_at: None,
            result: None,
            checkpoint,
        }
    }

    fn progress(&self) -> Option<JobProgress> {
        Some(progress(self.percent, self.message.clone(), self.reported_at?))
    }
}

impl Store {
    /// Stores what a process of a running job reports.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]; [`StoreError::StaleReport`] if it is not a process of the attempt that runs now.
    pub fn report(
        &mut self,
        from: &Reporter,
        report: &JobReport,
        now: Timestamp,
    ) -> Result<Reported, StoreError> {
        self.write(|conn| {
            let job = find(conn, &from.job)?;
            let what = match report {
                JobReport::Progress { .. } => "the progress",
                JobReport::Checkpoint(_) => "the checkpoint",
                JobReport::Result(_) => "the result",
            };
            check(conn, from, &job).map_err(|why| match why {
                Unfit::Store(error) => error,
                Unfit::Stale(why) => StoreError::StaleReport {
                    what,
                    job: from.job.to_string(),
                    why,
                },
            })?;
            let mut row = row_of(conn, job.id)?.map_or_else(
                || ReportRow::new(job.id, job.fence, None),
                |row| match row.fence == job.fence {
                    true => row,
                    false => ReportRow::new(job.id, job.fence, row.checkpoint),
                },
            );
            match report {
                JobReport::Progress { percent, message } => {
                    let since = row.reported_at.map(|at| now.since(Timestamp(at)));
                    // After a clock that was set back, nothing is known.
                    let is_behind = row.reported_at.is_some_and(|at| at > now.0);
                    if let Some(since) = since.filter(|since| !is_behind && *since < PROGRESS_PAUSE) {
                        return Ok(Reported::TooSoon(PROGRESS_PAUSE - since));
                    }
                    row.percent = percent.map(i16::from).or(row.percent);
                    row.message = match message {
                        Some(message) => Some(message.clone()).filter(|message| !message.is_empty()),
                        None => row.message,
                    };
                    row.reported_at = Some(now.0);
                }
                JobReport::Checkpoint(checkpoint) => row.checkpoint.clone_from(checkpoint),
                JobReport::Result(result) => row.result = Some(result.clone()),
            }
            on_any!(conn, conn => diesel::insert_into(reports::table).values(row.clone())
                .on_conflict(reports::job_id).do_update().set(row).execute(conn))?;
            Ok(Reported::Stored)
        })
    }

    /// What a job has said about itself.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn said(&mut self, job: JobId, fence: i64) -> Result<Said, StoreError> {
        let Some(row) = row_of(self.conn()?, job.0)? else {
            return Ok(Said::default());
        };
        let is_newest = row.fence == fence;
        Ok(Said {
            progress: row.progress().filter(|_| is_newest),
            result: row.result.filter(|_| is_newest),
            checkpoint: row.checkpoint,
        })
    }

    /// The checkpoints of those of these jobs that have one, by their numbers.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn checkpoints(&mut self, of: &[JobId]) -> Result<Vec<(JobId, String)>, StoreError> {
        let mut all = Vec::new();
        for some in of.chunks(CHUNK) {
            let ids: Vec<i64> = some.iter().map(|job| job.0).collect();
            let found: Vec<(i64, Words)> = reports::table
                .filter(
                    reports::job_id
                        .eq_any(&ids)
                        .and(reports::checkpoint.is_not_null()),
                )
                .select((reports::job_id, reports::checkpoint.assume_not_null()))
                .load(self.conn()?)?;
            all.extend(found.into_iter().map(|(job, text)| (JobId(job), text.text)));
        }
        Ok(all)
    }
}

enum Unfit {
    Stale(&'static str),
    Store(StoreError),
}

/// Whether a process of the newest attempt reports.
fn check(conn: &mut Db, from: &Reporter, job: &JobRow) -> Result<(), Unfit> {
    let state = standing(job).map_err(Unfit::Store)?.state;
    let node = job.node_id.filter(|_| state == State::Processing);
    let Some(node) = node.filter(|_| job.fence == from.fence) else {
        return Err(Unfit::Stale(match job.fence > from.fence {
            true => "a later attempt has begun",
            false => "this attempt has ended",
        }));
    };
    let Some(mark) = &from.mark else {
        return Ok(());
    };
    let cookie: Option<Words> = nodes::table
        .find(node)
        .select(nodes::cookie)
        .first(conn)
        .optional()
        .map_err(|error| Unfit::Store(error.into()))?;
    match cookie.is_some_and(|cookie| mark.starts_with(&cookie.text)) {
        true => Ok(()),
        false => Err(Unfit::Stale("this process is not of a job of this queue")),
    }
}

fn row_of(conn: &mut Db, job: i64) -> Result<Option<ReportRow>, StoreError> {
    Ok(reports::table
        .find(job)
        .select(ReportRow::as_select())
        .first(conn)
        .optional()?)
}
