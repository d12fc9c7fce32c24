//! Migrations that edit the schema of a file.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rusqlite::Connection;

/// A file of the sixth schema with this many ended jobs.
fn store_of_the_sixth_schema(jobs: u32) -> Connection {
    let conn = Connection::open_in_memory().unwrap();
    for migration in [
        include_str!("../../../migrations/sqlite/2026-11-24-000001_initial/up.sql"),
        include_str!("../../../migrations/sqlite/2026-11-25-000002_flat/up.sql"),
        include_str!("../../../migrations/sqlite/2026-11-25-000003_stable/up.sql"),
        include_str!("../../../migrations/sqlite/2026-11-25-000004_sums/up.sql"),
        include_str!("../../../migrations/sqlite/2026-11-28-000005_checked/up.sql"),
        include_str!("../../../migrations/sqlite/2026-11-28-000006_queues/up.sql"),
    ] {
        conn.execute_batch(migration).unwrap();
    }
    conn.execute(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1)
         INSERT INTO jobs (queue, state, priority, attempts, fence, system_failures, executor, cancel_requested,
             created_at, updated_at, finished_at) SELECT 'q', 5, 0, 1, 1, 0, 'shell', 0, 1, 1, 1 FROM n",
        [jobs],
    )
    .unwrap();
    conn
}

fn is_whole(conn: &Connection) -> bool {
    let check: String = conn
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    check == "ok"
}

#[test]
fn the_seventh_schema_has_blocked_jobs_and_can_be_undone() {
    let conn = store_of_the_sixth_schema(20_000);
    let set_state = |state: i32| {
        let sql = "UPDATE jobs SET state = ?1, finished_at = NULL WHERE id = 3";
        conn.execute(sql, [state])
    };
    assert!(set_state(0).is_err(), "the control: the older schema refuses it");
    let up = include_str!("../../../migrations/sqlite/2026-11-29-000007_flow/up.sql");
    conn.execute_batch(&format!("BEGIN IMMEDIATE; {up} COMMIT"))
        .unwrap();
    assert!(is_whole(&conn));
    assert!(set_state(8).is_err(), "there is no such state");
    set_state(0).unwrap();
    let found: (i64, i64) = conn
        .query_row(
            "SELECT id, gates FROM jobs INDEXED BY jobs_blocked WHERE state = 0 AND queue = 'q'",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    assert_eq!(found, (3, 0));
    conn.execute_batch(include_str!(
        "../../../migrations/sqlite/2026-11-29-000007_flow/down.sql"
    ))
    .unwrap();
    assert!(set_state(0).is_err(), "undone");
    assert!(is_whole(&conn));
    let jobs: i64 = conn
        .query_row("SELECT count(*) FROM jobs", [], |row| row.get(0))
        .unwrap();
    assert_eq!(jobs, 20_000);
}

#[test]
fn the_busy_schema_has_its_outcome_and_can_be_undone() {
    let conn = store_of_the_sixth_schema(2);
    let flow = include_str!("../../../migrations/sqlite/2026-11-29-000007_flow/up.sql");
    conn.execute_batch(&format!("BEGIN IMMEDIATE; {flow} COMMIT"))
        .unwrap();
    let attempt = |fence: i64| {
        let sql = "INSERT INTO attempts (job_id, fence, attempt, node_id, worker, outcome, message, started_at, finished_at, \
                   output_bytes) VALUES (1, ?1, 1, 1, 1, 9, 'busy', 1, 1, 0)";
        conn.execute(sql, [fence])
    };
    assert!(attempt(1).is_err(), "the control: the older schema refuses it");
    let up = include_str!("../../../migrations/sqlite/2026-11-29-000008_busy/up.sql");
    conn.execute_batch(&format!("BEGIN IMMEDIATE; {up} COMMIT"))
        .unwrap();
    assert!(is_whole(&conn));
    attempt(1).unwrap();
    conn.execute_batch(include_str!(
        "../../../migrations/sqlite/2026-11-29-000008_busy/down.sql"
    ))
    .unwrap();
    assert!(is_whole(&conn));
    assert!(attempt(2).is_err(), "undone");
    let outcome: i64 = conn
        .query_row("SELECT outcome FROM attempts", [], |row| row.get(0))
        .unwrap();
    assert_eq!(outcome, 8);
}
