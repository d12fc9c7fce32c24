//! What is asked of all queues takes as many steps with a thousand queues as with ten.
//!
//! Steps are those of SQLite's virtual machine: statements that the store ran are run again, in the same order and with the
//! same values, on a copy of the file from before, where they can be counted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use diesel::connection::{Connection as _, InstrumentationEvent};
use queuectl_core::{JobSpec, QueueName, State, Timestamp, ValidJob};
use rusqlite::StatementStatus;
use tempfile::TempDir;

use crate::counts::RECOUNT;
use crate::{Cycle, ListFilter, Location, NewNode, OpenMode, PurgeFilter, Queues, Store};

const NOW: Timestamp = Timestamp(1_000_000);
const STATES: [State; 6] = [
    State::Pending,
    State::Scheduled,
    State::Failed,
    State::Completed,
    State::Dead,
    State::Cancelled,
];

/// A file with so many queues, each with a job in every state that waits or has ended, and some in `default`.
fn fill(folder: &TempDir, queues: usize) -> PathBuf {
    let path = folder.path().join(format!("{queues}.db"));
    let mut store = Store::open(&Location::Sqlite(path.clone()), OpenMode::Create).unwrap();
    let names = (0..queues).map(|n| format!("queue-{n}"));
    let jobs: Vec<ValidJob> = names
        .chain(["default".to_owned()])
        .flat_map(|queue| {
            STATES.map(|_| {
                queuectl_testkit::valid(JobSpec {
                    queue: Some(queue.parse().unwrap()),
                    ..JobSpec::line("true")
                })
            })
        })
        .collect();
    for jobs in jobs.chunks(1000) {
        store.enqueue(jobs, NOW).unwrap();
    }
    drop(store);
    let conn = rusqlite::Connection::open(&path).unwrap();
    for (n, state) in (0_i64..).zip(STATES) {
        let waits = matches!(state, State::Scheduled | State::Failed);
        conn.execute(
            "UPDATE jobs SET state = ?1, due_at = ?2, finished_at = ?3, fence = 1 WHERE (id - 1) % 6 = ?4",
            (
                state.code(),
                waits.then_some(NOW.0 * 2),
                state.is_final().then_some(NOW.0 - 1),
                n,
            ),
        )
        .unwrap();
    }
    conn.execute_batch(RECOUNT).unwrap();
    // All of it into the file, which is copied without its log.
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    path
}

/// Statements with their values, as Diesel writes them out for people.
type Statements = Arc<Mutex<Vec<String>>>;

/// Runs `body` on a store that is like the file, and counts the steps of its statements.
fn steps(path: &Path, body: impl FnOnce(&mut Store)) -> i64 {
    // A folder of their own, for the logs of earlier ones are still there.
    let folder = tempfile::tempdir().unwrap();
    let copies = ["store.db", "counted.db"].map(|name| folder.path().join(name));
    for copy in &copies {
        std::fs::copy(path, copy).unwrap();
    }
    let mut store = Store::open(&Location::Sqlite(copies[0].clone()), OpenMode::MustExist).unwrap();
    let statements = Statements::default();
    let seen = Arc::clone(&statements);
    store
        .conn()
        .unwrap()
        .set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if let InstrumentationEvent::StartQuery { query, .. } = event {
                seen.lock().unwrap().push(query.to_string());
            }
        });
    body(&mut store);
    drop(store);
    let conn = rusqlite::Connection::open(&copies[1]).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = ON").unwrap();
    let statements = statements.lock().unwrap();
    statements.iter().map(|statement| count(&conn, statement)).sum()
}

/// Runs a statement and counts its steps.
fn count(conn: &rusqlite::Connection, written: &str) -> i64 {
    let (sql, values) = written.split_once(" -- binds: ").unwrap_or((written, "[]"));
    let values = values
        .replace("None", "null")
        .replace("Some(", "")
        .replace(')', "");
    let values: Vec<serde_json::Value> = serde_json::from_str(&values).unwrap();
    let mut statement = match conn.prepare(sql) {
        // What a connection is told, which has nothing to do with queues.
        Err(rusqlite::Error::MultipleStatement) => return 0,
        statement => statement.unwrap(),
    };
    for (n, value) in values.iter().enumerate() {
        match value {
            serde_json::Value::Null => statement.raw_bind_parameter(n + 1, None::<i64>),
            serde_json::Value::String(text) => statement.raw_bind_parameter(n + 1, text),
            serde_json::Value::Bool(flag) => statement.raw_bind_parameter(n + 1, flag),
            number => statement.raw_bind_parameter(n + 1, number.as_i64().unwrap()),
        }
        .unwrap();
    }
    let mut rows = statement.raw_query();
    while rows.next().unwrap().is_some() {}
    drop(rows);
    statement.get_status(StatementStatus::VmStep).into()
}

/// Something that nodes or lists do, by name.
type Question = (String, Box<dyn Fn(&mut Store)>);

fn questions() -> Vec<Question> {
    let mut asked: Vec<Question> = Vec::new();
    let one: Vec<QueueName> = vec!["queue-7".parse().unwrap()];
    for (name, queues, jobs) in [("all", Queues::All, 8), ("one", Queues::Only(one), 1)] {
        let served = queues.clone();
        asked.push((
            format!("a claim from {name}"),
            Box::new(move |store| {
                let new = NewNode {
                    cookie: "mark".into(),
                    host: "h".into(),
                    pid: 1,
                    version: "0".into(),
                    workers: 1,
                    concurrency: 1,
                    queues: served.clone(),
                };
                let (node, _guard, _listener) = store.enter_node(&new, NOW).unwrap();
                let cycle = Cycle {
                    node,
                    records: &[],
                    claim: 8,
                    queues: &served,
                    now: NOW,
                };
                assert_eq!(store.cycle(&cycle).unwrap().claimed.len(), jobs);
            }),
        ));
        asked.push((
            format!("looking for work in {name}"),
            Box::new(move |store| {
                assert!(store.has_work(&queues, NOW).unwrap());
                assert!(store.any_unfinished(&queues).unwrap());
                assert!(store.any_ended_badly(&queues, NOW).unwrap() || jobs > 0);
            }),
        ));
    }
    for state in STATES {
        for oldest_first in [true, false] {
            asked.push((
                format!("a list of {state} jobs"),
                Box::new(move |store| {
                    let filter = ListFilter {
                        state: Some(state),
                        oldest_first,
                        limit: 8,
                        ..ListFilter::default()
                    };
                    assert_eq!(store.list(&filter).unwrap().len(), 8);
                }),
            ));
        }
    }
    asked.push((
        "a step of retention".into(),
        Box::new(|store| {
            let filter = PurgeFilter {
                state: State::Completed,
                queue: None,
                ended_before: Some(NOW),
                // A step ends when it has taken long enough, but not before its first job.
                limit: 1,
            };
            assert_eq!(store.purge(&filter).unwrap().jobs, 1);
        }),
    ));
    asked.push((
        "a retry of dead jobs".into(),
        Box::new(|store| assert_eq!(store.retry_dead(None, 8, NOW).unwrap(), 8)),
    ));
    asked
}

#[test]
fn a_thousand_queues_take_as_many_steps_as_ten() {
    let folder = tempfile::tempdir().unwrap();
    let few = fill(&folder, 10);
    let many = fill(&folder, 1000);
    for (name, body) in questions() {
        let (with_few, with_many) = (steps(&few, &body), steps(&many, &body));
        assert!(with_few > 50, "{name} was not counted");
        assert!(
            with_many <= with_few + with_few / 10,
            "{name} takes {with_few} steps with 10 queues and {with_many} with 1000"
        );
    }
    // The control: hopping from queue to queue, as claims and lists did.
    let hop = "WITH RECURSIVE ready (queue) AS (\
               SELECT (SELECT queue FROM jobs WHERE state = 1 ORDER BY queue LIMIT 1) \
               UNION ALL \
               SELECT (SELECT jobs.queue FROM jobs WHERE state = 1 AND jobs.queue > ready.queue ORDER BY jobs.queue LIMIT 1) \
               FROM ready WHERE ready.queue IS NOT NULL) \
               SELECT count(*) FROM ready";
    let hops = |path: &Path| count(&rusqlite::Connection::open(path).unwrap(), hop);
    assert!(hops(&many) > 50 * hops(&few), "{} {}", hops(&few), hops(&many));
}
