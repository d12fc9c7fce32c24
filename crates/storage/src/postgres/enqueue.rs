//! Storing jobs on PostgreSQL: some megabytes of them by one statement.

use std::collections::HashSet;

use diesel::prelude::*;
use queuectl_core::{JobId, State, Timestamp, ValidJob};

use super::commit::Transaction;
use super::insert_jobs::InsertJobs;
use super::portions;
use super::statements::{NextNumbers, OwnNumber};
use crate::StoreError;
use crate::backend::Dialect;
use crate::counts::Deltas;
use crate::limits::{LimitRows, park};
use crate::types::jobs::{content, first, first_state};
use crate::types::limits::{NewRow, Placement};
use crate::types::placed::Placed;

/// Stores jobs without keys; their numbers, in their order, and the transaction that does it.
pub fn insert_all(
    conn: &mut PgConnection,
    jobs: &[ValidJob],
    now: Timestamp,
) -> Result<(Vec<JobId>, Option<Transaction>), StoreError> {
    if jobs.is_empty() {
        return Ok((Vec::new(), None));
    }
    let waits_for_time = |job: &ValidJob| first_state(job, now).0 != State::Pending;
    let placements = park(conn, jobs, waits_for_time, now)?;
    let count = i64::try_from(jobs.len()).unwrap_or(i64::MAX);
    let numbers: Vec<(i64, i64)> = NextNumbers { count }.load(conn)?;
    let number = numbers.first().map(|(_, number)| *number);
    let mut ids: Vec<i64> = numbers.into_iter().map(|(id, _)| id).collect();
    ids.sort_unstable();
    let mut transaction = None;
    let mut deltas = Deltas::default();
    for portion in portions(jobs.iter().map(|job| job.stored_payload().len())) {
        let first = portion.start;
        let placed = placements.as_ref().map(|placements| &placements[portion.clone()]);
        let rows = rows(&ids[portion.clone()], &jobs[portion], placed, now, &mut deltas);
        let of_first = |(number, sum): (i64, &i32)| Transaction {
            number,
            job: rows.id[0],
            created_at: now.0,
            sum: *sum,
        };
        transaction = transaction.or(number.zip(rows.sum.first()).map(of_first));
        let (numbers, names) = (rows.id.clone(), rows.name.clone());
        let stored: HashSet<i64> = rows.load::<(i64,)>(conn)?.into_iter().map(|(id,)| id).collect();
        // Only a name that is taken keeps a job from being stored; the transaction is given up then.
        if let Some(place) = numbers.iter().position(|id| !stored.contains(id)) {
            let name = names[place].clone().unwrap_or_default();
            let index = first + place;
            return Err(StoreError::NameTaken { name, index });
        }
    }
    if let Some(placements) = &placements {
        let placed = ids.iter().zip(jobs).zip(placements);
        let rows: Vec<NewRow<'_>> = placed
            .flat_map(|((id, job), placement)| placement.rows(*id, job.priority()))
            .collect();
        conn.set_rows(&rows)?;
    }
    conn.add_counts(deltas)?;
    Ok((ids.into_iter().map(JobId).collect(), transaction))
}

/// The transaction that stored those jobs, by the first of them that is new.
pub fn transaction(
    conn: &mut PgConnection,
    jobs: &[ValidJob],
    placed: &[Placed],
    now: Timestamp,
) -> Result<Option<Transaction>, StoreError> {
    let new = placed
        .iter()
        .zip(jobs)
        .find(|(placed, _)| placed.existing.is_none());
    let Some((first, job)) = new else {
        return Ok(None);
    };
    let (number,) = OwnNumber {}.get_result::<(i64,)>(conn)?;
    Ok(Some(Transaction {
        number,
        job: first.id.0,
        created_at: now.0,
        sum: content(job).sum(),
    }))
}

/// What one statement stores, counted.
fn rows(
    ids: &[i64],
    jobs: &[ValidJob],
    placements: Option<&[Placement]>,
    now: Timestamp,
    deltas: &mut Deltas,
) -> InsertJobs {
    let mut rows = InsertJobs::new(now);
    for (index, (id, job)) in ids.iter().zip(jobs).enumerate() {
        let first = first(job, placements.map(|placements| &placements[index]), now);
        deltas.came(job.queue(), first.state, 1);
        rows.push(*id, &content(job), &first);
    }
    rows
}
