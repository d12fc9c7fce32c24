//! How jobs are found: the plans of the statements, and what claims pass over.

use std::time::Duration;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use queuectl_core::transition::Standing;
use queuectl_core::{Event, JobId, JobRef, JobSpec, LimitChange, State, Timestamp, transition};
use queuectl_storage::{
    Cycle, JobFilter, MassChange, MaybeBusy, Queues, Record, Store, hot_statements_on_postgres,
};
use queuectl_testkit::{new_node, valid};

use super::{number, open};

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
    line: String,
}

/// What PostgreSQL plans for the real statements, in a session as ours are, knowing nothing of the tables.
#[test]
fn hot_statements_use_their_indexes() {
    let Some((_temp, schema, mut conn)) = open("hot_statements_use_their_indexes") else {
        return;
    };
    conn.batch_execute(&format!(
        "SET search_path = {schema}; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off; \
         SET enable_bitmapscan = off;"
    ))
    .unwrap();
    let statements = hot_statements_on_postgres();
    let mut plan = |name: &str, values: &[&str]| -> String {
        let (_, sql) = statements
            .iter()
            .find(|(statement, _)| *statement == name)
            .unwrap();
        let mut values = values.iter();
        let text = sql.split('?').collect::<Vec<_>>();
        let (last, first) = text.split_last().unwrap();
        let filled: String = first
            .iter()
            .flat_map(|part| [*part, values.next().expect("a value for each parameter")])
            .chain([*last])
            .collect();
        let lines: Vec<Line> = diesel::sql_query(format!("EXPLAIN (VERBOSE) {filled}"))
            .load(&mut conn)
            .unwrap();
        lines.into_iter().map(|line| line.line + "\n").collect()
    };
    const CLAIM: [&str; 10] = ["1", "1", "1", "1", "7", "FALSE", "'a'", "-9", "9", "5"];
    const CLAIM_OTHERS: [&str; 8] = ["1", "1", "1", "1", "7", "0", "9", "5"];
    const CLAIM_BEHIND: [&str; 10] = ["1", "1", "1", "1", "7", "FALSE", "'a'", "0", "7", "5"];
    let ids = "'{1,2}'::BIGINT[]";
    for (name, values, index) in [
        ("Outlook", &["FALSE", "FALSE"][..], "jobs_ready"),
        ("Outlook", &["FALSE", "FALSE"], "others_ready"),
        ("Outlook", &["FALSE", "FALSE"], "jobs_due"),
        ("OutlookOf", &["'{a,b}'::TEXT[]", "''"], "jobs_ready"),
        ("OutlookOf", &["'{a,b}'::TEXT[]", "''"], "jobs_due"),
        ("Shares", &["5", "7", "5", "5"], "jobs_ready"),
        ("Shares", &["5", "7", "5", "5"], "others_ready"),
        ("SharesOf", &["'{a,b}'::TEXT[]", "5", "5"], "jobs_ready"),
        (
            "SharesWithin",
            &["7", "5", "'{a,b}'::TEXT[]", "'{1,1}'::BIGINT[]", "5"],
            "jobs_ready",
        ),
        ("ReadyOf", &["'{a,b}'::TEXT[]"], "jobs_ready"),
        ("RunningIn", &["'[\"a\",\"b\"]'"], "jobs_running"),
        ("UnpausedReady", &["7"], "others_ready"),
        ("UnpausedQueues", &["7", "5"], "jobs_ready"),
        ("PausedBacklog", &["7"], "counts_queue"),
        ("ClaimOthers", &CLAIM_OTHERS, "others_ready"),
        ("ClaimOthers", &CLAIM_OTHERS, "payloads_pkey"),
        ("ClaimOthersBehind", &CLAIM_OTHERS, "others_ready"),
        ("FoldCountsOf", &["'{a}'::TEXT[]"], "counts_queue"),
        ("Claim", &CLAIM, "jobs_ready"),
        ("Claim", &CLAIM, "payloads_pkey"),
        ("ClaimBehind", &CLAIM_BEHIND, "jobs_ready"),
        ("ClaimBehind", &CLAIM_BEHIND, "payloads_pkey"),
        ("Asks", &["1", "1"], "jobs_running"),
        ("Promote", &["1", "1", "5"], "jobs_due"),
        ("NextDue", &[], "jobs_due"),
        (
            "Release",
            &[
                ids,
                ids,
                ids,
                "'{5,5}'::SMALLINT[]",
                "'{1,1}'::INTEGER[]",
                "'{0,0}'::INTEGER[]",
                ids,
                ids,
                "'{t,t}'::BOOLEAN[]",
                "'{1,1}'::SMALLINT[]",
                "1",
                "-1",
            ],
            "jobs_pkey",
        ),
        ("GatedOf", &[ids, ids, ids], "jobs_pkey"),
        ("RemoveJobs", &[ids, "5"], "jobs_pkey"),
        ("RemoveJobs", &[ids, "5"], "attempts_pkey"),
        ("KeyRows", &["'[\"a\",\"b\"]'"], "job_limits_holding"),
        ("KeyRows", &["'[\"a\",\"b\"]'"], "job_limits_admitted"),
        ("KeyRows", &["'[\"a\",\"b\"]'"], "job_limits_parked"),
        ("KeyRows", &["'[\"a\",\"b\"]'"], "limit_keys_pkey"),
        (
            "NextParked",
            &["'{a,b}'::TEXT[]", "'{1,1}'::BIGINT[]"],
            "job_limits_parked",
        ),
        ("WakeParked", &["1", "'[1,2]'"], "jobs_pkey"),
        ("PutBack", &["1", "'[1,2]'"], "jobs_pkey"),
        ("LetThrough", &["'[1,2]'"], "job_limits_pkey"),
        ("HoldKeys", &["'[1,2]'"], "job_limits_pkey"),
        ("ClearRows", &["'[1,2]'"], "job_limits_pkey"),
        ("DueKeys", &["1", "5"], "limit_keys_wake"),
        ("KeysBehind", &["'a'", "5"], "job_limits_parked"),
        ("LockNamedJob", &["'x'"], "jobs_name"),
    ] {
        let plan = plan(name, values);
        assert!(plan.contains(index), "{name} does not use {index}:\n{plan}");
        assert!(
            !plan
                .lines()
                .any(|line| line.contains("Seq Scan on") && line.contains(".jobs")),
            "{name} walks over a table:\n{plan}"
        );
        assert!(
            matches!(
                name,
                "Shares"
                    | "SharesOf"
                    | "SharesWithin"
                    | "RunningIn"
                    | "Asks"
                    | "FoldCountsOf"
                    | "UnpausedQueues"
                    | "NextParked"
                    // Locks the jobs of a batch in the order of their numbers.
                    | "GatedOf"
            ) || !plan.contains("Sort"),
            "{name} sorts:\n{plan}"
        );
    }
    // The control: without its index the claim must fail this very check.
    let without = plan("Claim", &CLAIM);
    assert!(without.contains("jobs_ready"));
    conn.batch_execute("DROP INDEX jobs_ready").unwrap();
    let sql =
        "EXPLAIN SELECT id FROM jobs WHERE state = 1 AND queue = 'a' ORDER BY priority DESC, id LIMIT 5";
    let lines: Vec<Line> = diesel::sql_query(sql).load(&mut conn).unwrap();
    assert!(lines.iter().any(|line| line.line.contains("Sort")));
}

/// What claims pass over for a while, where looking at it takes long, are older jobs of the same queue and priority alone.
#[test]
fn claims_pass_over_what_was_claimed_and_nothing_else() {
    let Some((mut temp, _, _)) = open("claims_pass_over_what_was_claimed_and_nothing_else") else {
        return;
    };
    let (mut another, now) = (temp.another(), Timestamp(1000));
    let store = &mut temp.store;
    let new = new_node("mark");
    let (node, _guard, _listener) = store.enter_node(&new, now).unwrap();
    let of = |queue: &str, priority: i32| {
        valid(JobSpec {
            queue: Some(queue.parse().unwrap()),
            priority: Some(priority),
            ..JobSpec::line("true")
        })
    };
    let enqueue =
        |store: &mut Store, queue, priority| store.enqueue(&[of(queue, priority)], now).unwrap()[0].0;
    let cycle = |store: &mut Store, records: &[Record], claim| -> Vec<i64> {
        let cycle = Cycle {
            node,
            records,
            claim,
            queues: &Queues::All,
            now,
        };
        store
            .cycle(&cycle)
            .unwrap()
            .claimed
            .iter()
            .map(|job| job.id)
            .collect()
    };
    let ids: Vec<i64> = (0..4).map(|_| enqueue(store, "m", 5)).collect();
    let hour = Duration::from_secs(3600);
    store.set_long_claims(Duration::ZERO, hour);
    assert_eq!(cycle(store, &[], 2), ids[..2]);
    // One of them comes back. It is the oldest.
    let back = Record {
        job: JobId(ids[0]),
        fence: 1,
        node,
        change: transition(
            Standing {
                state: State::Processing,
                attempts: 1,
                system_failures: 0,
            },
            Event::Return,
        )
        .unwrap(),
        attempt: None,
        busy: MaybeBusy::No,
        is_limited: false,
    };
    assert_eq!(cycle(store, &[back], 1), ids[2..3], "it is passed over");
    store.set_long_claims(hour, hour);
    // Nothing else is: neither other priorities nor other queues.
    let (below, above) = (enqueue(store, "m", 4), enqueue(store, "m", 6));
    let (first, last) = (enqueue(store, "a", 5), enqueue(store, "z", 5));
    assert_eq!(cycle(store, &[], 1), [above]);
    let mut rest = cycle(store, &[], 9);
    rest.sort_unstable();
    assert_eq!(rest, [ids[3], below, first, last]);
    assert_eq!(
        store
            .counts(None)
            .unwrap()
            .iter()
            .map(|count| count.jobs)
            .sum::<u64>(),
        8
    );
    assert_eq!(store.check().unwrap().miscounted, 0);
    // Who has no such claim behind him finds it.
    assert_eq!(cycle(store, &[], 9), [0; 0]);
    assert_eq!(cycle(&mut another, &[], 9), [ids[0]]);
}

/// Every node looks at all others every second: that must not be a question to the server for each of them.
#[test]
fn however_many_nodes_there_are_their_leases_are_one_question() {
    let name = "claims::however_many_nodes_there_are_their_leases_are_one_question";
    let Some((mut temp, schema, mut conn)) = open(name) else {
        return;
    };
    let now = temp.store.now().unwrap();
    let mut guards = Vec::new();
    for number in 0..20 {
        let new = new_node(format!("cookie-{schema}-{number}"));
        guards.push(temp.store.enter_node(&new, now).unwrap());
    }
    // The server's clock counts how often it is asked.
    conn.batch_execute(&format!(
        "SET search_path = {schema}; CREATE SEQUENCE asked; CREATE OR REPLACE FUNCTION now_ms() RETURNS BIGINT LANGUAGE sql VOLATILE \
         SET search_path = {schema} AS $$ SELECT nextval('asked') - nextval('asked') + 1 + floor(extract(epoch FROM clock_timestamp()) * 1000)::BIGINT $$"
    ))
    .unwrap();
    let mut asked = || -> i64 {
        let sql = format!("SELECT last_value AS number FROM {schema}.asked");
        number(&mut conn, &sql).unwrap()
    };
    let before = asked();
    let looked = temp.store.nodes_to_take_over().unwrap();
    assert_eq!(looked.len(), 20);
    assert!(looked.iter().all(|(_, may_be_dead)| !may_be_dead), "they live");
    assert!(
        temp.store
            .nodes_with_lives()
            .unwrap()
            .iter()
            .all(|(_, lives)| *lives)
    );
    let looks = (asked() - before + 1) / 2;
    assert_eq!(looks, 2, "one for each look");
    // The control: what is asked of a single node is counted, too.
    assert!(temp.store.node_lives(looked[0].0.id).unwrap());
    assert_eq!((asked() - before + 1) / 2, 3);
    // A lease that is over, and a process of this machine that is gone.
    temp.store
        .renew_lease(looked[0].0.id, std::time::Duration::from_millis(0))
        .unwrap();
    guards.pop();
    let looked = temp.store.nodes_to_take_over().unwrap();
    let dead: Vec<usize> = (0..20).filter(|place| looked[*place].1).collect();
    assert_eq!(dead, [0, 19]);
}

/// A node can die between a claim and the question whether there is room, which are two transactions. `db:check` calls that
/// damage only if it stays.
#[test]
fn jobs_that_were_just_claimed_are_not_misplaced() {
    let Some((mut temp, schema, mut conn)) = open("jobs_that_were_just_claimed_are_not_misplaced") else {
        return;
    };
    let store = &mut temp.store;
    let change = LimitChange {
        running: Some(Some(1)),
        ..LimitChange::default()
    };
    store
        .set_limit(&"disk".parse().unwrap(), &change, Timestamp(1))
        .unwrap();
    let (node, _guard, _) = store.enter_node(&new_node("a"), Timestamp(1)).unwrap();
    let limited = valid(JobSpec {
        limit: vec!["disk".parse().unwrap()],
        ..JobSpec::line("true")
    });
    let jobs = store.enqueue(&[limited.clone(), limited], Timestamp(1)).unwrap();
    let claimed = store
        .cycle(&Cycle {
            node,
            records: &[],
            claim: 2,
            queues: &Queues::All,
            now: Timestamp(1),
        })
        .unwrap()
        .claimed;
    assert_eq!(claimed.len(), 1);
    assert_eq!(store.check().unwrap().misplaced, 0);
    let job = jobs[0];
    for asked in ["UPDATE job_limits SET phase = 3", "DELETE FROM job_limits"] {
        let mut since = |seconds: u32| {
            conn.batch_execute(&format!(
                "SET search_path = {schema}; {asked} WHERE job_id = {job}; UPDATE jobs SET updated_at = \
                 extract(epoch FROM clock_timestamp()) * 1000 - {seconds} * 1000 WHERE id = {job}"
            ))
            .unwrap();
            store.check().unwrap().misplaced
        };
        assert_eq!(since(1), 0, "{asked}");
        assert!(since(61) > 0, "{asked}");
    }
}

/// A claim in one statement does not know of a start that was made meanwhile; the node then asks. What others find until it does says
/// that the job was started, and stays. One that counts no more is removed.
#[test]
fn a_start_is_left_to_the_node_that_has_just_claimed_the_job() {
    let Some((mut temp, schema, mut conn)) =
        open("a_start_is_left_to_the_node_that_has_just_claimed_the_job")
    else {
        return;
    };
    let mut another = temp.another();
    let store = &mut temp.store;
    let (node, _guard, _) = store.enter_node(&new_node("a"), Timestamp(1)).unwrap();
    let (other, _other_guard, _) = another.enter_node(&new_node("b"), Timestamp(1)).unwrap();
    let held = valid(JobSpec {
        hold: Some(true),
        ..JobSpec::line("true")
    });
    let jobs = store
        .enqueue(&[held.clone(), held.clone(), held], Timestamp(1))
        .unwrap();
    for job in &jobs[..2] {
        let job = JobRef::Number(*job);
        let filter = JobFilter::default();
        store
            .change_named(&job, MassChange::Start, &filter, Timestamp(2))
            .unwrap();
    }
    let cycle = |node, claim| Cycle {
        node,
        records: &[],
        claim,
        queues: &Queues::All,
        now: Timestamp(3),
    };
    let claimed = store.cycle(&cycle(node, 1)).unwrap().claimed;
    assert_eq!(claimed.iter().map(|job| job.id).collect::<Vec<_>>(), [jobs[0].0]);
    // The one is as a claim in one statement leaves it; the other was changed since it was started.
    conn.batch_execute(&format!(
        "SET search_path = {schema}; UPDATE starts SET claimed = FALSE; UPDATE jobs SET updated_at = 9 WHERE id = {}",
        jobs[1]
    ))
    .unwrap();
    another.cycle(&cycle(other, 9)).unwrap();
    another.tidy_up().unwrap();
    let mut left = |job: JobId| {
        number(
            &mut conn,
            &format!("SELECT count(*) AS number FROM starts WHERE job_id = {job}"),
        )
        .unwrap()
    };
    assert_eq!((left(jobs[0]), left(jobs[1])), (1, 0));
}
