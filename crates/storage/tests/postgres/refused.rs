//! What a table does not take, and what somebody else wrote.

use diesel::connection::SimpleConnection;
use queuectl_core::{Event, JobId, OutcomeKind, State};
use queuectl_storage::{Claimed, Queues, Record, Store, Turn};
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
fn an_outcome_that_is_refused_holds_up_no_other() {
    let Some((temp, schema, mut conn)) = open("an_outcome_that_is_refused_holds_up_no_other") else {
        return;
    };
    conn.batch_execute(&format!("SET search_path = {schema}"))
        .unwrap();
    let mut sql = |sql: &str| conn.batch_execute(sql).unwrap();
    conformance::an_outcome_that_is_refused_holds_up_no_other(temp, &mut sql);
}

/// Jobs whose payload is gone stand in front of the others, more of them than a claim takes.
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
    let turn = Turn {
        node,
        records: &[],
        claim,
        queues: &Queues::All,
        now,
    };
    store.turn(&turn).unwrap().claimed
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
    let turn = Turn {
        node,
        records: &records,
        claim: 0,
        queues: &Queues::All,
        now,
    };
    assert_eq!(temp.store.turn(&turn).unwrap().stale, []);
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
