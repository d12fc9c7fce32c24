//! Jobs with a label: the index that has them, and how many there are.

use diesel::prelude::*;
use queuectl_core::LabelMatch;

use crate::StoreError;
use crate::backend::Db;
use crate::schema::job_labels;

/// Jobs with a label that are counted before it is known that they are many.
pub const MANY: i64 = 10_000;

/// Returns the table of the jobs with a label, by their numbers. Its key is parameter 1, its value, if one is meant, parameter
/// number `value`.
pub fn labelled(label: &LabelMatch, value: usize) -> String {
    let (index, fits) = match label.value() {
        Some(_) => ("labels_value", format!(" AND value = ?{value}")),
        None => ("labels_key", String::new()),
    };
    // The comments of jobs are not in the index.
    format!(
        "(SELECT job_id AS id FROM job_labels INDEXED BY {index} WHERE key = ?1 AND key <> ''{fits}) AS jobs"
    )
}

/// Counts the jobs with one of these labels, each up to [`MANY`].
pub fn count_with_label(conn: &mut Db, any: &[LabelMatch]) -> Result<i64, StoreError> {
    let mut sum = 0;
    for label in any {
        let with_key = job_labels::table
            .filter(job_labels::key.eq(label.key()).and(job_labels::key.ne("")))
            .limit(MANY)
            .select(job_labels::job_id);
        let jobs: Vec<i64> = match label.value() {
            Some(value) => with_key.filter(job_labels::value.eq(value)).load(conn)?,
            None => with_key.load(conn)?,
        };
        sum += jobs.len() as i64;
    }
    Ok(sum)
}
