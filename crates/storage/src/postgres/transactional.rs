//! Storing a job within a transaction of somebody else's, on their own connection.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{BigInt, Double, Integer, Nullable, Text};
use queuectl_core::{JobId, Start, ValidJob};

use crate::StoreError;
use crate::error::BadServer;
use crate::location::server::is_schema;
use crate::types::jobs::{max_retries, timeout_ms};

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
/// [`StoreError::NotWithin`] for a job that is to be blocked or has a key; [`StoreError::NameTaken`], [`StoreError::Database`]. As with any error of PostgreSQL, the
/// transaction can only be rolled back then.
pub fn enqueue_within(conn: &mut PgConnection, schema: &str, job: &ValidJob) -> Result<JobId, StoreError> {
    if !is_schema(schema) {
        return Err(StoreError::BadServer(BadServer::Schema));
    }
    if job.hold == Some(true) {
        return Err(StoreError::NotWithin("hold"));
    }
    if job.unique.is_some() {
        return Err(StoreError::NotWithin("unique"));
    }
    if !job.after.is_empty() {
        return Err(StoreError::NotWithin("after"));
    }
    // A delay counts by the server's clock.
    let (run_at, delay) = match job.start {
        Some(Start::At(time)) => (Some(time.0), None),
        Some(Start::After(delay)) => (None, i64::try_from(delay.as_millis()).ok()),
        None => (None, None),
    };
    let query = diesel::sql_query(format!(
        "SELECT \"{schema}\".enqueue_stored($1, $2, $3, $4, $5, $6, $7, \
            coalesce($8, floor(extract(epoch FROM clock_timestamp()) * 1000)::BIGINT + $9), $10) AS id"
    ));
    let stored = query
        .bind::<Nullable<Text>, _>(job.id.clone().map(String::from))
        .bind::<Text, _>(job.queue())
        .bind::<Integer, _>(job.priority())
        .bind::<Nullable<Integer>, _>(max_retries(job))
        .bind::<Nullable<Double>, _>(job.backoff_base)
        .bind::<Nullable<BigInt>, _>(timeout_ms(job))
        .bind::<Text, _>(job.executor())
        .bind::<Nullable<BigInt>, _>(run_at)
        .bind::<Nullable<BigInt>, _>(delay)
        .bind::<Text, _>(job.stored_payload())
        .get_result::<Stored>(conn);
    match (stored, &job.id) {
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
