//! Labels and comments of jobs as they are stored: a row each, which only those who ask for them read.
//!
//! A comment is the row without a key. Which jobs have a label is asked in `ops/conditions.rs` and `ops/listing.rs`.

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use queuectl_core::{JobId, ValidJob};
use serde::{Deserialize, Serialize};

use crate::StoreError;
use crate::backend::{Db, insert_rows};
use crate::checksum::label_sum;
use crate::schema::job_labels;
use crate::types::text::Words;

/// The key of a comment, which no label has.
pub const COMMENT: &str = "";
/// Jobs whose labels are read by one statement.
const CHUNK: usize = 500;

/// A label, or a comment.
#[derive(Debug, Clone, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = job_labels, treat_none_as_default_value = false)]
pub struct LabelRow {
    pub job_id: i64,
    #[diesel(deserialize_as = Words)]
    pub key: String,
    #[diesel(deserialize_as = Words)]
    value: String,
    sum: Option<i32>,
}

impl LabelRow {
    fn new(job: JobId, key: &str, value: &str) -> LabelRow {
        LabelRow {
            job_id: job.0,
            key: key.to_owned(),
            value: value.to_owned(),
            sum: Some(label_sum(job.0, key, value)),
        }
    }

    /// Whether it is what was stored, as far as its checksum says.
    pub fn is_whole(&self) -> bool {
        let sum = label_sum(self.job_id, &self.key, &self.value);
        self.sum.is_none_or(|stored| stored == sum)
    }
}

/// The labels and the comment of a job.
#[derive(Debug, Clone, Default)]
pub struct JobLabels {
    pub labels: BTreeMap<String, String>,
    pub comment: Option<String>,
}

/// Stores the labels and comments of new jobs.
pub fn insert_of_jobs<'a>(
    conn: &mut Db,
    jobs: impl Iterator<Item = (JobId, &'a ValidJob)>,
) -> Result<(), StoreError> {
    let mut rows: Vec<LabelRow> = Vec::new();
    for (id, job) in jobs {
        let labels = job.labels.iter();
        rows.extend(labels.map(|(key, value)| LabelRow::new(id, key, value)));
        let comment = job.comment.iter();
        rows.extend(comment.map(|comment| LabelRow::new(id, COMMENT, comment)));
    }
    insert_rows!(conn, job_labels::table, rows);
    Ok(())
}

/// Stores the labels and the comment that a job has from now on.
pub fn replace_of_job(conn: &mut Db, id: JobId, job: &ValidJob) -> Result<(), StoreError> {
    forget(conn, id.0)?;
    insert_of_jobs(conn, std::iter::once((id, job)))
}

/// Removes the labels and the comment of a job.
pub fn forget(conn: &mut Db, job: i64) -> Result<(), StoreError> {
    diesel::delete(job_labels::table.filter(job_labels::job_id.eq(job))).execute(conn)?;
    Ok(())
}

/// Returns the labels and comments of those of the jobs that have any.
pub fn of_jobs(conn: &mut Db, jobs: &[i64]) -> Result<HashMap<i64, JobLabels>, StoreError> {
    let mut found: HashMap<i64, JobLabels> = HashMap::new();
    for some in jobs.chunks(CHUNK) {
        let rows: Vec<LabelRow> = job_labels::table
            .filter(job_labels::job_id.eq_any(some))
            .select(LabelRow::as_select())
            .load(conn)?;
        for row in rows {
            let of_job = found.entry(row.job_id).or_default();
            if row.key == COMMENT {
                of_job.comment = Some(row.value);
            } else {
                of_job.labels.insert(row.key, row.value);
            }
        }
    }
    Ok(found)
}

/// Returns the next rows behind that one, by job and key, and moves it to the last of them. None at the end.
pub fn next(
    conn: &mut Db,
    after: &mut (i64, String),
    count: i64,
) -> Result<Option<Vec<LabelRow>>, StoreError> {
    let (job, key) = (after.0, after.1.as_str());
    let rows: Vec<LabelRow> = job_labels::table
        .filter((job_labels::job_id.ge(job)).and(job_labels::job_id.gt(job).or(job_labels::key.gt(key))))
        .order((job_labels::job_id, job_labels::key))
        .limit(count)
        .select(LabelRow::as_select())
        .load(conn)?;
    let Some(last) = rows.last() else {
        return Ok(None);
    };
    *after = (last.job_id, last.key.clone());
    Ok(Some(rows))
}
