//! Storing jobs on SQLite, several rows a statement.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sqlite::SqliteConnection;
use queuectl_core::{JobId, State, Timestamp, ValidJob};

use super::inserts::{self, JobRow, PayloadRow};
use super::statements::LastNumber;
use crate::StoreError;
use crate::backend::Dialect;
use crate::counts::Deltas;
use crate::limits::{LimitRows, park};
use crate::types::jobs::{content, first, first_state};
use crate::types::limits::NewRow;

/// Stores jobs without keys; their numbers, in their order.
pub fn insert_all(
    conn: &mut SqliteConnection,
    jobs: &[ValidJob],
    now: Timestamp,
) -> Result<Vec<JobId>, StoreError> {
    let waits_for_time = |job: &ValidJob| first_state(job, now).0 != State::Pending;
    let placements = park(conn, jobs, waits_for_time, now)?;
    let rows = jobs.iter().enumerate().map(|(index, job)| {
        let placement = placements.as_ref().map(|placements| &placements[index]);
        JobRow::new(&content(job), &first(job, placement, now), now)
    });
    let rows: Vec<JobRow<'_>> = rows.collect();
    let numbers = insert_jobs(conn, &rows)?;
    let payloads: Vec<PayloadRow<'_>> = numbers
        .iter()
        .zip(jobs)
        .map(|(job_id, job)| PayloadRow {
            job_id: *job_id,
            payload: job.stored_payload(),
        })
        .collect();
    inserts::insert(conn, &payloads, |_, _| Ok(())).map_err(|(_, error)| error)?;
    if let Some(placements) = &placements {
        let placed = numbers.iter().zip(jobs).zip(placements);
        let rows: Vec<NewRow<'_>> = placed
            .flat_map(|((id, job), placement)| placement.rows(*id, job.priority()))
            .collect();
        conn.set_rows(&rows)?;
    }
    let mut deltas = Deltas::default();
    for row in &rows {
        let state = State::from_code(row.state).unwrap_or(State::Pending);
        deltas.came(row.queue, state, 1);
    }
    conn.add_counts(deltas)?;
    Ok(numbers.into_iter().map(JobId).collect())
}

/// Stores the rows and returns their numbers, or says which has a name that is taken.
fn insert_jobs(conn: &mut SqliteConnection, rows: &[JobRow<'_>]) -> Result<Vec<i64>, StoreError> {
    let mut numbers = Vec::with_capacity(rows.len());
    let inserted = inserts::insert(conn, rows, |conn, count| {
        // The rows of a statement have consecutive numbers, since SQLite has one writer at a time.
        let (last,) = LastNumber {}.get_result::<(i64,)>(conn)?;
        numbers.extend(last - count as i64 + 1..=last);
        Ok(())
    });
    let Err((from, error)) = inserted else {
        return Ok(numbers);
    };
    if matches!(
        error,
        DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)
    ) {
        // One of a statement's rows; which one, only each by itself can tell. All is undone with the transaction.
        for (index, row) in rows.iter().enumerate().skip(from) {
            if let (Err(_), Some(name)) = (inserts::insert_one(conn, row), row.name) {
                let name = name.to_owned();
                return Err(StoreError::NameTaken { name, index });
            }
        }
    }
    Err(error.into())
}
