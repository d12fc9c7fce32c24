//! Storing a job within a transaction of somebody else's, on their own connection.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{BigInt, Bool, Double, Integer, Nullable, Text};
use queuectl_core::{JobId, Start, ValidJob};

use crate::StoreError;
use crate::columns::{to_i32, to_i64};
use crate::error::BadServer;
use crate::location::server::is_schema;

#[derive(QueryableByName)]
struct Stored {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Stores a job on a connection of the caller's: it is there when the caller's transaction commits, and was never there
/// when that is rolled back. Nodes are woken by the commit. `schema` is the queue's, `queuectl` unless it was given
/// another. The user needs no right but to call the function `enqueue_stored` in there.
///
/// ```no_run
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use diesel::prelude::*;
/// use queuectl_core::{Clock, JobSpec, SystemClock};
///
/// let mut conn = diesel::PgConnection::establish("postgres://shop@db.example/shop")?;
/// conn.transaction(|conn| -> Result<(), Box<dyn std::error::Error>> {
///     diesel::sql_query("UPDATE orders SET paid = TRUE WHERE id = 7").execute(conn)?;
///     let job = JobSpec::line("send-receipt 7").validate(SystemClock.now())?;
///     queuectl_storage::enqueue_within(conn, "queuectl", &job)?;
///     Ok(())
/// })?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`StoreError::NotWithin`] for a job that is to be blocked, has a key or hooks, or names a limit; [`StoreError::NameTaken`],
/// [`StoreError::Database`], also if its group takes no jobs. As with any error of PostgreSQL, the transaction can only be rolled back then.
pub fn enqueue_within(conn: &mut PgConnection, schema: &str, job: &ValidJob) -> Result<JobId, StoreError> {
    if !is_schema(schema) {
        return Err(StoreError::BadServer(BadServer::Schema));
    }
    let fields = [
        ("hold", job.hold == Some(true)),
        ("unique", job.unique.is_some()),
        ("after", !job.after.is_empty()),
        ("limit", !job.limit.is_empty()),
        ("on_success, on_failure and on_death", !job.hooks.is_empty()),
    ];
    if let Some((field, _)) = fields.into_iter().find(|(_, is_given)| *is_given) {
        return Err(StoreError::NotWithin(field));
    }
    // A delay counts by the server's clock.
    let (run_at, delay) = match job.start {
        Some(Start::At(time)) => (Some(time.0), None),
        Some(Start::After(delay)) => (None, i64::try_from(delay.as_millis()).ok()),
        None => (None, None),
    };
    // Jobs without these are stored by the functions of earlier schemas, too.
    let mut more = String::new();
    let mut next = 11;
    let mut name = |parameter: &str, is: &str| {
        more.push_str(&format!(", {parameter} => ${next}{is}"));
        next += 1;
    };
    if job.group.is_some() {
        name("new_group", "");
        name("closes_group", "");
    }
    let labels = job
        .has_labels()
        .then(|| serde_json::to_string(&job.labels).unwrap_or_default());
    if labels.is_some() {
        name("new_comment", "");
        name("new_labels", "::JSONB");
    }
    let query = diesel::sql_query(format!(
        "SELECT \"{schema}\".enqueue_stored($1, $2, $3, $4, $5, $6, $7, \
            coalesce($8, floor(extract(epoch FROM clock_timestamp()) * 1000)::BIGINT + $9), $10{more}) AS id"
    ));
    let mut query = query
        .into_boxed()
        .bind::<Nullable<Text>, _>(job.id.clone().map(String::from))
        .bind::<Text, _>(job.queue())
        .bind::<Integer, _>(job.priority())
        .bind::<Nullable<Integer>, _>(job.max_retries.map(to_i32))
        .bind::<Nullable<Double>, _>(job.backoff_base)
        .bind::<Nullable<BigInt>, _>(job.timeout_ms.map(to_i64))
        .bind::<Text, _>(job.executor())
        .bind::<Nullable<BigInt>, _>(run_at)
        .bind::<Nullable<BigInt>, _>(delay)
        .bind::<Text, _>(job.stored_payload());
    if let Some(group) = &job.group {
        query = query
            .bind::<Text, _>(group.as_str())
            .bind::<Bool, _>(job.close_group == Some(true));
    }
    if let Some(labels) = labels {
        query = query
            .bind::<Nullable<Text>, _>(job.comment.clone())
            .bind::<Text, _>(labels);
    }
    match (query.get_result::<Stored>(conn), &job.id) {
        (Ok(stored), _) => Ok(JobId(stored.id)),
        (Err(DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _)), Some(name)) => {
            Err(StoreError::NameTaken {
                name: name.to_string(),
                index: 0,
            })
        }
        (Err(error), _) => Err(error.into()),
    }
}
