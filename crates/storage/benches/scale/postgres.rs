//! Filling a queue on PostgreSQL by SQL alone.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use queuectl_core::{OutcomeKind, State};

use crate::Failure;

#[derive(QueryableByName)]
struct Index {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Text)]
    sql: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// The indexes that are no keys are made when everything is there.
pub fn fill(location: &str, pairs: &[(&str, &str)]) -> Result<(), Failure> {
    let (server, schema) = location
        .split_once("?schema=")
        .ok_or("the location ends in ?schema=NAME")?;
    let mut conn = PgConnection::establish(server)?;
    conn.batch_execute(&format!(
        "SET search_path = \"{schema}\"; SET synchronous_commit = off; SET maintenance_work_mem = '512MB'; SET jit = off"
    ))?;
    let indexes: Vec<Index> = diesel::sql_query(
        "SELECT indexname::TEXT AS name, indexdef AS sql FROM pg_indexes WHERE schemaname = current_schema() \
         AND tablename IN ('jobs', 'payloads') AND indexname NOT LIKE '%_pkey'",
    )
    .load(&mut conn)?;
    for index in &indexes {
        conn.batch_execute(&format!("DROP INDEX {}", index.name))?;
    }
    let (mut executor, mut queues) = ("shell", 1_u64);
    for (key, value) in pairs {
        match *key {
            "executor" => executor = value,
            "queues" => queues = value.parse()?,
            state => insert(&mut conn, state.parse()?, value.parse()?, executor, queues)?,
        }
    }
    for index in &indexes {
        conn.batch_execute(&index.sql)?;
    }
    conn.batch_execute(
        "DELETE FROM counts; \
         INSERT INTO counts SELECT queue, -1, count(*) FROM jobs GROUP BY queue; \
         INSERT INTO counts SELECT queue, state, count(*) FROM jobs WHERE state NOT IN (3, 5) GROUP BY queue, state; \
         SELECT setval(pg_get_serial_sequence('jobs', 'id'), (SELECT max(id) FROM jobs));",
    )?;
    // As if it had been there for long: what this left to be done is not for a measurement to wait for.
    for table in ["jobs", "payloads", "attempts", "counts"] {
        conn.batch_execute(&format!("VACUUM (ANALYZE) {table}"))?;
    }
    conn.batch_execute("CHECKPOINT")?;
    Ok(())
}

fn insert(
    conn: &mut PgConnection,
    state: State,
    jobs: i64,
    executor: &str,
    queues: u64,
) -> Result<(), Failure> {
    let number = |conn: &mut PgConnection, sql: &str| -> Result<i64, Failure> {
        let sql = format!("SELECT ({sql})::BIGINT AS value");
        Ok(diesel::sql_query(sql).get_result::<Number>(conn)?.value)
    };
    let (first, now) = (
        number(conn, "SELECT coalesce(max(id), 0) FROM jobs")?,
        number(conn, "now_ms()")?,
    );
    let (ended, waits) = (
        state.is_final(),
        matches!(state, State::Scheduled | State::Failed),
    );
    if state == State::Processing {
        return Err("no node runs these jobs".into());
    }
    let queue = match queues {
        1 => "'default'".to_owned(),
        queues => format!("'queue-' || (n % {queues})"),
    };
    let due = if waits {
        format!("{now} + 36000000 + n")
    } else {
        "NULL".to_owned()
    };
    let finished = if ended {
        format!("{now} - 3600000 + n / 10")
    } else {
        "NULL".to_owned()
    };
    let (code, ran) = (state.code(), i64::from(ended || state == State::Failed));
    conn.batch_execute(&format!(
        "INSERT INTO jobs (id, queue, state, priority, attempts, fence, system_failures, executor, cancel_requested, \
         created_at, updated_at, due_at, finished_at) \
         SELECT {first} + n, {queue}, {code}, 0, {ran}, {ran}, 0, '{executor}', FALSE, {now}, {now}, {due}, {finished} \
         FROM generate_series(1, {jobs}) AS n; \
         INSERT INTO payloads (job_id, queue, payload) \
         SELECT {first} + n, {queue}, '{{\"command\":\"true\"}}' FROM generate_series(1, {jobs}) AS n;"
    ))?;
    if ran == 1 {
        let succeeded = state == State::Completed;
        let outcome = if succeeded {
            OutcomeKind::Succeeded
        } else {
            OutcomeKind::Failed
        };
        let outcome = outcome.code();
        conn.batch_execute(&format!(
            "INSERT INTO attempts (job_id, fence, attempt, node_id, worker, outcome, exit_code, message, started_at, \
             finished_at, output_bytes) SELECT {first} + n, 1, 1, 1, 1, {outcome}, 0, '', {now}, {now}, 0 \
             FROM generate_series(1, {jobs}) AS n"
        ))?;
    }
    Ok(())
}
