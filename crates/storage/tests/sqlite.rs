//! The conformance suite on SQLite, and what only SQLite has: query plans, and files that are not ours.

use std::fs;
use std::path::Path;

use queuectl_storage::{Location, OpenMode, Problem, Store, StoreError};
use queuectl_testkit::{TempStore, conformance_suite, job};
use rusqlite::Connection;

conformance_suite!(Some(TempStore::sqlite()));

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(&Location::Sqlite(path.to_owned()), OpenMode::MustExist)
}

/// What SQLite plans to do for the real statements: every access to `jobs` goes through the index meant for it.
#[test]
fn hot_statements_use_their_indexes() {
    let temp = TempStore::sqlite();
    let conn = Connection::open(temp.path()).unwrap();
    let plan = |sql: &str| -> String {
        let parameters = sql.matches('?').count();
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let values = rusqlite::params_from_iter((0..parameters).map(|_| 1));
        let lines = statement
            .query_map(values, |row| row.get::<_, String>(3))
            .unwrap();
        lines.collect::<Result<Vec<_>, _>>().unwrap().join("\n")
    };
    let wanted = [
        ("ReadyQueues", "jobs_ready"),
        ("ReadyHead", "jobs_ready"),
        ("Claim", "jobs_ready"),
        ("Promote", "jobs_due"),
        ("NextDue", "jobs_due"),
        ("CancelRequested", "jobs_running"),
        ("Release", "INTEGER PRIMARY KEY"),
        ("Change", "INTEGER PRIMARY KEY"),
    ];
    let statements = queuectl_storage::hot_statements();
    for (name, index) in wanted {
        let (_, sql) = statements
            .iter()
            .find(|(statement, _)| *statement == name)
            .unwrap();
        let plan = plan(sql);
        assert!(plan.contains(index), "{name} does not use {index}:\n{plan}");
        assert!(!plan.contains("TEMP B-TREE"), "{name} sorts:\n{plan}");
        for line in plan.lines().filter(|line| line.starts_with("SCAN ")) {
            let harmless = line.contains("USING") || line == "SCAN ready" || line == "SCAN CONSTANT ROW";
            assert!(harmless, "{name} walks over a table:\n{plan}");
        }
    }
    // The control: without its index the claim must fail this very check.
    conn.execute_batch("DROP INDEX jobs_ready").unwrap();
    let (_, claim) = statements
        .iter()
        .find(|(statement, _)| *statement == "Claim")
        .unwrap();
    assert!(!plan(claim).contains("jobs_ready") && plan(claim).contains("TEMP B-TREE"));
}

/// Preparing costs more than most of these statements do. SQLite does it again by itself where it planned by a value
/// that was bound.
#[test]
fn hot_statements_are_prepared_once() {
    use rusqlite::StatementStatus;
    let temp = TempStore::sqlite();
    let conn = Connection::open(temp.path()).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let prepared_again = |sql: &str| -> i32 {
        let mut statement = conn.prepare(sql).unwrap();
        for round in 1..=3 {
            for parameter in 1..=statement.parameter_count() {
                statement.raw_bind_parameter(parameter, round).unwrap();
            }
            let mut rows = statement.raw_query();
            // What these values would do to the table is of no interest, but the statement must have run.
            while let Ok(Some(_)) = rows.next() {}
        }
        statement.get_status(StatementStatus::RePrepare)
    };
    for (name, sql) in queuectl_storage::hot_statements() {
        assert_eq!(prepared_again(sql), 0, "{name}");
    }
    // The control.
    assert_ne!(prepared_again("SELECT id FROM jobs WHERE state = 1 LIMIT ?"), 0);
}

#[test]
fn the_file_is_private_and_in_wal_mode() {
    let temp = TempStore::sqlite();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for path in [
            temp.path().to_owned(),
            temp.path().with_extension("db-wal"),
        ] {
            assert_eq!(
                fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                0o600,
                "{}",
                path.display()
            );
        }
    }
    let conn = Connection::open(temp.path()).unwrap();
    assert_eq!(
        conn.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0))
            .unwrap(),
        "wal"
    );
}

#[test]
fn odd_paths_are_just_paths() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a b?mode=memory#x%41.db", "ü.db", "file:x"] {
        let location = Location::Sqlite(folder.path().join(name));
        let mut store = Store::open(&location, OpenMode::Create).unwrap();
        store
            .enqueue(&[job("true")], queuectl_core::Timestamp(1))
            .unwrap();
        assert!(fs::metadata(location.file().unwrap()).unwrap().len() > 0, "{name}");
    }
}

/// Opens a file that must be refused, and checks that it was left as it was.
fn refused(path: &Path) -> StoreError {
    let before = fs::read(path).expect("a file");
    let error = open(path).err().expect("the file must be refused");
    assert_eq!(fs::read(path).expect("a file"), before, "the file was changed");
    error
}

#[test]
fn files_of_others_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.db");
    assert!(matches!(open(&path), Err(StoreError::Missing)));

    Connection::open(&path)
        .unwrap()
        .execute_batch("CREATE TABLE theirs (x); INSERT INTO theirs VALUES (1)")
        .unwrap();
    assert!(matches!(refused(&path), StoreError::Foreign));

    fs::write(
        &path,
        "not a database, but long enough to have a header of some kind ".repeat(20),
    )
    .unwrap();
    assert!(matches!(refused(&path), StoreError::NotADatabase));

    assert!(matches!(open(folder.path()), Err(StoreError::File { .. })));
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let temp = TempStore::sqlite();
    let conn = Connection::open(temp.path()).unwrap();
    conn.execute_batch("PRAGMA user_version = 99").unwrap();
    let error = open(temp.path()).err().expect("refused");
    assert!(
        matches!(error, StoreError::NewerSchema { found: 99, .. }),
        "{error}"
    );
}

#[test]
fn damage_is_reported_as_damage() {
    let mut temp = TempStore::sqlite();
    let jobs: Vec<_> = (0..2000).map(|n| job(&format!("echo {n}"))).collect();
    temp.store.enqueue(&jobs, queuectl_core::Timestamp(1)).unwrap();
    assert_eq!(temp.store.check().unwrap().damage, Vec::<String>::new());
    let path = temp.path().to_owned();
    Connection::open(&path)
        .unwrap()
        .execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")
        .unwrap();
    let damaged = path.with_file_name("damaged.db");
    // Damaged from early on, so that the schema cannot be read, and from later on, so that it can.
    for keep in [1, 8, 16] {
        let mut bytes = fs::read(&path).unwrap();
        bytes[keep * 4096..].fill(0x5a);
        fs::write(&damaged, &bytes).unwrap();
        let error = open(&damaged)
            .and_then(|mut store| {
                assert_ne!(store.check().map_or(1, |report| report.damage.len()), 0);
                store.enqueue(&[job("true")], queuectl_core::Timestamp(2))
            })
            .expect_err("it cannot work");
        assert_eq!(error.problem(), Some(Problem::Corrupt), "{error}");
        assert_eq!(fs::read(&damaged).unwrap(), bytes, "nothing was written");
    }
}

#[test]
fn a_backup_is_a_store_of_its_own() {
    let mut temp = TempStore::sqlite();
    temp.store
        .enqueue(&[job("echo kept")], queuectl_core::Timestamp(1))
        .unwrap();
    let node = queuectl_storage::NewNode {
        cookie: "mark".into(),
        host: "h".into(),
        pid: 1,
        version: "0".into(),
        workers: 1,
        concurrency: 1,
        queues: queuectl_storage::Queues::All,
    };
    let _alive = temp.store.enter_node(&node, queuectl_core::Timestamp(1)).unwrap();
    let target = temp.path().with_file_name("copy.db");
    temp.store.backup(&target).unwrap();
    assert!(
        matches!(temp.store.backup(&target), Err(StoreError::File { .. })),
        "never overwrites"
    );
    let mut copy = open(&target).unwrap();
    assert_eq!(
        copy.job(&"1".parse().unwrap()).unwrap().payload.display(),
        "echo kept"
    );
    // A node on the copy takes the original's nodes for dead; by this mark it would find and kill their processes.
    assert_eq!(temp.store.nodes().unwrap()[0].cookie, "mark");
    assert!(!copy.nodes().unwrap()[0].cookie.contains("mark"));
}

#[test]
fn a_store_keeps_its_number_and_shares_it_with_no_other() {
    let (mut temp, mut other) = (TempStore::sqlite(), TempStore::sqlite());
    assert_eq!(temp.store.identity(7).unwrap(), 7);
    assert_eq!(temp.store.identity(8).unwrap(), 7);
    assert_eq!(temp.another().identity(9).unwrap(), 7);
    assert_eq!(other.store.identity(8).unwrap(), 8);
}
