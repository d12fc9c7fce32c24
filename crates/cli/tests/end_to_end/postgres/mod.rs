//! What is only so on PostgreSQL: leases, a server that goes away, passwords, schemas beside those of others.
//!
//! These run with all others, on the server for tests, and skip themselves where there is none.

mod busy;
mod clocks;
mod held;
mod library;
mod lost;
mod machines;
mod net;
mod proxy;
mod refused;
mod rejoin;
mod secrets;
mod server;
mod storm;
mod stuck;
mod tls;
mod unreadable;

use std::time::{Duration, Instant};

use proxy::{Mode, Proxy};

use crate::support::unix::{lives, wait_gone};
use crate::support::{Node, Queue, finish, history, wait_until};

/// The shortest lease that can be set.
const LEASE: Duration = Duration::from_secs(5);

/// A queue, and the same queue for a node whose way to the server is by a proxy.
fn by_proxy(test: &str, settings: &[(&str, &str)]) -> Option<(Queue, Proxy)> {
    let queue = Queue::postgres(test)?;
    for (key, value) in settings {
        queue.ok(["config:set", key, value]);
    }
    let proxy = Proxy::new(queue.location().to_str().unwrap());
    Some((queue, proxy))
}

/// Starts a node whose way to the server is by the proxy, and waits until it runs.
fn start(queue: &Queue, proxy: &Proxy) -> Node {
    let location = proxy.location(queue.location().to_str().unwrap());
    let node = Node::start_command(queue, &["worker:start"], |command| {
        command.env("QUEUECTL_DB", location);
    });
    node.wait_log("node started");
    node
}

/// Does not go when it is asked to.
const STUBBORN: &str = "trap '' TERM; echo $$ >> pids; while :; do sleep 1000; done";

/// The server answers no client any more, so that even the dispatcher is stuck in the middle of a call. The jobs are
/// gone before their lease is over, another node has them then, and the first one comes back as a new node.
#[test]
fn a_node_cut_off_from_the_server_stops_its_jobs_before_its_lease_is_over() {
    let name = "postgres::a_node_cut_off_from_the_server_stops_its_jobs_before_its_lease_is_over";
    let Some((queue, proxy)) = by_proxy(name, &[("lease", "5s"), ("backoff_cap", "20ms")]) else {
        return;
    };
    let node = start(&queue, &proxy);
    let id = queue.enqueue([STUBBORN]);
    let pid = queue.wait_pid("pids");
    // The control: another queue's node, as cut off, with a lease that is not over so soon.
    let (patient, _) = by_proxy(name, &[("lease", "1h")]).unwrap();
    let _patient_node = start(&patient, &proxy);
    patient.enqueue([STUBBORN]);
    let control = patient.wait_pid("pids");

    let cut_off = Instant::now();
    proxy.set(Mode::Frozen);
    wait_gone(pid, "the job");
    let took = cut_off.elapsed();
    assert!(took < LEASE, "its lease may have been over after {took:?}");
    assert!(lives(control), "the control");

    let other = queue.start(&[]);
    queue.wait_lines("pids", 2);
    assert!(cut_off.elapsed() > LEASE / 2, "not before the lease was over");
    other.wait_log("rescued a dead node's jobs");
    let job = queue.job(&id);
    assert_eq!(history(&job), ["1 lost"], "{job}");
    assert_eq!(job["attempts"], 2);

    proxy.set(Mode::Open);
    node.wait_log("registering again");
    wait_until("two living nodes", || {
        let nodes = queue.json(["worker:list"]);
        let nodes = nodes.as_array().unwrap();
        nodes.len() == 2 && nodes.iter().all(|node| node["state"] == "running")
    });
    let bystander = queue.enqueue(["true"]);
    let ran = queue.wait_state(&bystander, "completed");
    assert_eq!(ran["attempt_history"][0]["node"], 3, "the other is busy: {ran}");
    assert_eq!(history(&queue.job(&id)), ["1 lost"], "nothing came late");
}

/// A server restarts. No other node takes over, so the node continues where it was.
#[test]
fn a_node_outlives_a_restart_of_the_server() {
    let name = "postgres::a_node_outlives_a_restart_of_the_server";
    let Some((queue, proxy)) = by_proxy(name, &[]) else {
        return;
    };
    let gate = queue.gate("gate");
    let node = start(&queue, &proxy);
    let id = queue.enqueue([crate::support::GATED]);
    queue.wait_lines("started", 1);
    proxy.set(Mode::Closed);
    // It ends while its end cannot be recorded.
    gate.open();
    node.wait_log("cannot use the store, trying again");
    assert_eq!(queue.state(&id), "processing");
    proxy.set(Mode::Open);
    node.wait_log("the store is available again");
    let job = queue.wait_state(&id, "completed");
    assert_eq!(history(&job), ["1 succeeded"]);
    // The wake-ups are back, too.
    queue.ok(["config:set", "poll_interval", "1h"]);
    let next = queue.enqueue(["true"]);
    queue.wait_state(&next, "completed");
}

/// A server that is away for longer than a lease, and no other node: the job is asked to stop, loses no attempt,
/// and runs again when the server is back.
#[test]
fn a_node_goes_on_when_the_server_is_back_after_its_lease() {
    let name = "postgres::a_node_goes_on_when_the_server_is_back_after_its_lease";
    let Some((queue, proxy)) = by_proxy(name, &[("lease", "5s")]) else {
        return;
    };
    let node = start(&queue, &proxy);
    let id = queue.enqueue([
        "trap 'echo asked >> stopped; exit 1' TERM; echo $$ >> pids; while [ ! -e go ]; do sleep 0.01; done",
    ]);
    let pid = queue.wait_pid("pids");
    let cut_off = Instant::now();
    proxy.set(Mode::Closed);
    wait_gone(pid, "the job");
    assert!(cut_off.elapsed() < LEASE);
    assert_eq!(queue.lines("stopped"), ["asked"]);
    queue.write("go", "");
    // Still away when the lease is over, as the server's clock has it.
    wait_until("the end of the lease", || {
        queue.json(["worker:list"])[0]["state"] == "dead"
    });
    proxy.set(Mode::Open);
    node.wait_log("lease renewed again");
    let job = queue.wait_state(&id, "completed");
    assert_eq!(
        (&job["attempts"], queue.lines("pids").len()),
        (&1.into(), 2),
        "{job}"
    );
    assert_eq!(queue.json(["worker:list"])[0]["id"], 1);
}

/// The same while the dispatcher is stuck in a call, so that the job cannot be asked to stop and its worker process is
/// killed with it. That is no crash of the job's.
#[test]
fn a_job_that_is_killed_for_the_lease_loses_no_attempt() {
    let name = "postgres::a_job_that_is_killed_for_the_lease_loses_no_attempt";
    let Some((queue, proxy)) = by_proxy(name, &[("lease", "5s"), ("max_retries", "0")]) else {
        return;
    };
    let node = start(&queue, &proxy);
    let id = queue.enqueue(["echo $$ >> pids; while [ ! -e go ]; do sleep 0.01; done"]);
    let pid = queue.wait_pid("pids");
    let cut_off = Instant::now();
    proxy.set(Mode::Frozen);
    wait_gone(pid, "the job");
    assert!(cut_off.elapsed() < LEASE);
    queue.write("go", "");
    proxy.set(Mode::Open);
    node.wait_log("lease about to expire and the dispatcher does not respond; killed all running jobs");
    let job = queue.wait_state(&id, "completed");
    assert_eq!(history(&job), ["1 returned", "2 succeeded"], "{job}");
    // The control: a worker process that dies otherwise.
    let crash = queue.enqueue(["kill -9 $PPID; sleep 1000"]);
    let job = queue.wait_state(&crash, "dead");
    assert_eq!(history(&job), ["1 crashed"], "{job}");
}

/// Several queues in one database, each in its schema, beside what belongs to others.
#[test]
fn queues_have_schemas_of_their_own() {
    let name = "postgres::queues_have_schemas_of_their_own";
    let (Some(one), Some(two)) = (Queue::postgres(name), Queue::postgres(name)) else {
        return;
    };
    one.enqueue(["echo one"]);
    assert_eq!(two.enqueue(["echo two"]), "1");
    assert_eq!(two.drain(&[]), 0);
    assert_eq!(
        (one.state("1"), two.state("1")),
        ("pending".to_owned(), "completed".to_owned())
    );
    // It says where it is.
    let schema = one
        .location()
        .to_str()
        .unwrap()
        .split("schema=")
        .nth(1)
        .unwrap()
        .to_owned();
    let db = one.json(["status"])["db"].as_str().unwrap().to_owned();
    assert!(db.contains(&schema), "{db}");
}

#[test]
fn a_schema_that_is_not_there_is_not_made_by_looking() {
    let name = "postgres::a_schema_that_is_not_there_is_not_made_by_looking";
    let Some(queue) = Queue::postgres(name) else {
        return;
    };
    for command in ["list", "status", "worker:list"] {
        let done = queue.run([command]);
        assert!(
            done.err.contains("there is no queue yet at "),
            "{command}: {}",
            done.err
        );
        done.ok();
    }
    assert!(
        queue
            .fails(5, ["db:check"])
            .contains("there is no queue here yet")
    );
    queue.enqueue(["true"]);
    assert_eq!(queue.jobs().len(), 1);
}

/// A pooler that hands sessions around would have the statements of one queue run on another's tables. A session that
/// was used before is what gives it away.
#[test]
fn sessions_that_a_pooler_hands_around_are_refused() {
    let name = "postgres::sessions_that_a_pooler_hands_around_are_refused";
    let Some(queue) = Queue::postgres(name) else {
        return;
    };
    queue.enqueue(["true"]);
    let location = queue.location().into_string().unwrap();
    let pooled = format!("{location}&options=-cqueuectl.session%3Dsession_of_another_client");
    for words in [&["list"][..], &["enqueue", "true"], &["worker:start"]] {
        let mut command = queue.bare();
        command.env("QUEUECTL_DB", &pooled).args(words);
        let said = finish(command, None).fails(5);
        assert!(said.contains("pool_mode = session"), "{said}");
    }
    assert_eq!(queue.jobs().len(), 1);
}
