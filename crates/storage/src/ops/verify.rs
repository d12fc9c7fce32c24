//! Finding jobs and attempts that are no longer what was stored, by their checksums.

use std::collections::{BTreeMap, HashMap};

use queuectl_core::excerpt;
use queuectl_core::limits::PAYLOAD_BYTES;

use super::copy::{self, Key};
use super::copy_labels;
use crate::StoreError;
use crate::backend::Db;
use crate::checksum::{AttemptContent, JobContent, content_of};
use crate::labels::COMMENT;
use crate::rows::{AttemptRow, JobRow};
use crate::types::readable::fault;

/// Most findings that are named one by one.
const NAMED: usize = 100;

/// Compares every job, label and attempt with its checksum, and says which differ. Reads all of the store, some jobs at a time.
pub fn verify(conn: &mut Db) -> Result<Vec<String>, StoreError> {
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
        let Some(last) = rows.jobs.last().map(|job| job.id) else {
            break;
        };
        let payloads = rows.payloads.iter();
        let payloads: HashMap<i64, &str> = payloads.map(|row| (row.job_id, row.payload.as_str())).collect();
        for job in &rows.jobs {
            // One without a payload is found as a row that points at nothing.
            let Some(payload) = payloads.get(&job.id) else {
                continue;
            };
            match job.sum {
                Some(sum) if sum != of_job(job, payload).sum() => {
                    say(format!("job {}: what it runs is not what was stored", job.id));
                }
                Some(_) => {}
                None => {
                    let payload = Some(*payload).filter(|payload| payload.len() <= PAYLOAD_BYTES);
                    let fault = fault(job.name.as_deref(), &job.queue, &job.executor, payload);
                    fault
                        .err()
                        .into_iter()
                        .for_each(|fault| say(format!("job {} cannot be read: {fault}", job.id)));
                }
            }
        }
        let mut at = (after, i64::MAX);
        while let Some(attempts) = copy::next_attempts(conn, &mut at, (last, i64::MAX))? {
            for line in verify_attempts(conn, &attempts)? {
                say(line);
            }
        }
        after = last;
    }
    copy_labels::read(conn, |rows| {
        for row in rows.iter().filter(|row| !row.is_whole()) {
            let what = match row.key.as_str() {
                COMMENT => "its comment".to_owned(),
                key => format!("its label '{}'", excerpt(key)),
            };
            say(format!("job {}: {what} is not what was stored", row.job_id));
        }
        Ok(())
    })?;
    if more > 0 {
        found.push(format!("and {more} more jobs or attempts"));
    }
    Ok(found)
}

/// Which of these attempts, the next by their keys, differ from their checksums.
fn verify_attempts(conn: &mut Db, attempts: &[AttemptRow]) -> Result<Vec<String>, StoreError> {
    let key = |row: &AttemptRow| (row.job_id, row.fence);
    let mut left: BTreeMap<Key, &AttemptRow> = attempts.iter().map(|row| (key(row), row)).collect();
    let (Some(first), Some(last)) = (attempts.first().map(key), attempts.last().map(key)) else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    let mut compare = |attempt: &AttemptRow, head: &[u8], tail: &[u8]| {
        let differs = |sum| sum != of_attempt(attempt, head, tail).sum();
        if attempt.sum.is_some_and(differs) {
            let (job, fence) = key(attempt);
            found.push(format!(
                "job {job}: the attempt under fence {fence} is not what was recorded"
            ));
        }
    };
    let mut at = (first.0, first.1.saturating_sub(1));
    while let Some(outputs) = copy::next_outputs(conn, &mut at, last)? {
        for output in &outputs {
            if let Some(attempt) = left.remove(&(output.job_id, output.fence)) {
                compare(attempt, &output.head, &output.tail);
            }
        }
    }
    // Those that printed nothing.
    left.values().for_each(|attempt| compare(attempt, &[], &[]));
    Ok(found)
}

fn of_job<'a>(row: &'a JobRow, payload: &'a str) -> JobContent<'a> {
    content_of!(row, payload)
}

fn of_attempt<'a>(row: &'a AttemptRow, head: &'a [u8], tail: &'a [u8]) -> AttemptContent<'a> {
    AttemptContent {
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
