//! Transactions that lock limits and jobs: none of them waits for another that waits for it.
//!
//! Each test has two of them meet: while a third session keeps the lock of the limits, the first comes to wait for it, then
//! the second, with the rows that it has locked by then. When the lock is let go, the first has it and goes on to its rows.

use std::thread;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use queuectl_core::schedule::{MISSED_WITHIN_DEFAULT, MissedPolicy, Overlap, ScheduleSpec};
use queuectl_core::{
    Command, Event, Hook, JobId, JobRef, JobSpec, LimitChange, NodeId, OnConflict, OutcomeKind, State,
    Timestamp, ValidJob,
};
use queuectl_storage::{
    Among, Claimed, Cycle, DeadFilter, JobFilter, MassChange, NodeGuard, Only, Queues, Record,
    ScheduleChange, Store, StoreError,
};
use queuectl_testkit::{TempStore, new_node, record, valid};

use super::{number, open};

const NOW: Timestamp = Timestamp(1_000_000);

#[derive(QueryableByName)]
struct Pids {
    #[diesel(sql_type = Text)]
    pids: String,
}

/// The sessions that wait for this one, and those that wait for them.
const WAITING: &str = "WITH RECURSIVE sessions (pid) AS (SELECT DISTINCT pid FROM pg_locks WHERE NOT granted), \
     waiting (pid) AS (\
     SELECT pid FROM sessions WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid)) UNION \
     SELECT sessions.pid FROM sessions JOIN waiting ON waiting.pid = ANY(pg_blocking_pids(sessions.pid))) \
     SELECT coalesce(string_agg(pid::TEXT, ','), '') AS pids FROM waiting";

/// Waits until that many sessions wait for this one. Returns their processes.
pub fn waiting(conn: &mut PgConnection, how_many: usize) -> String {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let found: Pids = diesel::sql_query(WAITING).get_result(conn).unwrap();
        let count = found.pids.split(',').filter(|pid| !pid.is_empty()).count();
        if count == how_many {
            return found.pids;
        }
        assert!(Instant::now() < until, "{count} of {how_many} sessions wait");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Has the two meet. Returns whether they waited for each other, and what came of them.
fn meet<A: Send, B: Send>(
    (schema, conn): (&str, &mut PgConnection),
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B + Send,
) -> (bool, A, B) {
    conn.batch_execute(&format!(
        "BEGIN; SELECT pg_advisory_xact_lock(identity) FROM {schema}.store"
    ))
    .unwrap();
    thread::scope(|scope| {
        let first = scope.spawn(first);
        waiting(conn, 1);
        let second = scope.spawn(second);
        let both = waiting(conn, 2);
        conn.batch_execute("COMMIT").unwrap();
        let (one, other) = both.split_once(',').unwrap();
        let in_a_circle = format!(
            "SELECT ({one} = ANY(pg_blocking_pids({other})) AND {other} = ANY(pg_blocking_pids({one})))::INT::BIGINT \
             AS number"
        );
        let mut met = false;
        while !(first.is_finished() && second.is_finished()) {
            met = met || number(conn, &in_a_circle).unwrap() == 1;
            thread::sleep(Duration::from_millis(2));
        }
        (met, first.join().unwrap(), second.join().unwrap())
    })
}

struct Meeting {
    temp: TempStore,
    schema: String,
    conn: PgConnection,
    node: NodeId,
    _guard: NodeGuard,
}

impl Meeting {
    /// A store with two limits, and a node.
    fn new(test: &str) -> Option<Meeting> {
        let (mut temp, schema, conn) = open(test)?;
        for (name, running) in [("disk", 1), ("wide", 100)] {
            let change = LimitChange {
                running: Some(Some(running)),
                ..LimitChange::default()
            };
            temp.store
                .set_limit(&name.parse().unwrap(), &change, NOW)
                .unwrap();
        }
        let (node, guard, _) = temp.store.enter_node(&new_node(test), NOW).unwrap();
        Some(Meeting {
            temp,
            schema,
            conn,
            node,
            _guard: guard,
        })
    }

    fn enqueue(&mut self, jobs: &[ValidJob]) -> Vec<JobId> {
        self.temp.store.enqueue(jobs, NOW).unwrap()
    }

    fn claim(&mut self) -> Vec<Claimed> {
        cycle(&mut self.temp.store, self.node, &[], 100).unwrap()
    }

    fn done(&self, job: &Claimed) -> Record {
        record(job, self.node, Event::Complete, OutcomeKind::Succeeded, NOW)
    }

    /// Has an operation and a cycle that ends these jobs meet, in this order or the other; both must succeed, and neither
    /// may wait for the other while that waits for it.
    fn with_cycle<A: Send>(
        &mut self,
        records: &[Record],
        is_first: bool,
        operation: impl FnOnce(&mut Store) -> Result<A, StoreError> + Send,
    ) {
        let (mut store, mut other) = (self.temp.another(), self.temp.another());
        let node = self.node;
        let place = (self.schema.as_str(), &mut self.conn);
        let (met, done, ended) = if is_first {
            let ends = || cycle(&mut other, node, records, 0);
            let (met, done, ended) = meet(place, || operation(&mut store), ends);
            (met, done.map(drop), ended)
        } else {
            let ends = || cycle(&mut other, node, records, 0);
            let (met, ended, done) = meet(place, ends, || operation(&mut store));
            (met, done.map(drop), ended)
        };
        assert!(!met, "they waited for each other");
        assert!(done.is_ok() && ended.is_ok(), "{done:?}, {ended:?}");
    }

    fn is_sound(&mut self) -> bool {
        let report = self.temp.store.check().unwrap();
        (report.misplaced, report.miscounted) == (0, 0)
    }
}

fn cycle(
    store: &mut Store,
    node: NodeId,
    records: &[Record],
    claim: u32,
) -> Result<Vec<Claimed>, StoreError> {
    let queues = &Queues::All;
    let cycle = Cycle {
        node,
        records,
        claim,
        queues,
        now: NOW,
    };
    Ok(store.cycle(&cycle)?.claimed)
}

fn limited(limit: &str, more: impl FnOnce(&mut JobSpec)) -> ValidJob {
    let mut spec = JobSpec {
        limit: vec![limit.parse().unwrap()],
        ..JobSpec::line("true")
    };
    more(&mut spec);
    valid(spec)
}

fn plain() -> ValidJob {
    limited("disk", |_| {})
}

fn after(limit: &str, parents: &[JobId]) -> ValidJob {
    limited(limit, |spec| {
        let parents = parents.iter().map(|parent| parent.to_string().parse().unwrap());
        spec.after = parents.collect();
    })
}

/// The control: two that lock in different orders are seen to wait for each other.
#[test]
fn a_circle_is_seen() {
    let Some(mut meeting) = Meeting::new("a_circle_is_seen") else {
        return;
    };
    let id = meeting.enqueue(&[plain()])[0];
    let schema = meeting.schema.clone();
    let limits = format!("SELECT pg_advisory_xact_lock(identity) FROM {schema}.store;");
    let row = format!("SELECT FROM {schema}.jobs WHERE id = {id} FOR UPDATE;");
    let run = |sql: String| {
        let url = std::env::var("QUEUECTL_TEST_POSTGRES").unwrap();
        move || PgConnection::establish(&url).unwrap().batch_execute(&sql)
    };
    let first = run(format!("BEGIN; {limits} {row} COMMIT"));
    let second = run(format!("BEGIN; {row} {limits} COMMIT"));
    let (met, first, second) = meet((&schema, &mut meeting.conn), first, second);
    assert!(met);
    assert!(first.is_err() != second.is_err());
}

/// A job that waits for room is cancelled while a slot comes back that it would have next.
#[test]
fn cancelling_a_job_that_is_next() {
    let Some(mut meeting) = Meeting::new("cancelling_a_job_that_is_next") else {
        return;
    };
    let ids = meeting.enqueue(&[plain(), plain(), plain()]);
    let claimed = meeting.claim();
    let ends = [meeting.done(&claimed[0])];
    meeting.with_cycle(&ends, false, |store| store.cancel(&JobRef::Number(ids[1]), NOW));
    assert!(meeting.is_sound());
}

/// The same where many jobs are cancelled.
#[test]
fn cancelling_all_jobs_that_are_next() {
    let Some(mut meeting) = Meeting::new("cancelling_all_jobs_that_are_next") else {
        return;
    };
    let ids = meeting.enqueue(&[plain(), plain(), plain()]);
    let claimed = meeting.claim();
    let ends = [meeting.done(&claimed[0])];
    let next = JobFilter {
        among: Some(vec![Among::Numbers(ids[1], ids[2])]),
        ..JobFilter::default()
    };
    meeting.with_cycle(&ends, false, |store| {
        store.change_all(&next, MassChange::Cancel, NOW, |_| {})
    });
    assert!(meeting.is_sound());
}

/// The same where a new job takes its place.
#[test]
fn replacing_a_job_that_is_next() {
    let Some(mut meeting) = Meeting::new("replacing_a_job_that_is_next") else {
        return;
    };
    let keyed = limited("disk", |spec| {
        spec.unique = Some("k".parse().unwrap());
        spec.on_conflict = Some(OnConflict::Replace);
    });
    meeting.enqueue(&[plain(), keyed.clone()]);
    let claimed = meeting.claim();
    let ends = [meeting.done(&claimed[0])];
    meeting.with_cycle(&ends, false, |store| store.enqueue(&[keyed], NOW));
    assert!(meeting.is_sound());
}

/// A new job waits for one that names limits and ends at that moment.
#[test]
fn waiting_for_a_job_that_ends() {
    let Some(mut meeting) = Meeting::new("waiting_for_a_job_that_ends") else {
        return;
    };
    let ids = meeting.enqueue(&[plain()]);
    let claimed = meeting.claim();
    let ends = [meeting.done(&claimed[0])];
    let new = [plain(), after("disk", &ids)];
    meeting.with_cycle(&ends, true, |store| store.enqueue(&new, NOW));
    assert!(meeting.is_sound());
}

/// New jobs of two batches are given up at once, because what they wait for has failed.
#[test]
fn waiting_for_a_job_that_has_failed() {
    let Some(mut meeting) = Meeting::new("waiting_for_a_job_that_has_failed") else {
        return;
    };
    let ids = meeting.enqueue(&[plain()]);
    meeting.temp.store.cancel(&JobRef::Number(ids[0]), NOW).unwrap();
    let new = [plain(), after("disk", &ids)];
    let (mut store, mut other) = (meeting.temp.another(), meeting.temp.another());
    let (met, first, second) = meet(
        (&meeting.schema, &mut meeting.conn),
        || store.enqueue(&new, NOW),
        || other.enqueue(&new, NOW),
    );
    assert!(
        !met && first.is_ok() && second.is_ok(),
        "{met} {first:?} {second:?}"
    );
    assert!(meeting.is_sound());
}

/// Two cycles end parents of the same job; the first has let another go on before it comes to that one.
#[test]
fn ending_two_parents_of_a_job() {
    let Some(mut meeting) = Meeting::new("ending_two_parents_of_a_job") else {
        return;
    };
    let parents = meeting.enqueue(&[0, 1, 2].map(|_| limited("wide", |_| {})));
    meeting.enqueue(&[after("disk", &parents[..1]), after("disk", &parents[1..])]);
    let claimed = meeting.claim();
    assert_eq!(claimed.len(), 3);
    let first = [meeting.done(&claimed[0]), meeting.done(&claimed[1])];
    let second = [meeting.done(&claimed[2])];
    let (mut store, node) = (meeting.temp.another(), meeting.node);
    meeting.with_cycle(&second, true, move |_| cycle(&mut store, node, &first, 0));
    assert!(meeting.is_sound());
    assert_eq!(meeting.claim().len(), 1);
}

/// Jobs are retried together while one of them is retried by itself.
#[test]
fn retrying_dead_jobs() {
    let Some(mut meeting) = Meeting::new("retrying_dead_jobs") else {
        return;
    };
    let ids = meeting.enqueue(&[0, 1].map(|_| limited("wide", |_| {})));
    let died = meeting.claim();
    let event = Event::Fail { retry_at: None };
    let died: Vec<Record> = died
        .iter()
        .map(|job| record(job, meeting.node, event, OutcomeKind::Failed, NOW))
        .collect();
    cycle(&mut meeting.temp.store, meeting.node, &died, 0).unwrap();
    let (mut store, mut other) = (meeting.temp.another(), meeting.temp.another());
    let dead = store.dead_page(&DeadFilter::default(), None, 10).unwrap().jobs;
    assert_eq!(dead.len(), 2);
    let (met, all, one) = meet(
        (&meeting.schema, &mut meeting.conn),
        || store.retry_dead_jobs(&dead, NOW),
        || other.retry(&JobRef::Number(ids[1]), &Only::default(), NOW),
    );
    assert!(!met && all.is_ok(), "{met} {all:?} {one:?}");
    assert!(meeting.is_sound());
}

/// A tick cancels an earlier run that ends at that moment, after another schedule's tick has made a job.
#[test]
fn cancelling_a_run_that_ends() {
    let Some(mut meeting) = Meeting::new("cancelling_a_run_that_ends") else {
        return;
    };
    for (name, overlap) in [("a", Overlap::Allow), ("b", Overlap::Cancel)] {
        let spec = ScheduleSpec {
            name: name.parse().unwrap(),
            when: "@every 10s".to_owned(),
            zone: "UTC".to_owned(),
            job: JobSpec::clone(&limited("wide", |_| {})),
            missed: MissedPolicy::Last,
            missed_within_ms: MISSED_WITHIN_DEFAULT,
            overlap,
            jitter_ms: None,
            pause_after: None,
            owner: None,
        };
        let change = ScheduleChange::Add(spec);
        meeting.temp.store.change_schedules(&[change], NOW).unwrap();
    }
    let at = |seconds: u64| NOW.after(Duration::from_secs(seconds));
    let all = |store: &mut Store, seconds| loop {
        if store
            .tick(at(seconds))?
            .next
            .is_none_or(|next| next > at(seconds))
        {
            return Ok(());
        }
    };
    all(&mut meeting.temp.store, 10).unwrap();
    let claimed = meeting.claim();
    assert_eq!(claimed.len(), 2);
    let ends: Vec<Record> = claimed.iter().map(|job| meeting.done(job)).collect();
    meeting.with_cycle(&ends, true, |store| all(store, 20));
    assert!(meeting.is_sound());
}

/// Has another session lock the first of these jobs. The operation must come to wait for it before it has locked any of the
/// others.
fn locks_first(
    (schema, conn): (&str, &mut PgConnection),
    (first, others): (JobId, &[JobId]),
    operation: impl FnOnce() -> Result<(), StoreError> + Send,
) {
    let lock = |id: JobId, how: &str| format!("SELECT FROM {schema}.jobs WHERE id = {id} FOR UPDATE {how}");
    conn.batch_execute(&format!("BEGIN; {}", lock(first, "")))
        .unwrap();
    thread::scope(|scope| {
        let operation = scope.spawn(operation);
        waiting(conn, 1);
        let free: Vec<_> = others
            .iter()
            .map(|id| conn.batch_execute(&lock(*id, "NOWAIT")))
            .collect();
        conn.batch_execute("ROLLBACK").unwrap();
        operation.join().unwrap().unwrap();
        assert!(free.iter().all(Result::is_ok), "{free:?}");
    });
}

/// A batch replaces jobs in the order of their numbers, whatever the order of their keys is, and although it is content with
/// one of them at first.
#[test]
fn jobs_are_replaced_in_order() {
    let Some(mut meeting) = Meeting::new("jobs_are_replaced_in_order") else {
        return;
    };
    let keyed = |key: &str, choice| {
        valid(JobSpec {
            unique: Some(key.parse().unwrap()),
            on_conflict: Some(choice),
            ..JobSpec::line("true")
        })
    };
    let [m, z, a] = ["m", "z", "a"].map(|key| keyed(key, OnConflict::Replace));
    let ids = meeting.enqueue(&[m.clone(), z.clone(), a.clone()]);
    let claimed = meeting.claim();
    assert_eq!(claimed.len(), 3);
    let batch = [keyed("m", OnConflict::Return), m, z, a];
    let (mut store, place) = (
        meeting.temp.another(),
        (meeting.schema.as_str(), &mut meeting.conn),
    );
    locks_first(place, (ids[0], &ids[1..]), || {
        store.enqueue(&batch, NOW).map(drop)
    });
    assert!(meeting.is_sound());
}

/// A purge removes jobs in the order of their numbers, whatever the order is in which they ended.
#[test]
fn jobs_are_purged_in_order() {
    let Some(mut meeting) = Meeting::new("jobs_are_purged_in_order") else {
        return;
    };
    let ids = meeting.enqueue(&[0, 1, 2].map(|_| valid(JobSpec::line("true"))));
    let claimed = meeting.claim();
    assert_eq!(claimed.len(), 3);
    for (ms, id) in (1..).zip(ids.iter().rev()) {
        let at = NOW.after(Duration::from_millis(ms));
        let job = claimed.iter().find(|job| job.id == id.0).unwrap();
        let ended = record(job, meeting.node, Event::Complete, OutcomeKind::Succeeded, at);
        let cycle = Cycle {
            node: meeting.node,
            records: &[ended],
            claim: 0,
            queues: &Queues::All,
            now: at,
        };
        meeting.temp.store.cycle(&cycle).unwrap();
    }
    let (mut store, place) = (
        meeting.temp.another(),
        (meeting.schema.as_str(), &mut meeting.conn),
    );
    locks_first(place, (ids[0], &ids[1..]), || {
        let completed = JobFilter::from(State::Completed);
        let done = store.change_all(&completed, MassChange::Purge, NOW, |_| {})?;
        assert_eq!(done.changed, 3);
        Ok(())
    });
    assert!(meeting.is_sound());
}

/// A cycle ends jobs in the order of their numbers, whatever the order of its records is.
#[test]
fn jobs_end_in_order() {
    let Some(mut meeting) = Meeting::new("jobs_end_in_order") else {
        return;
    };
    for job in [valid(JobSpec::line("true")), limited("wide", |_| {})] {
        let ids = meeting.enqueue(&[0, 1, 2].map(|_| job.clone()));
        let claimed = meeting.claim();
        let ends: Vec<Record> = claimed.iter().rev().map(|job| meeting.done(job)).collect();
        assert_eq!(ends.len(), 3);
        let (mut store, node) = (meeting.temp.another(), meeting.node);
        let place = (meeting.schema.as_str(), &mut meeting.conn);
        locks_first(place, (ids[0], &ids[1..]), || {
            cycle(&mut store, node, &ends, 0).map(drop)
        });
    }
    assert!(meeting.is_sound());
}

/// A cycle ends jobs without gates first, also where a hook concerns them.
#[test]
fn jobs_without_gates_end_first() {
    let Some(mut meeting) = Meeting::new("jobs_without_gates_end_first") else {
        return;
    };
    for is_hooked in [false, true] {
        let ids = meeting.enqueue(&[limited("wide", |_| {}), valid(JobSpec::line("true"))]);
        let claimed = meeting.claim();
        let ends: Vec<Record> = claimed.iter().map(|job| meeting.done(job)).collect();
        assert_eq!(ends.len(), 2);
        if is_hooked {
            let hook = Hook {
                name: "all".parse().unwrap(),
                on: "success".parse().unwrap(),
                queue: None,
                schedule: None,
                to_queue: None,
                command: Command::Line("true".to_owned()),
                cwd: None,
                created_at: NOW,
                alert: None,
            };
            meeting.temp.store.add_hook(&hook).unwrap();
        }
        let (mut store, node) = (meeting.temp.another(), meeting.node);
        let place = (meeting.schema.as_str(), &mut meeting.conn);
        locks_first(place, (ids[1], &ids[..1]), || {
            cycle(&mut store, node, &ends, 0).map(drop)
        });
    }
    assert!(meeting.is_sound());
}

/// Running jobs are cancelled together in the order in which cycles end them.
#[test]
fn running_jobs_are_cancelled_in_order() {
    let Some(mut meeting) = Meeting::new("running_jobs_are_cancelled_in_order") else {
        return;
    };
    let ids = meeting.enqueue(&[limited("wide", |_| {}), valid(JobSpec::line("true"))]);
    assert_eq!(meeting.claim().len(), 2);
    let mut store = meeting.temp.another();
    let place = (meeting.schema.as_str(), &mut meeting.conn);
    locks_first(place, (ids[1], &ids[..1]), || {
        let done = store.change_all(&JobFilter::default(), MassChange::Cancel, NOW, |_| {})?;
        assert_eq!((done.changed, done.requested), (0, 2));
        Ok(())
    });
    assert!(meeting.is_sound());
}
