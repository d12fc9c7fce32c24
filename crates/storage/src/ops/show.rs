//! Reading one job and its attempts.

use diesel::prelude::*;
use queuectl_core::{Attempt, Job, JobId, JobRef};

use super::live;
use crate::backend::Db;
use crate::rows::{AttemptRow, JobRow, found_jobs};
use crate::schema::{attempts, jobs, outputs};
use crate::{Store, StoreError};

impl Store {
    /// The job of that number or name.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`].
    pub fn job(&mut self, job: &JobRef) -> Result<Job, StoreError> {
        job_in(self.conn()?, job)
    }

    /// The job's ended attempts with what they printed, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn attempts(&mut self, job: JobId) -> Result<Vec<Attempt>, StoreError> {
        let conn = self.conn()?;
        let rows: Vec<AttemptRow> = attempts::table
            .filter(attempts::job_id.eq(job.0))
            .order(attempts::fence)
            .select(AttemptRow::as_select())
            .load(conn)?;
        numbered(rows)
            .map(|(number, row)| with_output(conn, number, row))
            .collect()
    }

    /// The job's ended attempts without what they printed, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn attempts_without_output(&mut self, job: JobId) -> Result<Vec<Attempt>, StoreError> {
        let rows: Vec<AttemptRow> = attempts::table
            .filter(attempts::job_id.eq(job.0))
            .order(attempts::fence)
            .select(AttemptRow::as_select())
            .load(self.conn()?)?;
        Ok(numbered(rows)
            .map(|(number, row)| row.into_attempt(number))
            .collect())
    }

    /// The attempt that was made under that fencing token, with what it printed; none if it has not ended.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn attempt(&mut self, job: JobId, fence: i64) -> Result<Option<Attempt>, StoreError> {
        let conn = self.conn()?;
        let row: Option<AttemptRow> = attempts::table
            .find((job.0, fence))
            .select(AttemptRow::as_select())
            .get_result(conn)
            .optional()?;
        row.map(|row| {
            let number = number_of(conn, &row)?;
            with_output(conn, number, row)
        })
        .transpose()
    }

    /// The job's newest ended attempt, without its output.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn last_attempt(&mut self, job: JobId) -> Result<Option<Attempt>, StoreError> {
        last_in(self.conn()?, job)
    }
}

/// The job of that number or name.
pub(crate) fn job_in(conn: &mut Db, job: &JobRef) -> Result<Job, StoreError> {
    let found = match job {
        JobRef::Number(id) => found_jobs!(conn, jobs::id.eq(id.0)),
        JobRef::Name(name) => found_jobs!(conn, jobs::name.eq(name.as_str())),
    };
    let found = found.into_iter().next();
    let mut found = found
        .ok_or_else(|| StoreError::NoSuchJob(job.to_string()))?
        .read(conn)?;
    live::fill(conn, std::slice::from_mut(&mut found))?;
    Ok(found)
}

/// The job's newest ended attempt, without its output.
pub(crate) fn last_in(conn: &mut Db, job: JobId) -> Result<Option<Attempt>, StoreError> {
    let row: Option<AttemptRow> = attempts::table
        .filter(attempts::job_id.eq(job.0))
        .order(attempts::fence.desc())
        .select(AttemptRow::as_select())
        .first(conn)
        .optional()?;
    row.map(|row| {
        let number = number_of(conn, &row)?;
        Ok(row.into_attempt(number))
    })
    .transpose()
}

/// All attempts of a job, oldest first, with their numbers over its whole life. Nothing of it is stored, so that it holds
/// for rows of any age; attempts go with their job alone.
fn numbered(rows: Vec<AttemptRow>) -> impl Iterator<Item = (u32, AttemptRow)> {
    (1..).zip(rows)
}

/// The number that [`numbered`] gives.
fn number_of(conn: &mut Db, row: &AttemptRow) -> Result<u32, StoreError> {
    let up_to: i64 = attempts::table
        .filter(attempts::job_id.eq(row.job_id).and(attempts::fence.le(row.fence)))
        .count()
        .get_result(conn)?;
    Ok(u32::try_from(up_to).unwrap_or(u32::MAX))
}

fn with_output(conn: &mut Db, number: u32, row: AttemptRow) -> Result<Attempt, StoreError> {
    let (head, tail, marks): (_, _, Option<Vec<u8>>) = outputs::table
        .filter(outputs::job_id.eq(row.job_id).and(outputs::fence.eq(row.fence)))
        .select((outputs::head, outputs::tail, outputs::marks))
        .get_result(conn)
        .optional()?
        .unwrap_or_default();
    let mut attempt = row.into_attempt(number);
    attempt.output.head = head;
    attempt.output.tail = tail;
    attempt.output.index = marks.unwrap_or_default();
    Ok(attempt)
}

/// The row of that job, without its payload, for a transaction that is going to change it.
pub(crate) fn find(conn: &mut Db, job: &JobRef) -> Result<JobRow, StoreError> {
    conn.dialect().lock_job(job)?;
    let row = match job {
        JobRef::Number(id) => jobs::table
            .filter(jobs::id.eq(id.0))
            .select(JobRow::as_select())
            .get_result(conn)
            .optional()?,
        JobRef::Name(name) => jobs::table
            .filter(jobs::name.eq(name.as_str()))
            .select(JobRow::as_select())
            .get_result(conn)
            .optional()?,
    };
    row.ok_or_else(|| StoreError::NoSuchJob(job.to_string()))
}
