//! What is asked of all queues reads as much of the indexes with a thousand queues as with ten.
//!
//! A session adds what it read to the server's statistics when it ends, so each question has one of its own.

use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use queuectl_core::{State, Timestamp};
use queuectl_storage::{Cycle, ListFilter, Location, OpenMode, PurgeFilter, Queues, Store};
use queuectl_testkit::new_node;

use super::{number, open};

const STATES: [State; 6] = [
    State::Pending,
    State::Scheduled,
    State::Failed,
    State::Completed,
    State::Dead,
    State::Cancelled,
];

/// Fills the schema with this many queues, each with a job in every state that waits or has ended, and some in `default`.
fn fill(conn: &mut PgConnection, schema: &str, queues: usize) {
    let codes = STATES.map(|state| state.code().to_string()).join(", ");
    run(
        conn,
        schema,
        &format!(
            "INSERT INTO jobs (queue, state, priority, attempts, fence, system_failures, executor, cancel_requested, created_at, \
         updated_at, due_at, finished_at) \
         SELECT queue, state, 0, 0, 1, 0, 'shell', FALSE, 1, 1, CASE WHEN state IN (2, 4) THEN now_ms() * 2 END, \
         CASE WHEN state > 4 THEN 5 END FROM unnest(ARRAY[{codes}]::SMALLINT[]) AS state, \
         (SELECT 'queue-' || n AS queue FROM generate_series(1, {queues}) AS n UNION ALL SELECT 'default') AS queues; \
         INSERT INTO payloads (job_id, queue, payload) SELECT id, queue, '{{\"command\":\"true\"}}' FROM jobs; \
         INSERT INTO counts SELECT queue, -1, count(*) FROM jobs GROUP BY queue; \
         INSERT INTO counts SELECT queue, state, count(*) FROM jobs WHERE state IN (1, 2, 4, 6, 7) GROUP BY queue, state;"
        ),
    );
}

/// What sessions that have ended read of this schema: entries of indexes, and rows of tables without one.
fn read_by_now(conn: &mut PgConnection, schema: &str) -> i64 {
    let sql = format!(
        "SELECT ((SELECT sum(idx_tup_read + idx_scan) FROM pg_stat_user_indexes WHERE schemaname = '{schema}') + \
         (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = '{schema}'))::BIGINT AS number"
    );
    number(conn, &sql).unwrap()
}

/// Runs `body` with the location of a session of its own, and waits until the server has ended that.
fn session(conn: &mut PgConnection, schema: &str, body: impl FnOnce(&str)) {
    let server = std::env::var("QUEUECTL_TEST_POSTGRES").unwrap();
    let and = if server.contains('?') { '&' } else { '?' };
    body(&format!("{server}{and}application_name={schema}"));
    let there =
        format!("SELECT count(*) AS number FROM pg_stat_activity WHERE application_name = '{schema}'");
    let until = Instant::now() + Duration::from_secs(60);
    while number(conn, &there).unwrap() > 0 {
        assert!(Instant::now() < until, "the session does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs SQL in a session of its own.
fn run(conn: &mut PgConnection, schema: &str, sql: &str) {
    session(conn, schema, |location| {
        let mut own = PgConnection::establish(location).unwrap();
        own.batch_execute(&format!("SET search_path = {schema}; {sql}"))
            .unwrap();
    });
}

/// What a session reads in which `body` runs.
fn reads(conn: &mut PgConnection, schema: &str, body: &dyn Fn(&mut Store)) -> i64 {
    let before = read_by_now(conn, schema);
    session(conn, schema, |location| {
        let location: Location = format!("{location}&schema={schema}").parse().unwrap();
        body(&mut Store::open(&location, OpenMode::MustExist).unwrap());
    });
    read_by_now(conn, schema) - before
}

/// Something that nodes or lists do, by name.
type Question = (String, Box<dyn Fn(&mut Store)>);

fn questions() -> Vec<Question> {
    let mut asked: Vec<Question> = Vec::new();
    for state in STATES {
        asked.push((
            format!("a list of {state} jobs"),
            Box::new(move |store| {
                let filter = ListFilter {
                    jobs: state.into(),
                    limit: 8,
                    ..ListFilter::default()
                };
                assert_eq!(store.list(&filter).unwrap().len(), 8);
            }),
        ));
    }
    asked.push((
        "a step of retention".into(),
        Box::new(|store| {
            let filter = PurgeFilter {
                state: State::Completed,
                queue: None,
                ended_before: Some(Timestamp(6)),
                limit: 8,
            };
            assert_eq!(store.purge(&filter).unwrap().jobs, 8);
        }),
    ));
    let one = Queues::Only(vec!["queue-9".parse().unwrap()]);
    for (name, queues, jobs) in [("all", Queues::All, 8), ("one", one, 1)] {
        asked.push((
            format!("a claim from {name}"),
            Box::new(move |store| {
                let now = store.now().unwrap();
                let (node, _guard, _listener) = store.enter_node(&new_node(name), now).unwrap();
                let cycle = Cycle {
                    node,
                    records: &[],
                    claim: 8,
                    queues: &queues,
                    now,
                };
                assert_eq!(store.cycle(&cycle).unwrap().claimed.len(), jobs);
                assert!(store.any_unfinished(&queues, now).unwrap());
                assert!(store.any_ended_badly(&queues, Timestamp(1)).unwrap());
            }),
        ));
    }
    asked
}

#[test]
fn a_thousand_queues_are_read_no_more_than_ten() {
    let name = "a_thousand_queues_are_read_no_more_than_ten";
    let sizes = [10, 1000];
    let mut of_size = Vec::new();
    for queues in sizes {
        let Some((temp, schema, mut conn)) = open(name) else {
            return;
        };
        fill(&mut conn, &schema, queues);
        let mut read = Vec::new();
        for (name, body) in questions() {
            read.push((name, reads(&mut conn, &schema, &body)));
        }
        // The control: what hops from queue to queue.
        let before = read_by_now(&mut conn, &schema);
        run(
            &mut conn,
            &schema,
            "SET enable_seqscan = off; \
             WITH RECURSIVE ready (queue) AS (\
             SELECT (SELECT queue FROM jobs WHERE state = 1 ORDER BY queue LIMIT 1) \
             UNION ALL \
             SELECT (SELECT jobs.queue FROM jobs WHERE state = 1 AND jobs.queue > ready.queue ORDER BY jobs.queue LIMIT 1) \
             FROM ready WHERE ready.queue IS NOT NULL) \
             SELECT count(*) FROM ready",
        );
        let hopped = read_by_now(&mut conn, &schema) - before;
        of_size.push((read, hopped));
        drop(temp);
    }
    let [(few, hopped_few), (many, hopped_many)] = of_size.try_into().unwrap();
    for ((name, with_few), (_, with_many)) in few.iter().zip(&many) {
        assert!(*with_few > 5, "{name} was not counted: {with_few}");
        assert!(
            *with_many <= with_few + with_few / 2,
            "{name} reads {with_few} entries with 10 queues and {with_many} with 1000"
        );
    }
    assert!(hopped_many > 50 * hopped_few, "{hopped_few} {hopped_many}");
}

/// Many jobs of a paused queue are not in the way of a claim from all queues.
#[test]
fn a_claim_reads_no_more_beside_a_paused_queue_with_many_jobs() {
    let name = "a_claim_reads_no_more_beside_a_paused_queue_with_many_jobs";
    let mut read = Vec::new();
    for jobs in [1100, 11_000] {
        let Some((temp, schema, mut conn)) = open(name) else {
            return;
        };
        fill(&mut conn, &schema, 10);
        run(
            &mut conn,
            &schema,
            &format!(
                "INSERT INTO jobs (queue, state, priority, attempts, fence, system_failures, executor, cancel_requested, \
                 created_at, updated_at) SELECT 'mail', 1, 9, 0, 0, 0, 'shell', FALSE, 1, 1 FROM generate_series(1, {jobs}); \
                 INSERT INTO counts VALUES ('mail', -1, {jobs}), ('mail', 1, {jobs}); \
                 INSERT INTO queues (name, paused_at, paused_until) VALUES ('mail', 1, {}); ANALYZE jobs, counts, queues",
                i64::MAX
            ),
        );
        let questions = questions();
        let (_, claim) = questions
            .iter()
            .find(|(name, _)| name == "a claim from all")
            .unwrap();
        let beside = reads(&mut conn, &schema, claim);
        // The control: a claim from all queues at once, past the jobs of the paused one.
        let before = read_by_now(&mut conn, &schema);
        run(
            &mut conn,
            &schema,
            "SET enable_seqscan = off; SELECT id FROM jobs WHERE state = 1 AND (queue = 'default') IS FALSE AND queue <> 'mail' \
             ORDER BY priority DESC, id LIMIT 1",
        );
        read.push((beside, read_by_now(&mut conn, &schema) - before));
        drop(temp);
    }
    let [(few, over_few), (many, over_many)] = read.try_into().unwrap();
    assert!(
        few > 5 && many <= few + few / 2,
        "{few} entries beside 1,100 jobs, {many} beside 11,000"
    );
    assert!(
        over_many > 5 * over_few && over_many > 5 * many,
        "{over_few} {over_many}"
    );
}
