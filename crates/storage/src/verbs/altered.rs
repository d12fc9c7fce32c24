//! Finding jobs and attempts that are no longer what was stored, by their checksums.

use std::collections::HashMap;

use super::copy;
use crate::StoreError;
use crate::connection::Db;
use crate::rows::{AttemptRow, JobRow};
use crate::sums::{OfAttempt, OfJob};

/// Most findings that are named one by one.
const NAMED: usize = 100;

/// Compares every job and attempt with its checksum, and says which differ. Reads all of the store, some jobs at a time.
pub fn altered(conn: &mut Db) -> Result<Vec<String>, StoreError> {
    let mut found = Vec::new();
    let mut more = 0_u64;
    let mut say = |line: String| {
        if found.len() < NAMED {
            found.push(line);
        } else {
            more += 1;
        }
    };
    let mut after = i64::MIN;
    loop {
        let rows = copy::read(conn, after)?;
        let Some(last) = rows.jobs.last() else {
            break;
        };
        after = last.id;
        let payloads = rows.payloads.iter();
        let payloads: HashMap<i64, &str> = payloads.map(|row| (row.job_id, row.payload.as_str())).collect();
        for job in &rows.jobs {
            // One without a payload is found as a row that points at nothing.
            let payload = payloads.get(&job.id).copied().unwrap_or_default();
            if job.sum.is_some_and(|sum| sum != of_job(job, payload).sum()) {
                say(format!("job {}: what it runs is not what was stored", job.id));
            }
        }
        let outputs = rows.outputs.iter();
        let outputs: HashMap<_, _> = outputs.map(|row| ((row.job_id, row.fence), row)).collect();
        for attempt in &rows.attempts {
            let key = (attempt.job_id, attempt.fence);
            let output = outputs.get(&key);
            let (head, tail) = output.map_or_else(Default::default, |row| (&*row.head, &*row.tail));
            let differs = |sum| sum != of_attempt(attempt, head, tail).sum();
            if attempt.sum.is_some_and(differs) {
                let (job, fence) = key;
                say(format!(
                    "job {job}: the attempt under fence {fence} is not what was recorded"
                ));
            }
        }
    }
    if more > 0 {
        found.push(format!("and {more} more jobs or attempts"));
    }
    Ok(found)
}

fn of_job<'a>(row: &'a JobRow, payload: &'a str) -> OfJob<'a> {
    OfJob {
        name: row.name.as_deref(),
        queue: &row.queue,
        priority: row.priority,
        max_retries: row.max_retries,
        backoff_base: row.backoff_base,
        timeout_ms: row.timeout_ms,
        executor: &row.executor,
        payload,
    }
}

fn of_attempt<'a>(row: &'a AttemptRow, head: &'a [u8], tail: &'a [u8]) -> OfAttempt<'a> {
    OfAttempt {
        job_id: row.job_id,
        fence: row.fence,
        attempt: row.attempt,
        node_id: row.node_id,
        worker: row.worker,
        outcome: row.outcome,
        exit_code: row.exit_code,
        signal: row.signal,
        message: &row.message,
        started_at: row.started_at,
        finished_at: row.finished_at,
        output_bytes: row.output_bytes,
        head,
        tail,
    }
}
