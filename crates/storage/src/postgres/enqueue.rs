//! Storing jobs on PostgreSQL: some megabytes of them by one statement.

use std::collections::{HashSet, VecDeque};

use diesel::prelude::*;
use queuectl_core::{JobId, Timestamp};

use super::commit::Transaction;
use super::portions;
use super::statements::{InsertJobs, NextNumbers};
use crate::StoreError;
use crate::counts::Deltas;
use crate::ops::enqueue::{Checked, first_state};

/// Stores jobs; their numbers, in their order, and the transaction that does it.
pub fn insert_all(
    conn: &mut PgConnection,
    jobs: Vec<Checked<'_>>,
    now: Timestamp,
) -> Result<(Vec<JobId>, Option<Transaction>), StoreError> {
    if jobs.is_empty() {
        return Ok((Vec::new(), None));
    }
    let count = i64::try_from(jobs.len()).unwrap_or(i64::MAX);
    let numbers: Vec<(i64, i64)> = NextNumbers { count }.load(conn)?;
    let number = numbers.first().map(|(_, number)| *number);
    let mut ids: Vec<i64> = numbers.into_iter().map(|(id, _)| id).collect();
    ids.sort_unstable();
    let mut transaction = None;
    let mut deltas = Deltas::default();
    let mut jobs: VecDeque<Checked<'_>> = jobs.into();
    for portion in portions(jobs.iter().map(|checked| checked.payload.len())) {
        let first = portion.start;
        let rows = rows(
            &ids[portion.clone()],
            jobs.drain(..portion.len()),
            now,
            &mut deltas,
        );
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
    deltas.store_postgres(conn)?;
    Ok((ids.into_iter().map(JobId).collect(), transaction))
}

/// What one statement stores, counted.
fn rows<'a>(
    ids: &[i64],
    jobs: impl Iterator<Item = Checked<'a>>,
    now: Timestamp,
    deltas: &mut Deltas,
) -> InsertJobs {
    let mut rows = InsertJobs {
        id: ids.to_vec(),
        name: Vec::new(),
        queue: Vec::new(),
        state: Vec::new(),
        priority: Vec::new(),
        max_retries: Vec::new(),
        backoff_base: Vec::new(),
        timeout_ms: Vec::new(),
        executor: Vec::new(),
        due_at: Vec::new(),
        payload: Vec::new(),
        sum: Vec::new(),
        created_at: now.0,
    };
    for checked in jobs {
        let job = checked.job;
        rows.sum.push(checked.sum());
        let (state, due_at) = first_state(job, now);
        deltas.came(job.queue.as_str(), state, 1);
        rows.name.push(job.name.clone().map(String::from));
        rows.queue.push(job.queue.to_string());
        rows.state.push(state.code());
        rows.priority.push(job.priority);
        rows.max_retries.push(checked.max_retries());
        rows.backoff_base.push(job.backoff_base);
        rows.timeout_ms.push(checked.timeout_ms());
        rows.executor.push(job.executor.to_string());
        rows.due_at.push(due_at.map(|due| due.0));
        rows.payload.push(checked.payload);
    }
    rows
}
