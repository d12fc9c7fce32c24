//! Storing a job within a transaction of somebody else's, on their own connection.

use diesel::prelude::*;
use diesel::result::{DatabaseErrorKind, Error as DieselError};
use diesel::sql_types::{BigInt, Double, Integer, Nullable, Text};
use queuectl_core::{JobId, NewJob};

use super::server::is_schema;
use crate::StoreError;
use crate::ops::enqueue::check;
use crate::postgres::server::BadServer;

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
/// use queuectl_core::{Command, NewJob, Payload};
///
/// let mut conn = diesel::PgConnection::establish("postgres://shop@db.example/shop")?;
/// conn.transaction(|conn| -> Result<(), Box<dyn std::error::Error>> {
///     diesel::sql_query("UPDATE orders SET paid = TRUE WHERE id = 7").execute(conn)?;
///     let command = Some(Command::Line("send-receipt 7".to_owned()));
///     let job = NewJob { payload: Payload { command, ..Payload::default() }, ..NewJob::default() };
///     queuectl_storage::enqueue_within(conn, "queuectl", &job)?;
///     Ok(())
/// })?;
/// # Ok(()) }
/// ```
///
/// # Errors
/// [`StoreError::BadJob`], [`StoreError::NameTaken`], [`StoreError::Database`]. As with any error of PostgreSQL, the
/// transaction can only be rolled back then.
pub fn enqueue_within(conn: &mut PgConnection, schema: &str, job: &NewJob) -> Result<JobId, StoreError> {
    if !is_schema(schema) {
        return Err(StoreError::BadServer(BadServer::Schema));
    }
    let checked = check(std::slice::from_ref(job))?;
    let payload = checked.into_iter().map(|checked| checked.payload).next();
    let query = diesel::sql_query(format!(
        "SELECT \"{schema}\".enqueue_stored($1, $2, $3, $4, $5, $6, $7, $8, $9) AS id"
    ));
    let stored = query
        .bind::<Nullable<Text>, _>(job.name.clone().map(String::from))
        .bind::<Text, _>(job.queue.to_string())
        .bind::<Integer, _>(job.priority)
        .bind::<Nullable<Integer>, _>(job.max_retries.map(|n| i32::try_from(n).unwrap_or(i32::MAX)))
        .bind::<Nullable<Double>, _>(job.backoff_base)
        .bind::<Nullable<BigInt>, _>(job.timeout_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX)))
        .bind::<Text, _>(job.executor.to_string())
        .bind::<Nullable<BigInt>, _>(job.run_at.map(|at| at.0))
        .bind::<Nullable<Text>, _>(payload)
        .get_result::<Stored>(conn);
    match (stored, &job.name) {
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
