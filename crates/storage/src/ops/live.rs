//! What is kept beside the rows of running jobs and shown with them: since when they are suspended, and how far they are.
//!
//! Only reads. Most stores have few such rows, and jobs that do not run are not looked up.

use std::collections::HashMap;

use diesel::prelude::*;
use queuectl_core::{Job, JobProgress, State, Timestamp};

use crate::StoreError;
use crate::backend::Db;
use crate::schema::{reports, suspensions};
use crate::types::text::Words;

/// Jobs looked up by one statement.
const CHUNK: usize = 500;

/// Adds it to those of these jobs that run.
pub(super) fn fill(conn: &mut Db, jobs: &mut [Job]) -> Result<(), StoreError> {
    add_suspensions(conn, jobs)?;
    add_progress(conn, jobs)
}

fn add_suspensions(conn: &mut Db, jobs: &mut [Job]) -> Result<(), StoreError> {
    let runs = |job: &&mut Job| job.state == State::Processing;
    let mut running: Vec<&mut Job> = jobs.iter_mut().filter(runs).collect();
    for some in running.chunks_mut(CHUNK) {
        let ids: Vec<i64> = some.iter().map(|job| job.id.0).collect();
        let found: Vec<(i64, i64, i64)> = suspensions::table
            .filter(
                suspensions::job_id
                    .eq_any(&ids)
                    .and(suspensions::since.is_not_null()),
            )
            .select((
                suspensions::job_id,
                suspensions::fence,
                suspensions::since.assume_not_null(),
            ))
            .load(conn)?;
        let found: HashMap<(i64, i64), i64> = found
            .into_iter()
            .map(|(job, fence, since)| ((job, fence), since))
            .collect();
        for job in some {
            job.suspended_since = found.get(&(job.id.0, job.fence)).copied().map(Timestamp);
        }
    }
    Ok(())
}

fn add_progress(conn: &mut Db, jobs: &mut [Job]) -> Result<(), StoreError> {
    let runs = |job: &&mut Job| job.state == State::Processing;
    let mut running: Vec<&mut Job> = jobs.iter_mut().filter(runs).collect();
    for some in running.chunks_mut(CHUNK) {
        let ids: Vec<i64> = some.iter().map(|job| job.id.0).collect();
        type Row = (i64, i64, Option<i16>, Option<Words>, i64);
        let found: Vec<Row> = reports::table
            .filter(
                reports::job_id
                    .eq_any(&ids)
                    .and(reports::reported_at.is_not_null()),
            )
            .select((
                reports::job_id,
                reports::fence,
                reports::percent,
                reports::message,
                reports::reported_at.assume_not_null(),
            ))
            .load(conn)?;
        let mut found: HashMap<(i64, i64), JobProgress> = found
            .into_iter()
            .map(|(job, fence, percent, message, at)| {
                ((job, fence), progress(percent, message.map(String::from), at))
            })
            .collect();
        for job in some {
            job.progress = found.remove(&(job.id.0, job.fence));
        }
    }
    Ok(())
}

/// How far a job is, as stored.
pub(super) fn progress(percent: Option<i16>, message: Option<String>, at: i64) -> JobProgress {
    JobProgress {
        percent: percent.and_then(|percent| u8::try_from(percent).ok()),
        message,
        at: Timestamp(at),
    }
}
