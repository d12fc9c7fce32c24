//! What a migration costs on a large file.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use rusqlite::Connection;
use rusqlite::fallible_iterator::FallibleIterator as _;

/// A file of the sixth schema with so many ended jobs.
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

/// Runs statements, and counts the steps of SQLite's virtual machine.
fn steps(conn: &Connection, sql: &str) -> i32 {
    let mut batch = rusqlite::Batch::new(conn, sql);
    let mut steps = 0;
    while let Some(mut statement) = batch.next().unwrap() {
        let mut rows = statement.query([]).unwrap();
        while rows.next().unwrap().is_some() {}
        drop(rows);
        steps += statement.get_status(rusqlite::StatementStatus::VmStep);
    }
    steps
}

/// The seventh schema touches no row, however many there are; an index made in the usual way, the control, touches all.
#[test]
fn the_gates_come_to_a_large_file_as_quickly_as_to_a_small_one() {
    let up = include_str!("../../../migrations/sqlite/2026-11-29-000007_flow/up.sql");
    let up = format!("BEGIN IMMEDIATE; {up} COMMIT");
    let [small, large] = [10, 20_000].map(store_of_the_sixth_schema);
    assert_eq!(steps(&small, &up), steps(&large, &up));
    let usual = "CREATE INDEX usual ON jobs (queue) WHERE state = 0";
    assert!(
        steps(&large, usual) > steps(&small, usual) + 20_000,
        "the control"
    );
    for conn in [small, large] {
        let check: String = conn
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok");
        let state = |state: i32| {
            let sql = "UPDATE jobs SET state = ?1, waits = 1, finished_at = NULL WHERE id = 3";
            conn.execute(sql, [state])
        };
        assert!(state(8).is_err(), "there is no such state");
        state(0).unwrap();
        let found: i64 = conn
            .query_row(
                "SELECT id FROM jobs INDEXED BY jobs_blocked WHERE state = 0 AND queue = 'q'",
                [],
                |row| row.get(0),
            )
            .unwrap();
        assert_eq!(found, 3);
        conn.execute_batch(include_str!(
            "../../../migrations/sqlite/2026-11-29-000007_flow/down.sql"
        ))
        .unwrap();
        assert!(state(0).is_err(), "undone");
        let check: String = conn
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(check, "ok");
    }
}
