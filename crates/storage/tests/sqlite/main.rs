//! The conformance suite on SQLite, and what only SQLite has: files that are not ours, and query plans in `statements`.

mod statements;

use std::fs;
use std::path::Path;

use queuectl_core::{Event, OutcomeKind, State, Timestamp};
use queuectl_storage::{
    Cycle, JobFilter, ListFilter, Location, OpenMode, Problem, PurgeFilter, Queues, Record, Store, StoreError,
};
use queuectl_testkit::{TempStore, conformance, conformance_suite, job, record};
use rusqlite::Connection;

conformance_suite!(Some(TempStore::sqlite()));

fn open(path: &Path) -> Result<Store, StoreError> {
    Store::open(&Location::Sqlite(path.to_owned()), OpenMode::MustExist)
}

/// Whatever writes to the file: a second job with a key is refused until the first has ended. The control is the same without
/// the index.
#[test]
fn a_key_is_taken_once_whoever_writes() {
    let mut temp = TempStore::sqlite();
    temp.store
        .enqueue(&[job("first"), job("second")], Timestamp(1))
        .unwrap();
    let conn = Connection::open(temp.path()).unwrap();
    let take = |id: i32| conn.execute("UPDATE jobs SET unique_key = 'k' WHERE id = ?1", [id]);
    take(1).unwrap();
    assert!(take(2).is_err());
    for (state, is_ended) in [
        (0, false),
        (3, false),
        (4, false),
        (5, true),
        (6, true),
        (7, true),
    ] {
        conn.execute(
            "UPDATE jobs SET unique_key = NULL, state = ?1, due_at = CASE ?1 WHEN 4 THEN 1 END, \
             node_id = CASE ?1 WHEN 3 THEN 1 END, finished_at = CASE WHEN ?1 >= 5 THEN 1 END WHERE id = 2",
            [state],
        )
        .unwrap();
        assert_eq!(take(2).is_ok(), is_ended, "state {state}");
    }
    conn.execute_batch("UPDATE jobs SET unique_key = NULL, state = 1, finished_at = NULL WHERE id = 2; DROP INDEX jobs_unique")
        .unwrap();
    take(2).unwrap();
}

#[test]
fn the_file_is_private_and_in_wal_mode() {
    let temp = TempStore::sqlite();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        for path in [temp.path().to_owned(), temp.path().with_extension("db-wal")] {
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
    // Windows has no names with these two characters.
    let names = ["a b?mode=memory#x%41.db", "ü.db", "file:x"];
    for name in names.map(|name| {
        if cfg!(windows) {
            name.replace(['?', ':'], "")
        } else {
            name.to_owned()
        }
    }) {
        let location = Location::Sqlite(folder.path().join(&name));
        let mut store = Store::open(&location, OpenMode::Create).unwrap();
        store
            .enqueue(&[job("true")], queuectl_core::Timestamp(1))
            .unwrap();
        assert!(
            fs::metadata(location.file().unwrap()).unwrap().len() > 0,
            "{name}"
        );
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

/// A store as the first schema made it, with a job in every state, in two queues.
fn store_of_the_first_schema(path: &Path) {
    let conn = Connection::open(path).expect("a file");
    conn.execute_batch(include_str!(
        "../../../../migrations/sqlite/2026-11-24-000001_initial/up.sql"
    ))
    .expect("the first schema");
    conn.execute_batch(
        "PRAGMA journal_mode = WAL;
         CREATE TABLE __diesel_schema_migrations (version VARCHAR(50) PRIMARY KEY NOT NULL,
             run_on TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP);
         INSERT INTO __diesel_schema_migrations (version) VALUES ('20261124000001');
         INSERT INTO nodes VALUES (1, 'mark', 'h', 1, '0', 1, 1, '[]', 1, 1, 0);
         INSERT INTO jobs (queue, state, priority, attempts, fence, system_failures, executor, cancel_requested,
             created_at, updated_at, due_at, node_id, finished_at)
         SELECT queue, state, 0, 1, 1, 0, 'shell', 0, 1, 1, iif(state IN (2, 4), 5, NULL), iif(state = 3, 1, NULL),
             iif(state > 4, 9, NULL)
         FROM (SELECT column1 AS state FROM (VALUES (1), (2), (3), (4), (5), (6), (7))), (SELECT 'a' AS queue UNION ALL SELECT 'b' UNION ALL SELECT 'b');
         INSERT INTO payloads SELECT id, '{\"command\":\"true\"}' FROM jobs;
         INSERT INTO attempts SELECT id, 1, 1, 1, 1, 1, 0, NULL, '', 1, 2, 3 FROM jobs WHERE state > 4;
         INSERT INTO outputs SELECT job_id, fence, x'6f7574', x'' FROM attempts;
         INSERT INTO settings VALUES ('max_retries', '7');",
    )
    .expect("rows");
}

#[test]
fn a_store_of_the_first_schema_is_brought_up_to_date() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("old.db");
    store_of_the_first_schema(&path);
    let mut store = open(&path).unwrap();
    let everything = ListFilter {
        limit: 100,
        ..ListFilter::default()
    };
    assert_eq!(store.list(&everything).unwrap().len(), 21);
    let counts = store.counts(None).unwrap();
    assert_eq!(counts.len(), 14);
    for count in counts {
        assert_eq!(count.jobs, if count.queue == "a" { 1 } else { 2 }, "{count:?}");
        let filter = ListFilter {
            jobs: JobFilter {
                states: vec![count.state],
                queues: vec![count.queue.parse().unwrap()],
                ..JobFilter::default()
            },
            limit: 100,
            ..ListFilter::default()
        };
        assert_eq!(store.list(&filter).unwrap().len() as u64, count.jobs);
    }
    assert_eq!(store.settings().unwrap().max_retries, 7);
    assert_eq!(
        store.attempts(queuectl_core::JobId(21)).unwrap()[0].output.head,
        b"out"
    );
    let report = store.check().unwrap();
    assert_eq!(
        (report.damage, report.dangling, report.miscounted),
        (vec![], 0, 0)
    );
    // What is made now is what a new store has.
    let schema = |path: &Path| -> Vec<String> {
        let conn = Connection::open(path).unwrap();
        let mut statement = conn
            .prepare("SELECT sql FROM sqlite_master WHERE name NOT LIKE '\\_\\_diesel%' ESCAPE '\\' AND sql NOT NULL ORDER BY name")
            .unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.collect::<Result<_, _>>().unwrap()
    };
    assert_eq!(schema(&path), schema(TempStore::sqlite().path()));
}

#[test]
fn wrong_counts_are_found_and_counted_anew() {
    let mut temp = TempStore::sqlite();
    temp.store
        .enqueue(&[job("true"), job("true")], queuectl_core::Timestamp(1))
        .unwrap();
    assert_eq!(temp.store.check().unwrap().miscounted, 0);
    Connection::open(temp.path())
        .unwrap()
        .execute_batch(
            "UPDATE counts SET jobs = 5 WHERE state = 1;
             INSERT INTO counts VALUES ('nowhere', -1, 1), ('empty', -1, 0);",
        )
        .unwrap();
    assert_eq!(temp.store.check().unwrap().miscounted, 2);
    temp.store.compact().unwrap();
    assert_eq!(temp.store.check().unwrap().miscounted, 0);
    assert_eq!(temp.store.counts(None).unwrap()[0].jobs, 2);
}

#[test]
fn compacting_gives_space_back_and_waits_for_no_node() {
    let mut temp = TempStore::sqlite();
    let jobs: Vec<_> = (0..2000).map(|n| job(&format!("echo {n}"))).collect();
    let ids = temp.store.enqueue(&jobs, queuectl_core::Timestamp(1)).unwrap();
    for id in &ids[1..] {
        let id = queuectl_core::JobRef::Number(*id);
        temp.store.cancel(&id, queuectl_core::Timestamp(2)).unwrap();
    }
    let filter = PurgeFilter {
        state: queuectl_core::State::Cancelled,
        queue: None,
        ended_before: None,
        limit: 500,
    };
    while temp.store.purge(&filter).unwrap().more {}
    let before = temp.store.check().unwrap();
    assert!(before.free_pages > 50, "{before:?}");
    let node = queuectl_testkit::new_node("mark");
    let alive = temp.store.enter_node(&node, queuectl_core::Timestamp(1)).unwrap();
    assert!(matches!(temp.store.compact(), Err(StoreError::NodesLive)));
    drop(alive);
    let output = |job: &str| temp.location.state_dir().join("output").join(job);
    for job in ["1", "2"] {
        fs::create_dir_all(output(job)).unwrap();
    }
    temp.store.compact().unwrap();
    assert!(
        output("1").exists() && !output("2").exists(),
        "only job 1 is left"
    );
    let after = temp.store.check().unwrap();
    assert_eq!(after.free_pages, 0);
    assert_eq!(fs::metadata(temp.path()).unwrap().len(), after.pages * 4096);
    assert_eq!(temp.store.counts(None).unwrap()[0].jobs, 1);
}

/// Jobs come and go for many rounds: with clean-up the file stays as large as it became in the first, for pages are used
/// again; the control, without, grows.
#[test]
fn a_file_that_is_cleaned_up_does_not_grow() {
    let node = queuectl_testkit::new_node("mark");
    let pages_after = |rounds: i64, clean_up: bool| -> u64 {
        let mut temp = TempStore::sqlite();
        let store = &mut temp.store;
        let (node, _guard, _wakes) = store.enter_node(&node, Timestamp(1)).unwrap();
        for round in 1..=rounds {
            let now = Timestamp(round);
            let jobs: Vec<_> = (0..500).map(|n| job(&format!("echo {round} {n}"))).collect();
            store.enqueue(&jobs, now).unwrap();
            let mut cycle = |records: &[Record], claim| {
                let queues = &Queues::All;
                let cycle = Cycle {
                    node,
                    records,
                    claim,
                    queues,
                    now,
                };
                store.cycle(&cycle).unwrap().claimed
            };
            let claimed = cycle(&[], 500);
            let ended: Vec<Record> = claimed
                .iter()
                .map(|job| record(job, node, Event::Complete, OutcomeKind::Succeeded, now))
                .collect();
            cycle(&ended, 0);
            let filter = PurgeFilter {
                state: State::Completed,
                queue: None,
                ended_before: Some(now),
                limit: 500,
            };
            while clean_up && store.purge(&filter).unwrap().more {}
        }
        store.check().unwrap().pages
    };
    let (few, many, control) = (
        pages_after(4, true),
        pages_after(24, true),
        pages_after(24, false),
    );
    assert!(many <= few + few / 4, "{few} pages became {many}");
    assert!(control > few * 3, "the control grew only to {control}");
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
    let node = queuectl_testkit::new_node("mark");
    let _alive = temp.store.enter_node(&node, queuectl_core::Timestamp(1)).unwrap();
    let target = temp.path().with_file_name("copy.db");
    temp.store.backup(&target).unwrap();
    assert!(
        matches!(temp.store.backup(&target), Err(StoreError::Exists(_))),
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

/// A flipped bit in the middle of a text is to SQLite just another text; only our checksums tell.
#[test]
fn what_is_not_what_was_stored_is_found() {
    let mut temp = TempStore::sqlite();
    let ids = temp
        .store
        .enqueue(&[job("echo one"), job("echo two")], Timestamp(1))
        .unwrap();
    assert!(temp.store.check().unwrap().damage.is_empty(), "the control");
    let conn = Connection::open(temp.path()).unwrap();
    let other = "UPDATE payloads SET payload = replace(payload, 'one', 'onE')";
    conn.execute_batch(other).unwrap();
    let damage = temp.store.check().unwrap().damage;
    assert_eq!(damage, ["job 1: what it runs is not what was stored"]);
    let node = queuectl_testkit::new_node("mark");
    let now = Timestamp(2);
    let (node, _guard, _wakes) = temp.store.enter_node(&node, now).unwrap();
    let cycle = |store: &mut queuectl_storage::Store, records: &[Record], claim| {
        let queues = &Queues::All;
        let cycle = Cycle {
            node,
            records,
            claim,
            queues,
            now,
        };
        store.cycle(&cycle).unwrap().claimed
    };
    let claimed = cycle(&mut temp.store, &[], 2);
    let intact: Vec<_> = claimed.iter().map(|job| (job.id, job.is_intact())).collect();
    assert_eq!(intact, [(ids[0].0, false), (ids[1].0, true)]);
    let ended = record(&claimed[1], node, Event::Complete, OutcomeKind::Succeeded, now);
    cycle(&mut temp.store, &[ended], 0);
    assert_eq!(temp.store.check().unwrap().damage.len(), 1);
    conn.execute_batch("UPDATE outputs SET head = x'6f7575'").unwrap();
    let damage = temp.store.check().unwrap().damage;
    assert_eq!(
        damage[1],
        "job 2: the attempt under fence 1 is not what was recorded"
    );
}

/// Statements of somebody else, who heeds no rule.
fn by_hand(temp: &TempStore) -> impl FnMut(&str) + use<> {
    let conn = Connection::open(temp.path()).expect("a connection");
    conn.execute_batch("PRAGMA foreign_keys = OFF").expect("a pragma");
    move |sql| conn.execute_batch(sql).expect(sql)
}

#[test]
fn rows_that_cannot_be_read_are_listed_and_do_not_run() {
    let temp = TempStore::sqlite();
    let mut sql = by_hand(&temp);
    conformance::rows_that_cannot_be_read_are_listed_and_do_not_run(temp, &mut sql);
}

#[test]
fn a_hook_that_cannot_be_read_is_reported() {
    let temp = TempStore::sqlite();
    let mut sql = by_hand(&temp);
    conformance::a_hook_that_cannot_be_read_is_reported(temp, &mut sql);
}

#[test]
fn a_label_that_changed_is_reported() {
    let temp = TempStore::sqlite();
    let mut sql = by_hand(&temp);
    conformance::a_label_that_changed_is_reported(temp, &mut sql);
}

#[test]
fn an_outcome_that_is_refused_holds_up_no_other() {
    let temp = TempStore::sqlite();
    let mut sql = by_hand(&temp);
    conformance::an_outcome_that_is_refused_holds_up_no_other(temp, &mut sql);
}

/// A state and an outcome that there are not, and text that is none: a flipped bit can make them.
#[test]
fn a_damaged_state_or_outcome_is_listed() {
    let mut temp = TempStore::sqlite();
    let ids = temp
        .store
        .enqueue(
            &[job("one"), job("two"), job("three"), job("bystander")],
            Timestamp(1),
        )
        .unwrap();
    let mut sql = by_hand(&temp);
    sql("PRAGMA ignore_check_constraints = ON");
    sql("UPDATE jobs SET state = 99 WHERE id = 1");
    sql("UPDATE payloads SET payload = CAST(x'7b22636f6d6d616e64223a22ff227d' AS TEXT) WHERE job_id = 2");
    sql("UPDATE jobs SET executor = CAST(x'ff' AS TEXT) WHERE id = 3");
    // What every node reads all the time.
    sql("INSERT INTO settings VALUES ('lease', CAST(x'ff' AS TEXT)), (CAST(x'fe' AS TEXT), 'x')");
    sql("UPDATE counts SET queue = CAST(x'fd' AS TEXT) WHERE state = 1");
    sql(
        "INSERT INTO attempts (job_id, fence, attempt, node_id, worker, outcome, message, started_at, finished_at, \
         output_bytes) VALUES (2, 1, 1, 1, 1, 77, 'it broke', 1, 1, 0)",
    );
    let filter = ListFilter {
        limit: 9,
        oldest_first: true,
        ..ListFilter::default()
    };
    let listed = temp.store.list(&filter).unwrap();
    assert_eq!(listed.iter().map(|job| job.id).collect::<Vec<_>>(), ids);
    assert_eq!(listed[0].unreadable.as_deref(), Some("its state: 99"));
    assert_eq!(listed[1].unreadable.as_deref(), Some("its payload is not UTF-8"));
    assert_eq!(listed[2].executor.as_str(), "\u{fffd}");
    assert_eq!(listed[3].unreadable, None);
    // The queue goes on, and its node knows of each.
    let (node, _guard, _) = temp
        .store
        .enter_node(&queuectl_testkit::new_node("a"), Timestamp(1))
        .unwrap();
    let cycle = Cycle {
        node,
        records: &[],
        claim: 9,
        queues: &Queues::All,
        now: Timestamp(1),
    };
    let claimed = temp.store.cycle(&cycle).unwrap().claimed;
    let intact = claimed.iter().map(|job| (job.id, job.is_intact()));
    assert_eq!(intact.collect::<Vec<_>>(), [(2, false), (3, false), (4, true)]);
    sql("UPDATE nodes SET host = CAST(x'ff' AS TEXT)");
    assert_eq!(temp.store.nodes().unwrap()[0].host, "\u{fffd}");
    assert_eq!(temp.store.settings().unwrap(), queuectl_core::Settings::default());
    temp.store.control_requests(node).unwrap();
    temp.store.counts(None).unwrap();
    let attempts = temp.store.attempts(ids[1]).unwrap();
    assert_eq!(
        attempts[0].outcome.message,
        "(unreadable: its outcome: 77) it broke"
    );
    assert!(matches!(
        temp.store.cancel(&"1".parse().unwrap(), Timestamp(2)),
        Err(StoreError::Unreadable { job: 1, .. })
    ));
}

/// A rescuer that was killed between its commit and the removal of the dead node's files leaves them; a node tidies up.
#[test]
fn a_node_removes_what_was_left_of_nodes_that_are_no_more() {
    let mut temp = TempStore::sqlite();
    let new = queuectl_testkit::new_node("lives");
    let (node, _guard, _listener) = temp.store.enter_node(&new, Timestamp(1)).unwrap();
    let nodes = temp.location.state_dir().join("nodes");
    let long_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    for kind in ["lock", "wake", "workers"] {
        let left = std::fs::File::create(nodes.join(format!("99.{kind}"))).unwrap();
        left.set_modified(long_ago).unwrap();
    }
    let names = || std::fs::read_dir(&nodes).unwrap().count();
    let before = names();
    temp.store.tidy_up().unwrap();
    assert_eq!(names(), before - 3);
    assert!(temp.store.node_lives(node).unwrap(), "the bystander");
}
