//! kill -9 of what a container does not depend on: worker processes, nodes, the engine.
//!
//! A container runs before its worker process has told of it, and can be taken over only after that: a test that
//! kills a worker process waits for "job started" first.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::docker::{job, plain, queue_with, scene};
use crate::support::engine::Engine;
use crate::support::unix::send;
use crate::support::{Queue, history, wait_for, wait_until};

/// Says that it runs, waits at the gate, and prints before and after.
const GATED: &str = "yes 0123456789 | head -c 20000; echo; printf '\\377\\n'; echo $QUEUECTL_FENCE >> /shared/started; \
                     read x < /shared/gate; echo after";
/// All that it prints, also what is no text.
const PRINTED: usize = 20_000 + 1 + 2 + 6;

#[test]
fn another_worker_process_takes_a_container_over() {
    let Some(scene) = scene("another_worker_process_takes_a_container_over") else {
        return;
    };
    let queue = &scene.queue;
    let gate = queue.gate("shared/gate");
    let node = queue.start(&[]);
    let id = plain(queue, GATED);
    queue.wait_lines("shared/started", 1);
    node.wait_log("job started job=1 plugin=docker");
    let before = scene.containers().remove(0);
    let worker = node.workers(1)[0];
    send(worker, Signal::SIGKILL);
    node.wait_log("worker process started again");
    gate.open();
    wait_until("the job to end", || queue.state(&id) == "completed");
    let job = queue.job(&id);
    assert_eq!(history(&job), ["1 succeeded"], "{job}");
    assert_eq!(queue.lines("shared/started"), ["1"], "it ran once");
    assert_eq!(job["attempt_history"][0]["output_bytes"], PRINTED, "{job}");
    assert!(queue.run(["logs", &id]).text().ends_with("\nafter\n"));
    assert_eq!(before["Names"][0].as_str().unwrap().rsplit('-').next(), Some("1"));
    scene.wait_no_containers();
}

#[test]
fn a_container_that_ended_meanwhile_is_taken_over_too() {
    let Some(scene) = scene("a_container_that_ended_meanwhile_is_taken_over_too") else {
        return;
    };
    let queue = &scene.queue;
    let gate = queue.gate("shared/gate");
    let node = queue.start(&[]);
    let id = plain(
        queue,
        "echo 1 >> /shared/started; read x < /shared/gate; echo after; exit 5",
    );
    queue.wait_lines("shared/started", 1);
    node.wait_log("job started job=1 plugin=docker");
    // While the dispatcher is suspended, no node takes over.
    node.signal(Signal::SIGSTOP);
    send(node.workers(1)[0], Signal::SIGKILL);
    gate.open();
    wait_until("the container to end", || {
        scene.containers()[0]["State"] == "exited"
    });
    node.signal(Signal::SIGCONT);
    let job = queue.wait_state(&id, "dead");
    assert_eq!(history(&job), ["1 failed"], "{job}");
    assert_eq!(job["attempt_history"][0]["exit_code"], 5);
    assert_eq!(queue.run(["logs", &id]).text(), "after\n");
    scene.wait_no_containers();
}

#[test]
fn a_container_that_somebody_removed_is_a_system_failure() {
    let Some(scene) = scene("a_container_that_somebody_removed_is_a_system_failure") else {
        return;
    };
    let queue = &scene.queue;
    let gate = queue.gate("shared/gate");
    let node = queue.start(&[]);
    let id = plain(queue, GATED);
    queue.wait_lines("shared/started", 1);
    node.wait_log("job started job=1 plugin=docker");
    node.signal(Signal::SIGSTOP);
    send(node.workers(1)[0], Signal::SIGKILL);
    scene.engine.remove(scene.containers()[0]["Id"].as_str().unwrap());
    node.signal(Signal::SIGCONT);
    queue.wait_lines("shared/started", 2);
    gate.open();
    let job = queue.wait_state(&id, "completed");
    assert_eq!(history(&job), ["1 system_failure", "2 succeeded"], "{job}");
    let why = job["attempt_history"][0]["error"].as_str().unwrap();
    assert!(why.contains("is not there"), "{why}");
}

#[test]
fn containers_of_a_dead_node_are_gone_before_their_jobs_run_again() {
    let Some(scene) = scene("containers_of_a_dead_node_are_gone_before_their_jobs_run_again") else {
        return;
    };
    let queue = &scene.queue;
    let gate = queue.gate("shared/gate");
    let mut node = queue.start(&["--concurrency", "2"]);
    let again = job(queue, GATED.into(), json!({}), json!({"max_retries": 1}));
    let never = plain(queue, "echo 1 > /shared/never; sleep 1000");
    queue.wait_lines("shared/started", 1);
    queue.wait_lines("shared/never", 1);
    let store = scene.containers()[0]["Labels"]["queuectl.store"]
        .as_str()
        .unwrap()
        .to_owned();
    let description = json!({
        "Cmd": ["sleep", "1000"],
        "Labels": {"queuectl.store": "another", "queuectl.mark": "another.dead", "queuectl.job": "1", "queuectl.fence": "1"},
    });
    let bystander = scene.engine.create(&format!("bystander-{store}"), &description);
    scene.engine.post(&format!("/containers/{bystander}/start"));
    // All at once: nothing can clean up, and the containers live on.
    node.signal(Signal::SIGSTOP);
    node.workers(1).iter().for_each(|pid| send(*pid, Signal::SIGKILL));
    node.kill_dispatcher();
    assert!(
        scene
            .containers()
            .iter()
            .all(|container| container["State"] == "running")
    );
    assert_eq!(scene.containers().len(), 2);

    let _other = queue.start(&["--concurrency", "2"]);
    queue.wait_lines("shared/started", 2);
    let of = |id: &str| {
        let mut found = scene.containers();
        found.retain(|container| container["Labels"]["queuectl.job"] == id);
        found
    };
    let now = of(&again);
    assert_eq!(now.len(), 1, "the first attempt's is gone");
    assert_eq!(now[0]["Labels"]["queuectl.fence"], "2");
    let dead = queue.wait_state(&never, "dead");
    assert_eq!(history(&dead), ["1 lost"]);
    wait_until("the orphan of a job that does not run again to go", || {
        of(&never).is_empty()
    });
    assert_eq!(of(&again).len(), 1, "what lives stays");
    gate.open();
    let job = queue.wait_state(&again, "completed");
    assert_eq!(history(&job), ["1 lost", "2 succeeded"]);
    assert_eq!(
        scene.engine.containers(&format!("bystander-{store}"))[0]["State"],
        "running"
    );
    scene.engine.remove(&bystander);
    scene.wait_no_containers();
}

/// With it, containers outlive their engine.
const OUTLIVED: &[&str] = &["--live-restore"];

/// An engine of the test's own, with options for dockerd, and a queue with it.
fn own_engine(test: &str, options: &[&'static str]) -> Option<(Engine, Queue)> {
    match Engine::start(options) {
        Ok(engine) => {
            let queue = queue_with(&engine);
            Some((engine, queue))
        }
        Err(why) => {
            queuectl_testkit::skipped(test, &why);
            None
        }
    }
}

#[test]
fn a_restarted_engine_costs_nothing_if_containers_outlive_it() {
    let Some((mut engine, queue)) = own_engine(
        "a_restarted_engine_costs_nothing_if_containers_outlive_it",
        OUTLIVED,
    ) else {
        return;
    };
    let gate = queue.gate("shared/gate");
    let node = queue.start(&[]);
    let id = plain(&queue, GATED);
    queue.wait_lines("shared/started", 1);
    node.wait_log("job started job=1 plugin=docker");
    engine.stop();
    node.wait_log("job lost");
    engine.run();
    node.wait_log("job found");
    gate.open();
    let job = queue.wait_state(&id, "completed");
    assert_eq!(history(&job), ["1 succeeded"], "{job}");
    assert_eq!(
        job["attempt_history"][0]["output_bytes"], PRINTED,
        "nothing twice, nothing lost: {job}"
    );
    wait_until("the container to be gone", || {
        engine.containers("queuectl-").is_empty()
    });
}

/// A job that waits at the gate and ends with that status.
fn ends_with(queue: &Queue, code: u8, more: Value) -> String {
    let command = format!(
        "echo $QUEUECTL_JOB_ID >> /shared/started; read x < /shared/gate; echo >> /shared/ended; exit {code}"
    );
    job(queue, command.into(), json!({}), more)
}

/// A job completed, but only with its second attempt.
fn assert_not_believed(job: &Value) {
    assert_eq!(history(job), ["1 system_failure", "2 succeeded"], "{job}");
    let why = job["attempt_history"][0]["error"].as_str().unwrap();
    assert!(why.contains("whether it ended well is not known"), "{why}");
}

/// An engine that was away may say 0 of a container without knowing; whatever else it says is true.
#[test]
fn that_a_container_ended_well_while_its_engine_was_away_is_not_believed() {
    let Some((mut engine, queue)) = own_engine(
        "that_a_container_ended_well_while_its_engine_was_away_is_not_believed",
        OUTLIVED,
    ) else {
        return;
    };
    let gate = queue.gate("shared/gate");
    let node = queue.start(&["--concurrency", "2"]);
    let (good, bad) = (ends_with(&queue, 0, json!({})), ends_with(&queue, 3, json!({})));
    queue.wait_lines("shared/started", 2);
    node.wait_log("job started job=1 plugin=docker");
    node.wait_log("job started job=2 plugin=docker");
    engine.stop();
    node.wait_log("job lost job=1");
    node.wait_log("job lost job=2");
    gate.open();
    gate.open();
    queue.wait_lines("shared/ended", 2);
    // Who takes the runs over has seen nothing of that, and an engine that is there.
    node.signal(Signal::SIGSTOP);
    send(node.workers(1)[0], Signal::SIGKILL);
    engine.run();
    node.signal(Signal::SIGCONT);
    // For the second attempt.
    gate.open();
    assert_not_believed(&queue.wait_state(&good, "completed"));
    let bad = queue.wait_state(&bad, "dead");
    assert_eq!(history(&bad), ["1 failed"], "{bad}");
    assert_eq!(bad["attempt_history"][0]["exit_code"], 3);
    wait_until("the containers to be gone", || {
        engine.containers("queuectl-").is_empty()
    });
}

/// If a service manager holds the engine's socket, no client is turned away while it restarts.
#[test]
fn an_engine_that_is_away_without_turning_anybody_away_is_noticed() {
    let Some((mut engine, queue)) = own_engine(
        "an_engine_that_is_away_without_turning_anybody_away_is_noticed",
        OUTLIVED,
    ) else {
        return;
    };
    queue.ok(["config:set", "docker.host", &way(&queue, &engine, |_| false)]);
    let gate = queue.gate("shared/gate");
    let node = queue.start(&[]);
    let id = ends_with(&queue, 0, json!({}));
    queue.wait_lines("shared/started", 1);
    node.wait_log("job started job=1 plugin=docker");
    engine.stop();
    node.wait_log("job lost");
    gate.open();
    queue.wait_lines("shared/ended", 1);
    engine.run();
    gate.open();
    assert_not_believed(&queue.wait_state(&id, "completed"));
}

/// An engine that is stopped stops its containers, tells how that went, and is gone.
#[test]
fn that_an_engine_stopped_a_container_is_not_how_its_job_ended() {
    let Some((mut engine, queue)) =
        own_engine("that_an_engine_stopped_a_container_is_not_how_its_job_ended", &[])
    else {
        return;
    };
    let node = queue.start(&[]);
    let once = "test -e /shared/started && exit; trap 'exit 0' TERM; echo >> /shared/started; \
                while sleep 0.05; do :; done";
    let id = plain(&queue, once);
    queue.wait_lines("shared/started", 1);
    node.wait_log("job started job=1 plugin=docker");
    engine.stop();
    engine.run();
    assert_not_believed(&queue.wait_state(&id, "completed"));
}

/// Input that was on its way when the engine went away is lost, and the container takes that for the end.
#[test]
fn a_container_with_input_is_not_believed_after_its_engine_was_away() {
    let Some((mut engine, queue)) = own_engine(
        "a_container_with_input_is_not_believed_after_its_engine_was_away",
        OUTLIVED,
    ) else {
        return;
    };
    let gate = queue.gate("shared/gate");
    let node = queue.start(&[]);
    let id = ends_with(&queue, 0, json!({"stdin": "some"}));
    queue.wait_lines("shared/started", 1);
    node.wait_log("job started job=1 plugin=docker");
    engine.stop();
    node.wait_log("job lost");
    engine.run();
    node.wait_log("job found");
    gate.open();
    queue.wait_lines("shared/started", 2);
    gate.open();
    assert_not_believed(&queue.wait_state(&id, "completed"));
}

/// Also by a node that has no job for a container.
#[test]
fn the_container_of_a_job_that_does_not_run_again_goes_too() {
    let Some(scene) = scene("the_container_of_a_job_that_does_not_run_again_goes_too") else {
        return;
    };
    let queue = &scene.queue;
    let mut node = queue.start(&[]);
    let id = plain(queue, "echo 1 > /shared/started; sleep 1000");
    queue.wait_lines("shared/started", 1);
    node.signal(Signal::SIGSTOP);
    send(node.workers(1)[0], Signal::SIGKILL);
    node.kill_dispatcher();
    assert_eq!(scene.containers().len(), 1);
    queue.ok(["cancel", &id]);
    let _other = queue.start(&[]);
    let job = queue.wait_state(&id, "cancelled");
    assert_eq!(history(&job), ["1 cancelled"]);
    scene.wait_no_containers();
}

/// The pipe through which a worker process talks to its dispatcher: another reader, who takes nothing out.
fn reports_of(worker: i32, dispatcher: i32) -> File {
    let pipes = |pid: i32, mode: char| {
        let fds = fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        let open_so = |fd: &PathBuf| {
            let name = fd.file_name().unwrap().to_str().unwrap().to_owned();
            let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{name}")).unwrap_or_default();
            let flags = info.lines().find_map(|line| line.strip_prefix("flags:"));
            flags.is_some_and(|flags| flags.trim().ends_with(mode))
        };
        let fds = fds.map(|fd| fd.unwrap().path()).filter(open_so);
        fds.filter_map(|fd| Some((fs::read_link(&fd).ok()?, fd)))
            .filter(|(link, _)| link.to_string_lossy().starts_with("pipe:"))
            .collect::<HashMap<PathBuf, PathBuf>>()
    };
    let mut written = pipes(worker, '1');
    // The other pipe between the two is for what is printed.
    written.remove(&fs::read_link(format!("/proc/{worker}/fd/1")).unwrap());
    let read = pipes(dispatcher, '0');
    let mut both = read.iter().filter(|(link, _)| written.contains_key(*link));
    File::open(both.next().unwrap().1).unwrap()
}

/// The worker process dies after it told how its job ended, and before it is told that this is durable.
#[test]
fn a_container_whose_worker_process_died_after_its_end_was_told_goes_too() {
    let Some(scene) = scene("a_container_whose_worker_process_died_after_its_end_was_told_goes_too") else {
        return;
    };
    let queue = &scene.queue;
    let gate = queue.gate("shared/gate");
    let node = queue.start(&["--concurrency", "2"]);
    let id = plain(queue, "echo 1 > /shared/started; read x < /shared/gate");
    let bystander = plain(queue, "echo 1 > /shared/bystander; sleep 1000");
    queue.wait_lines("shared/started", 1);
    queue.wait_lines("shared/bystander", 1);
    node.wait_log("job started job=1 plugin=docker");
    node.wait_log("job started job=2 plugin=docker");
    let worker = node.workers(1)[0];
    let reports = reports_of(worker, node.pid());
    let is_told = || {
        let mut fds = [PollFd::new(reports.as_fd(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() > 0
    };
    wait_until("the dispatcher to have read all", || !is_told());
    node.signal(Signal::SIGSTOP);
    gate.open();
    wait_until("the end to be told", is_told);
    send(worker, Signal::SIGKILL);
    node.signal(Signal::SIGCONT);
    let job = queue.wait_state(&id, "completed");
    assert_eq!(history(&job), ["1 succeeded"], "{job}");
    wait_until("the container to be gone", || {
        let containers = scene.containers();
        containers
            .iter()
            .all(|one| one["Labels"]["queuectl.job"] != id.as_str())
    });
    assert_eq!(queue.state(&bystander), "processing");
    assert_eq!(scene.containers().len(), 1);
}

/// A way to an engine which loses what is to be lost, with its connection: it is unknown whether the engine received
/// it. Who comes while the engine is away waits for it.
fn way(queue: &Queue, engine: &Engine, is_lost: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> String {
    let path = queue.path("way");
    let listener = UnixListener::bind(&path).unwrap();
    let engine = engine.host().replacen("unix://", "", 1);
    let is_lost = Arc::new(is_lost);
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let (engine, is_lost) = (engine.clone(), Arc::clone(&is_lost));
            std::thread::spawn(move || {
                let server = wait_for("the engine", || UnixStream::connect(&engine).ok());
                let (answers, back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || pass(client, server, |bytes| is_lost(bytes)));
                pass(answers, back, |_| false);
            });
        }
    });
    format!("unix://{}", path.display())
}

fn is_start(request: &[u8]) -> bool {
    request.windows(7).any(|part| part == b"/start ")
}

/// Passes on what comes, until somebody hangs up or something is to be lost.
fn pass(mut from: UnixStream, mut to: UnixStream, is_lost: impl Fn(&[u8]) -> bool) {
    let mut bytes = [0; 65536];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        if is_lost(&bytes[..count]) || to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

#[test]
fn a_container_that_may_have_run_is_not_started_again() {
    let Some(scene) = scene("a_container_that_may_have_run_is_not_started_again") else {
        return;
    };
    let queue = &scene.queue;
    let lost = AtomicBool::new(false);
    let first_start = move |request: &[u8]| is_start(request) && !lost.swap(true, Ordering::Relaxed);
    queue.ok([
        "config:set",
        "docker.host",
        &way(queue, scene.engine, first_start),
    ]);
    let command = "echo $QUEUECTL_FENCE >> /shared/started";
    let id = job(queue, command.into(), json!({}), json!({"max_retries": 1}));
    assert_eq!(queue.drain(&[]), 0);
    let job = queue.job(&id);
    assert_eq!(history(&job), ["1 system_failure", "2 succeeded"], "{job}");
    let why = job["attempt_history"][0]["error"].as_str().unwrap();
    assert!(why.contains("may or may not have started"), "{why}");
    assert_eq!(queue.lines("shared/started"), ["2"]);
    scene.wait_no_containers();
}
