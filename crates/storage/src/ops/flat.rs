//! What is asked of all queues takes as many steps with a thousand queues as with ten.
//!
//! Steps are those of SQLite's virtual machine: statements that the store ran are run again, in the same order and with the
//! same values, on a copy of the file from before, where they can be counted.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use diesel::connection::{Connection as _, InstrumentationEvent};
use queuectl_core::transition::Standing;
use queuectl_core::{
    Command, Event, Hook, HookOn, HookOns, JobId, JobSpec, QueueName, State, Timestamp, ValidJob, transition,
};
use rusqlite::StatementStatus;
use tempfile::TempDir;

use crate::counts::RECOUNT;
use crate::sqlite::statements::UnpausedReadyHead;
use crate::{
    Claimed, Cycle, DeadFilter, ListFilter, Location, MaybeBusy, NewNode, OpenMode, Pause, PurgeFilter,
    Queues, Record, Store,
};

const NOW: Timestamp = Timestamp(1_000_000);
const STATES: [State; 6] = [
    State::Pending,
    State::Scheduled,
    State::Failed,
    State::Completed,
    State::Dead,
    State::Cancelled,
];

/// Makes a file with `queues` queues, each with a job in every state that waits or has ended, and some in `default`.
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
            serde_json::Value::Array(bytes) => {
                let bytes = bytes.iter().map(|byte| byte.as_u64().unwrap() as u8);
                statement.raw_bind_parameter(n + 1, bytes.collect::<Vec<u8>>())
            }
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
                assert!(store.any_unfinished(&queues, NOW).unwrap());
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
                        jobs: state.into(),
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
        Box::new(|store| {
            let dead = store.dead_page(&DeadFilter::default(), None, 8).unwrap().jobs;
            assert_eq!(store.retry_dead_jobs(&dead, NOW).unwrap().jobs, 8);
        }),
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

/// A file in which `mail` is paused and has that many jobs of a high priority, beside those of [`fill`].
fn fill_with_paused(folder: &TempDir, jobs: usize) -> PathBuf {
    let path = fill(folder, 10);
    let mut store = Store::open(&Location::Sqlite(path.clone()), OpenMode::MustExist).unwrap();
    let mail: QueueName = "mail".parse().unwrap();
    let job = queuectl_testkit::valid(JobSpec {
        queue: Some(mail.clone()),
        priority: Some(9),
        ..JobSpec::line("true")
    });
    for _ in 0..jobs / 100 {
        store.enqueue(&vec![job.clone(); 100], NOW).unwrap();
    }
    let pause = Pause {
        at: NOW,
        until: None,
        by: String::new(),
        reason: None,
    };
    store.pause_queues(&[mail], &pause).unwrap();
    drop(store);
    let conn = rusqlite::Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
    drop(conn);
    let to = folder.path().join(format!("paused-{jobs}.db"));
    std::fs::rename(path, &to).unwrap();
    to
}

/// Many jobs of a paused queue are not in the way of a claim, and a few cost it no more than a look at each.
#[test]
fn a_claim_beside_a_paused_queue_takes_as_many_steps_however_many_jobs_that_has() {
    let folder = tempfile::tempdir().unwrap();
    let [none, few, many, more] = [0, 900, 1100, 11_000].map(|jobs| fill_with_paused(&folder, jobs));
    let claims = questions();
    let (_, claim) = claims
        .iter()
        .find(|(name, _)| name == "a claim from all")
        .unwrap();
    let (none, few) = (steps(&none, claim), steps(&few, claim));
    let (many, more) = (steps(&many, claim), steps(&more, claim));
    // Three looks at each: whether there is a job, how many come from where, and the claim.
    assert!(
        few > none && few < none + 900 * 3 * 12,
        "{none} steps without jobs and {few} with 900"
    );
    assert!(
        more <= many + many / 10,
        "{many} steps with 1,100 jobs and {more} with 11,000"
    );
    // The control: stepping over all of them.
    let over = |jobs: usize| {
        let path = folder.path().join(format!("paused-{jobs}.db"));
        let sql = UnpausedReadyHead::SQL
            .replacen('?', "1000000", 1)
            .replacen('?', "1", 1);
        count(&rusqlite::Connection::open(path).unwrap(), &sql)
    };
    assert!(over(11_000) > 5 * over(1100) && over(11_000) > 3 * more);
}

/// The statements of a cycle that records the success of eight plain jobs, while there is a hook, if any.
fn recording(hook: Option<(&str, HookOn)>) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("queue.db");
    let mut store = Store::open(&Location::Sqlite(path), OpenMode::Create).unwrap();
    store
        .enqueue(&vec![queuectl_testkit::job("true"); 9], NOW)
        .unwrap();
    if let Some((queue, on)) = hook {
        let hook = Hook {
            name: "hook".parse().unwrap(),
            on: HookOns::NONE.with(on),
            queue: Some(queue.parse().unwrap()),
            schedule: None,
            to_queue: None,
            command: Command::Line("true".into()),
            cwd: None,
            created_at: NOW,
            alert: None,
        };
        store.add_hook(&hook).unwrap();
    }
    let new = NewNode {
        cookie: "mark".into(),
        host: "h".into(),
        pid: 1,
        version: "0".into(),
        workers: 1,
        concurrency: 1,
        queues: Queues::All,
    };
    let (node, _guard, _listener) = store.enter_node(&new, NOW).unwrap();
    let mut cycle = Cycle {
        node,
        records: &[],
        claim: 8,
        queues: &Queues::All,
        now: NOW,
    };
    let claimed = store.cycle(&cycle).unwrap().claimed;
    let running = Standing {
        state: State::Processing,
        attempts: 1,
        system_failures: 0,
    };
    let end = |job: &Claimed| Record {
        job: JobId(job.id),
        fence: job.fence,
        node,
        change: transition(running, Event::Complete).unwrap(),
        attempt: None,
        busy: MaybeBusy::No,
        is_limited: job.limits.is_some(),
    };
    let records: Vec<Record> = claimed.iter().map(end).collect();
    (cycle.records, cycle.claim) = (&records, 0);
    let statements = Statements::default();
    let seen = Arc::clone(&statements);
    let conn = store.conn().unwrap();
    conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::StartQuery { query, .. } = event {
            seen.lock().unwrap().push(query.to_string());
        }
    });
    assert_eq!(store.cycle(&cycle).unwrap().stale, []);
    statements.lock().unwrap().len()
}

/// A cycle of plain jobs has no more statements because there could be hooks, or because there are some of other queues or
/// events. The control: a hook that is for these jobs.
#[test]
fn a_cycle_has_no_statements_for_hooks_that_do_not_concern_it() {
    let plain = recording(None);
    // The transaction, an update and half an insert for each job, and what every cycle asks.
    assert!((8..32).contains(&plain), "{plain}");
    assert_eq!(recording(Some(("mail", HookOn::Success))), plain);
    assert_eq!(recording(Some(("default", HookOn::Death))), plain);
    assert!(recording(Some(("default", HookOn::Success))) > plain);
}
