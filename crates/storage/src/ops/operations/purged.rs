//! Jobs that an operator purges: all their rows, kept by the transaction that removes them, and stored again by an undo.
//!
//! Long outputs, which are files, go with the purge and do not come back; what the database has of an output does. Rows that
//! outlive a job anyway, of its groups, its schedule and the jobs that wait for it, are not touched.

use std::collections::HashMap;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use queuectl_core::limits::UNDO_JOB_BYTES;
use queuectl_core::{Gates, JobId, State, Timestamp};
use serde::{Deserialize, Serialize};

use super::Entry;
use crate::StoreError;
use crate::backend::{Db, insert_rows};
use crate::counts::Deltas;
use crate::hooks::JobHooksRow;
use crate::labels::LabelRow;
use crate::ops::events::note;
use crate::ops::reports::ReportRow;
use crate::outcome::EdgeRow;
use crate::rows::{AttemptRow, JobRow, OutputRow, PayloadRow};
use crate::schema::{attempts, edges, job_hooks, job_labels, jobs, outputs, payloads, reports};

/// Rows that are in memory at a time, in bytes.
const PORTION_BYTES: i64 = 8 * 1024 * 1024;

/// What an attempt printed.
#[derive(Debug, Serialize, Deserialize)]
struct Printed {
    fence: i64,
    /// In base64.
    head: String,
    tail: String,
    /// Which stream it came from; none if an earlier version kept it.
    #[serde(default)]
    marks: Option<String>,
}

/// All rows of a job. A later version that adds a column says by `serde(default)` what older ones had in it.
#[derive(Debug, Serialize, Deserialize)]
struct PurgedJob {
    job: JobRow,
    payload: Option<String>,
    attempts: Vec<AttemptRow>,
    outputs: Vec<Printed>,
    edges: Vec<EdgeRow>,
    hooks: Option<JobHooksRow>,
    #[serde(default)]
    labels: Vec<LabelRow>,
    /// What it said about itself.
    #[serde(default)]
    report: Option<ReportRow>,
}

/// Some of the jobs of a purge.
pub(in crate::ops) struct Portion {
    /// How many of the jobs, from the first on: one at least.
    pub jobs: usize,
    /// Those of them that are small enough to be kept.
    kept: Vec<i64>,
}

#[derive(QueryableByName)]
struct Size {
    #[diesel(sql_type = BigInt)]
    job_id: i64,
    #[diesel(sql_type = BigInt)]
    bytes: i64,
}

/// The parts of a job that can be large. An attempt is never nothing: there can be many.
const PARTS: [&str; 5] = [
    "octet_length(payload) AS bytes FROM payloads",
    "octet_length(message) + 256 FROM attempts",
    "octet_length(head) + octet_length(tail) + coalesce(octet_length(marks), 0) FROM outputs",
    "coalesce(octet_length(message), 0) + coalesce(octet_length(result), 0) + coalesce(octet_length(checkpoint), 0) FROM reports",
    "coalesce(octet_length(on_success), 0) + coalesce(octet_length(on_failure), 0) + coalesce(octet_length(on_death), 0) FROM job_hooks",
];

/// How large jobs are, about.
fn sizes(conn: &mut Db, ids: &[i64]) -> Result<HashMap<i64, i64>, StoreError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    // Numbers need no quotes.
    let list: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let list = list.join(", ");
    let parts = PARTS.map(|part| format!("SELECT job_id, {part} WHERE job_id IN ({list})"));
    let all = format!(
        "SELECT job_id, CAST(sum(bytes) AS BIGINT) AS bytes FROM ({}) AS parts GROUP BY job_id",
        parts.join(" UNION ALL ")
    );
    let rows: Vec<Size> = diesel::sql_query(all).load(conn)?;
    Ok(rows.into_iter().map(|size| (size.job_id, size.bytes)).collect())
}

/// Finds how many of these jobs fit into memory together, and which of them are too large to be kept.
pub(in crate::ops) fn portion(conn: &mut Db, ids: &[i64]) -> Result<Portion, StoreError> {
    let sizes = sizes(conn, ids)?;
    let (mut portion, mut bytes) = (
        Portion {
            jobs: 0,
            kept: Vec::new(),
        },
        0,
    );
    for id in ids {
        let size = sizes.get(id).copied().unwrap_or(0);
        if size <= UNDO_JOB_BYTES {
            if bytes + size > PORTION_BYTES && !portion.kept.is_empty() {
                break;
            }
            bytes += size;
            portion.kept.push(*id);
        }
        portion.jobs += 1;
    }
    Ok(portion)
}

/// Keeps the jobs as they are. Those that are not removed after all are taken out again by [`Entry::forget`].
pub(in crate::ops) fn keep(conn: &mut Db, entry: &mut Entry, portion: &Portion) -> Result<(), StoreError> {
    for (id, fence, purged) in read(conn, &portion.kept)? {
        let json = serde_json::to_string(&purged).unwrap_or_default();
        entry.keep(JobId(id), fence, json);
    }
    Ok(())
}

fn read(conn: &mut Db, ids: &[i64]) -> Result<Vec<(i64, i64, PurgedJob)>, StoreError> {
    let rows: Vec<JobRow> = jobs::table
        .filter(jobs::id.eq_any(ids))
        .select(JobRow::as_select())
        .load(conn)?;
    let mut found: HashMap<i64, PurgedJob> = rows
        .into_iter()
        .map(|job| {
            let purged = PurgedJob {
                job,
                payload: None,
                attempts: Vec::new(),
                outputs: Vec::new(),
                edges: Vec::new(),
                hooks: None,
                labels: Vec::new(),
                report: None,
            };
            (purged.job.id, purged)
        })
        .collect();
    let rows: Vec<PayloadRow> = payloads::table
        .filter(payloads::job_id.eq_any(ids))
        .select(PayloadRow::as_select())
        .load(conn)?;
    for row in rows {
        if let Some(job) = found.get_mut(&row.job_id) {
            job.payload = Some(row.payload);
        }
    }
    let rows: Vec<AttemptRow> = attempts::table
        .filter(attempts::job_id.eq_any(ids))
        .select(AttemptRow::as_select())
        .load(conn)?;
    for row in rows {
        if let Some(job) = found.get_mut(&row.job_id) {
            job.attempts.push(row);
        }
    }
    let rows: Vec<OutputRow> = outputs::table
        .filter(outputs::job_id.eq_any(ids))
        .select(OutputRow::as_select())
        .load(conn)?;
    for row in rows {
        if let Some(job) = found.get_mut(&row.job_id) {
            job.outputs.push(Printed {
                fence: row.fence,
                head: BASE64_STANDARD.encode(row.head),
                tail: BASE64_STANDARD.encode(row.tail),
                marks: row.marks.map(|marks| BASE64_STANDARD.encode(marks)),
            });
        }
    }
    let rows: Vec<ReportRow> = reports::table
        .filter(reports::job_id.eq_any(ids))
        .select(ReportRow::as_select())
        .load(conn)?;
    for row in rows {
        if let Some(job) = found.get_mut(&row.job_id) {
            job.report = Some(row);
        }
    }
    let gated = |gate: Gates| {
        let with = found
            .values()
            .filter(|job| Gates::from_code(job.job.gates).has(gate));
        with.map(|job| job.job.id).collect::<Vec<_>>()
    };
    let (children, hooked, labelled) = (gated(Gates::DEPENDS), gated(Gates::HOOKS), gated(Gates::LABELS));
    if !children.is_empty() {
        let rows: Vec<EdgeRow> = edges::table
            .filter(edges::child.eq_any(children))
            .select(EdgeRow::as_select())
            .load(conn)?;
        for row in rows {
            if let Some(job) = found.get_mut(&row.child) {
                job.edges.push(row);
            }
        }
    }
    if !hooked.is_empty() {
        let rows: Vec<JobHooksRow> = job_hooks::table
            .filter(job_hooks::job_id.eq_any(hooked))
            .select(JobHooksRow::as_select())
            .load(conn)?;
        for row in rows {
            if let Some(job) = found.get_mut(&row.job_id) {
                job.hooks = Some(row);
            }
        }
    }
    if !labelled.is_empty() {
        let rows: Vec<LabelRow> = job_labels::table
            .filter(job_labels::job_id.eq_any(labelled))
            .select(LabelRow::as_select())
            .load(conn)?;
        for row in rows {
            if let Some(job) = found.get_mut(&row.job_id) {
                job.labels.push(row);
            }
        }
    }
    let found = found.into_values();
    Ok(found.map(|job| (job.job.id, job.job.fence, job)).collect())
}

/// Stores a job again. Returns why it was left alone, if it was.
pub(in crate::ops) fn restore(
    conn: &mut Db,
    kept: &str,
    operation: i64,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<Option<String>, StoreError> {
    let purged: PurgedJob = match serde_json::from_str(kept) {
        Ok(purged) => purged,
        Err(error) => return Ok(Some(format!("what was kept of it cannot be read: {error}"))),
    };
    let Some(state) = State::from_code(purged.job.state) else {
        return Ok(Some("its state cannot be read".to_owned()));
    };
    let id = purged.job.id;
    let there: i64 = jobs::table.filter(jobs::id.eq(id)).count().get_result(conn)?;
    if there > 0 {
        return Ok(Some("is there".to_owned()));
    }
    if let Some(name) = &purged.job.name {
        let other: Option<i64> = jobs::table
            .filter(jobs::name.eq(name))
            .select(jobs::id)
            .first(conn)
            .optional()?;
        if let Some(other) = other {
            return Ok(Some(format!("its id '{name}' is that of job {other} now")));
        }
    }
    let queue = purged.job.queue.clone();
    let rows = [purged.job];
    insert_rows!(conn, jobs::table, rows);
    if let Some(payload) = purged.payload {
        conn.dialect().insert_payloads(vec![id], vec![payload])?;
    }
    insert_rows!(conn, attempts::table, purged.attempts);
    let mut rows = Vec::new();
    for printed in purged.outputs {
        let decoded =
            [printed.head, printed.tail].map(|text| BASE64_STANDARD.decode(text).unwrap_or_default());
        let [head, tail] = decoded;
        let fence = printed.fence;
        rows.push(OutputRow {
            job_id: id,
            fence,
            head,
            tail,
            marks: printed.marks.and_then(|marks| BASE64_STANDARD.decode(marks).ok()),
        });
    }
    insert_rows!(conn, outputs::table, rows);
    insert_rows!(conn, edges::table, purged.edges);
    let rows: Vec<JobHooksRow> = purged.hooks.into_iter().collect();
    insert_rows!(conn, job_hooks::table, rows);
    insert_rows!(conn, job_labels::table, purged.labels);
    let rows: Vec<ReportRow> = purged.report.into_iter().collect();
    insert_rows!(conn, reports::table, rows);
    deltas.came(&queue, state, 1);
    let detail = serde_json::json!({ "operation": operation });
    note(conn, JobId(id), "restored", detail.to_string(), now)?;
    Ok(None)
}
