//! A development tool behind `cargo xtask bench`: fills stores with millions of jobs in no time, and measures the cycle of
//! a dispatcher by itself. Never use it on a queue that somebody needs: it writes past the verbs and without durability.
//!
//! ```text
//! scale fill QUEUE [executor=NAME] [queues=N] STATE=N...   adds jobs in these states, in this order
//! scale turns QUEUE jobs=N batch=N                         claims and records N jobs a cycle; prints what one costs
//! ```
//!
//! A queue is a file or a location on PostgreSQL.

#[path = "scale/postgres.rs"]
mod postgres;

use std::path::Path;
use std::time::Instant;

use queuectl_core::{Clock, SystemClock};
use queuectl_core::{Event, OutcomeKind, State};
use queuectl_storage::{Cycle, Location, NewNode, OpenMode, Queues, Record, Store};
use queuectl_testkit::{job, record};
use rusqlite::Connection;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        // `cargo bench` adds it.
        .filter(|argument| argument != "--bench")
        .collect();
    let [verb, file, rest @ ..] = arguments.as_slice() else {
        return Err("scale fill FILE STATE=N..., or scale turns FILE jobs=N batch=N".into());
    };
    let location: Location = file.parse()?;
    let mut pairs = Vec::new();
    for argument in rest {
        pairs.push(argument.split_once('=').ok_or("an argument is KEY=VALUE")?);
    }
    let store = Store::open(&location, OpenMode::Create)?;
    match verb.as_str() {
        "fill" => {
            drop(store);
            match location.file() {
                Some(path) => fill(path, &pairs),
                None => postgres::fill(file, &pairs),
            }
        }
        "turns" => cycles(store, &pairs),
        _ => Err(format!("there is no '{verb}'").into()),
    }
}

/// Inserts jobs by SQL alone. Indexes are dropped meanwhile and rebuilt, which is many times quicker.
fn fill(path: &Path, pairs: &[(&str, &str)]) -> Result<(), Failure> {
    let conn = Connection::open(path)?;
    conn.execute_batch(
        "PRAGMA journal_mode = DELETE; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -500000; \
         PRAGMA foreign_keys = OFF; PRAGMA temp_store = FILE;",
    )?;
    let mut indexes = Vec::new();
    let mut statement =
        conn.prepare("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")?;
    for row in statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))? {
        indexes.push(row?);
    }
    drop(statement);
    for (name, _) in &indexes {
        conn.execute_batch(&format!("DROP INDEX {name}"))?;
    }
    let (mut executor, mut queues) = ("shell", 1_u64);
    for (key, value) in pairs {
        match *key {
            "executor" => executor = value,
            "queues" => queues = value.parse()?,
            state => insert(&conn, state.parse()?, value.parse()?, executor, queues)?,
        }
    }
    for (_, sql) in &indexes {
        conn.execute_batch(sql)?;
    }
    conn.execute_batch(
        "DELETE FROM counts; \
         INSERT INTO counts SELECT queue, -1, count(*) FROM jobs GROUP BY queue; \
         INSERT INTO counts SELECT queue, state, count(*) FROM jobs WHERE state NOT IN (3, 5) GROUP BY queue, state; \
         PRAGMA journal_mode = WAL; PRAGMA wal_checkpoint(TRUNCATE);",
    )?;
    Ok(())
}

fn insert(conn: &Connection, state: State, jobs: i64, executor: &str, queues: u64) -> Result<(), Failure> {
    let now = SystemClock.now().0;
    let (ended, waits) = (
        state.is_final(),
        matches!(state, State::Scheduled | State::Failed),
    );
    if state == State::Processing {
        return Err("no node runs these jobs".into());
    }
    let first: i64 = conn.query_row("SELECT coalesce(max(id), 0) + 1 FROM jobs", [], |row| row.get(0))?;
    let queue = if queues == 1 {
        "'default'".to_owned()
    } else {
        format!("'queue-' || (n % {queues})")
    };
    let (due, finished) = (
        if waits {
            format!("{now} + 36000000 + n")
        } else {
            "NULL".to_owned()
        },
        if ended {
            format!("{now} - 3600000 + n / 10")
        } else {
            "NULL".to_owned()
        },
    );
    let code = state.code();
    let ran = i64::from(ended || state == State::Failed);
    let numbers = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {jobs} - 1)"
    );
    conn.execute_batch(&format!(
        "{numbers} INSERT INTO jobs (id, queue, state, priority, attempts, fence, system_failures, executor, cancel_requested, \
         created_at, updated_at, due_at, finished_at) \
         SELECT {first} + n, {queue}, {code}, 0, {ran}, {ran}, 0, '{executor}', 0, {now}, {now}, {due}, {finished} FROM numbers; \
         {numbers} INSERT INTO payloads SELECT {first} + n, '{{\"command\":\"true\"}}' FROM numbers;"
    ))?;
    if ran == 1 {
        let outcome = if state == State::Completed {
            OutcomeKind::Succeeded
        } else {
            OutcomeKind::Failed
        };
        let outcome = outcome.code();
        conn.execute_batch(&format!(
            "{numbers} INSERT INTO attempts SELECT {first} + n, 1, 1, 1, 1, {outcome}, 0, NULL, '', {now}, {now}, 0, NULL FROM numbers"
        ))?;
    }
    Ok(())
}

/// Runs cycles as a busy dispatcher does: each records what the one before claimed, and claims again. As many jobs as
/// are taken are added, outside of what is measured.
fn cycles(mut store: Store, pairs: &[(&str, &str)]) -> Result<(), Failure> {
    let value = |wanted: &str| {
        pairs
            .iter()
            .find(|(key, _)| *key == wanted)
            .map(|(_, value)| *value)
    };
    let jobs: u32 = value("jobs").unwrap_or("20000").parse()?;
    let batch: u32 = value("batch").unwrap_or("256").parse()?;
    let new = NewNode {
        cookie: format!("scale-{}", std::process::id()),
        host: "scale".into(),
        pid: std::process::id(),
        version: "0".into(),
        workers: 1,
        concurrency: 1,
        queues: Queues::All,
    };
    let (node, _guard, _wakes) = store.enter_node(&new, SystemClock.now())?;
    let mut spent = Spent::default();
    let mut records: Vec<Record> = Vec::new();
    let mut done = 0;
    while done < jobs {
        let fresh: Vec<_> = (0..batch).map(|_| job("true")).collect();
        store.enqueue(&fresh, SystemClock.now())?;
        let cycle = Cycle {
            node,
            records: &records,
            claim: batch,
            queues: &Queues::All,
            now: SystemClock.now(),
        };
        let before = Spent::by_now()?;
        let result = store.cycle(&cycle)?;
        spent.add(&before)?;
        if !result.stale.is_empty() || result.claimed.len() as u32 != batch {
            return Err("the cycle did not do what was asked of it".into());
        }
        done += records.len() as u32;
        let now = SystemClock.now();
        records = result
            .claimed
            .iter()
            .map(|claimed| {
                let mut done = record(claimed, node, Event::Complete, OutcomeKind::Succeeded, now);
                if let Some(attempt) = &mut done.attempt {
                    attempt.output = queuectl_core::Output::default();
                }
                done
            })
            .collect();
    }
    let cycle = Cycle {
        node,
        records: &records,
        claim: 0,
        queues: &Queues::All,
        now: SystemClock.now(),
    };
    store.cycle(&cycle)?;
    store.leave_node(node)?;
    let per = |sum: f64| sum / f64::from(done);
    println!(
        "{} {} {}",
        per(spent.wall_us),
        per(spent.cpu_us),
        per(spent.bytes)
    );
    Ok(())
}

/// Time, processor time and bytes written.
#[derive(Default)]
struct Spent {
    started: Option<Instant>,
    wall_us: f64,
    cpu_us: f64,
    bytes: f64,
}

impl Spent {
    fn by_now() -> Result<Spent, Failure> {
        let number = |text: &str| text.trim().parse::<f64>();
        let schedule = std::fs::read_to_string("/proc/thread-self/schedstat")?;
        let io = std::fs::read_to_string("/proc/self/io")?;
        let written = io
            .lines()
            .find_map(|line| line.strip_prefix("wchar:"))
            .ok_or("no wchar")?;
        Ok(Spent {
            cpu_us: number(schedule.split(' ').next().unwrap_or_default())? / 1000.0,
            bytes: number(written)?,
            wall_us: 0.0,
            started: Some(Instant::now()),
        })
    }

    /// Adds what was spent since then.
    fn add(&mut self, before: &Spent) -> Result<(), Failure> {
        let wall = before
            .started
            .map_or(0.0, |started| started.elapsed().as_secs_f64() * 1e6);
        let now = Spent::by_now()?;
        self.wall_us += wall;
        self.cpu_us += now.cpu_us - before.cpu_us;
        self.bytes += now.bytes - before.bytes;
        Ok(())
    }
}
