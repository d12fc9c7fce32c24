//! What a table does not take, and what somebody else wrote.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{Nullable, Text};
use queuectl_core::{Event, JobId, OutcomeKind, Payload, State};
use queuectl_storage::{Claimed, Cycle, Queues, Record, Store};
use queuectl_testkit::{conformance, job, new_node, record};

use super::open;

#[test]
fn rows_that_cannot_be_read_are_listed_and_do_not_run() {
    let name = "rows_that_cannot_be_read_are_listed_and_do_not_run";
    let Some((temp, schema, mut conn)) = open(name) else {
        return;
    };
    conn.batch_execute(&format!("SET search_path = {schema}"))
        .unwrap();
    let mut sql = |sql: &str| conn.batch_execute(sql).unwrap();
    conformance::rows_that_cannot_be_read_are_listed_and_do_not_run(temp, &mut sql);
}

#[test]
fn a_hook_that_cannot_be_read_is_reported() {
    let Some((temp, schema, mut conn)) = open("a_hook_that_cannot_be_read_is_reported") else {
        return;
    };
    conn.batch_execute(&format!("SET search_path = {schema}"))
        .unwrap();
    let mut sql = |sql: &str| conn.batch_execute(sql).unwrap();
    conformance::a_hook_that_cannot_be_read_is_reported(temp, &mut sql);
}

#[test]
fn a_label_that_changed_is_reported() {
    let Some((temp, schema, mut conn)) = open("a_label_that_changed_is_reported") else {
        return;
    };
    conn.batch_execute(&format!("SET search_path = {schema}"))
        .unwrap();
    let mut sql = |sql: &str| conn.batch_execute(sql).unwrap();
    conformance::a_label_that_changed_is_reported(temp, &mut sql);
}

#[test]
fn an_outcome_that_is_refused_holds_up_no_other() {
    let Some((temp, schema, mut conn)) = open("an_outcome_that_is_refused_holds_up_no_other") else {
        return;
    };
    conn.batch_execute(&format!("SET search_path = {schema}"))
        .unwrap();
    let mut sql = |sql: &str| conn.batch_execute(sql).unwrap();
    conformance::an_outcome_that_is_refused_holds_up_no_other(temp, &mut sql);
}

/// Jobs whose payload is gone stand in cursor of the others, more of them than a claim takes.
#[test]
fn jobs_without_payload_do_not_stop_their_queue() {
    let Some((mut temp, schema, mut conn)) = open("jobs_without_payload_do_not_stop_their_queue") else {
        return;
    };
    let now = temp.store.now().unwrap();
    let jobs: Vec<_> = (0..20).map(|n| job(&format!("echo {n}"))).collect();
    temp.store.enqueue(&jobs, now).unwrap();
    conn.batch_execute(&format!("DELETE FROM {schema}.payloads WHERE job_id <= 10"))
        .unwrap();
    let (node, _guard, _) = temp
        .store
        .enter_node(&new_node(format!("cookie-{schema}")), now)
        .unwrap();
    let claimed = claim(&mut temp.store, node, 5);
    assert_eq!(claimed.iter().filter(|job| job.is_intact()).count(), 0);
    assert_eq!(claimed.len(), 5, "they are the node's to end");
    claim(&mut temp.store, node, 5);
    assert!(
        claim(&mut temp.store, node, 5).iter().all(Claimed::is_intact),
        "and then come the others"
    );
}

fn claim(store: &mut Store, node: queuectl_core::NodeId, claim: u32) -> Vec<Claimed> {
    let now = store.now().unwrap();
    let cycle = Cycle {
        node,
        records: &[],
        claim,
        queues: &Queues::All,
        now,
    };
    store.cycle(&cycle).unwrap().claimed
}

/// A rule of the table takes a job's output, or its reason, for something that it does not want.
#[test]
fn what_a_table_does_not_take_is_left_out_and_nothing_else() {
    let Some((mut temp, schema, mut conn)) = open("what_a_table_does_not_take_is_left_out_and_nothing_else")
    else {
        return;
    };
    conn.batch_execute(&format!(
        "ALTER TABLE {schema}.outputs ADD CHECK (head <> 'output'); ALTER TABLE {schema}.attempts ADD CHECK (message <> 'reason')"
    ))
    .unwrap();
    let now = temp.store.now().unwrap();
    let ids = temp
        .store
        .enqueue(
            &[job("output"), job("reason"), job("both"), job("bystander")],
            now,
        )
        .unwrap();
    let (node, _guard, _) = temp
        .store
        .enter_node(&new_node(format!("cookie-{schema}")), now)
        .unwrap();
    let claimed = claim(&mut temp.store, node, 4);
    let records: Vec<Record> = claimed
        .iter()
        .map(|job| {
            let mut record = record(
                job,
                node,
                Event::Fail { retry_at: None },
                OutcomeKind::Failed,
                now,
            );
            let attempt = record.attempt.as_mut().unwrap();
            if ["output", "both"].iter().any(|line| job.payload.contains(line)) {
                attempt.output.head = b"output".to_vec();
            }
            if ["reason", "both"].iter().any(|line| job.payload.contains(line)) {
                "reason".clone_into(&mut attempt.outcome.message);
            }
            record
        })
        .collect();
    let cycle = Cycle {
        node,
        records: &records,
        claim: 0,
        queues: &Queues::All,
        now,
    };
    assert_eq!(temp.store.cycle(&cycle).unwrap().stale, []);
    let mut found = |id: JobId| {
        let attempt = temp.store.attempts(id).unwrap().remove(0);
        assert_eq!(
            temp.store.job(&queuectl_core::JobRef::Number(id)).unwrap().state,
            State::Dead
        );
        (attempt.outcome.message, attempt.output.head)
    };
    assert_eq!(found(ids[0]), ("it broke".to_owned(), Vec::new()));
    let unsaid = "the database did not take the reason".to_owned();
    assert_eq!(found(ids[1]), (unsaid.clone(), Vec::new()));
    assert_eq!(found(ids[2]), (unsaid, Vec::new()));
    assert_eq!(found(ids[3]), ("it broke".to_owned(), b"out\xff".to_vec()));
}

/// The SQL functions and the program refuse the same payloads.
#[test]
fn there_is_one_list_of_rules_for_payloads() {
    let Some((_temp, schema, mut conn)) = open("there_is_one_list_of_rules_for_payloads") else {
        return;
    };
    #[derive(QueryableByName)]
    struct Fault {
        #[diesel(sql_type = Nullable<Text>)]
        fault: Option<String>,
    }
    let nested = |levels: usize| {
        format!(
            "{{\"payload\":{{\"a\":{}1{}}}}}",
            "[".repeat(levels),
            "]".repeat(levels)
        )
    };
    let words = |count: usize| format!("{{\"command\":[{}\"a\"]}}", "\"a\",".repeat(count - 1));
    let names = |count: usize| {
        let pairs: Vec<String> = (0..count).map(|n| format!("\"A{n}\":\"\"")).collect();
        format!("{{\"command\":\"a\",\"env\":{{{}}}}}", pairs.join(","))
    };
    let long = |bytes: usize| format!("{{\"command\":\"{}\"}}", "x".repeat(bytes - 14));
    let mut refused = 0;
    let texts = [
        r#"{"command":"a"}"#,
        r#"{"command":"  "}"#,
        r#"{"command":"a\u0000"}"#,
        r#"{"command":"a\\u0000"}"#,
        r#"{"command":""}"#,
        r#"{"command":[]}"#,
        r#"{"command":[""]}"#,
        r#"{"command":[" "]}"#,
        r#"{"command":["a",null]}"#,
        r#"{"command":["a",["b"]]}"#,
        r#"{"command":["a","b\u0000"]}"#,
        r#"{"command":3}"#,
        r#"{"command":null}"#,
        r#"{"command":null,"payload":{}}"#,
        r#"{"command":"a","payload":null}"#,
        r#"{"command":"a","payload":[]}"#,
        r#"{"payload":{"a":{"b":1,"b":2}}}"#,
        r#"{"payload":{"a":[{"b":1},{"b":1}]}}"#,
        r#"{"payload":{"a":1e400}}"#,
        r#"{"payload":{"a":-1e400}}"#,
        r#"{"payload":{"a":1e308,"b":1e-400,"c":123456789012345678901234567890,"d":-0}}"#,
        r#"{"payload":{"a":"\u0000"}}"#,
        r#"{"command":"a","env":null}"#,
        r#"{"command":"a","env":{"A":null}}"#,
        r#"{"command":"a","env":{"":"b"}}"#,
        r#"{"command":"a","env":{"A=B":"c"}}"#,
        r#"{"command":"a","env":{"A":"b\u0000"}}"#,
        r#"{"command":"a","env":{"A":"b"},"cwd":"/tmp","stdin":"x\u0000y"}"#,
        r#"{"command":"a","cwd":null,"stdin":null}"#,
        r#"{"command":"a","cwd":""}"#,
        r#"{"command":"a","cwd":"sub"}"#,
        r#"{"command":"a","cwd":"C:\\sub"}"#,
        r#"{"command":"a","cwd":"/a\u0000"}"#,
        r#"{"command":"a","cwd":3}"#,
        r#"{"command":"a","stdin":3}"#,
        r#"{"command":"a","command":"b"}"#,
        r#"{"command":"a","more":1}"#,
        r#"{"command":"\ud800"}"#,
        "[]",
        "null",
        "",
        "nonsense",
        "{} {}",
    ];
    let made = [
        nested(98),
        nested(99),
        nested(3000),
        words(4096),
        words(4097),
        names(4096),
        names(4097),
    ];
    let sizes = [long(1_048_576), long(1_048_577)];
    let all = texts
        .iter()
        .map(|text| (*text).to_owned())
        .chain(made)
        .chain(sizes);
    for text in all {
        let program = serde_json::from_str::<Payload>(&text)
            .map_err(|error| error.to_string())
            .and_then(|payload| payload.to_stored().map_err(|error| error.to_string()));
        let query = diesel::sql_query(format!("SELECT {schema}.payload_fault($1) AS fault"));
        let server = match query.bind::<Text, _>(&text).get_result::<Fault>(&mut conn) {
            Ok(Fault { fault: None }) => Ok(()),
            Ok(Fault { fault: Some(fault) }) => Err(fault),
            Err(error) => Err(error.to_string()),
        };
        assert_eq!(
            program.is_ok(),
            server.is_ok(),
            "{text:.200}: {program:?} {server:?}"
        );
        refused += usize::from(program.is_err());
    }
    assert!(refused > 30, "{refused}");
}
