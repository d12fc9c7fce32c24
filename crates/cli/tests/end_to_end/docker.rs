//! Jobs in containers, on a real engine.

use serde_json::{Value, json};

use crate::support::engine::{self, Engine, IMAGE};
use crate::support::{Node, Queue, history, wait_until};

/// A queue whose docker jobs go to an engine.
pub struct Scene {
    pub queue: Queue,
    pub engine: &'static Engine,
}

/// The scene for a test; none if there is no engine, which is reported.
pub fn scene(test: &str) -> Option<Scene> {
    match engine::shared() {
        Ok(engine) => Some(Scene {
            queue: queue_with(engine),
            engine,
        }),
        Err(why) => {
            queuectl_testkit::skipped(test, &why);
            None
        }
    }
}

/// A queue whose docker jobs go to that engine and may mount its folder `shared`.
pub fn queue_with(engine: &Engine) -> Queue {
    let queue = Queue::quick();
    std::fs::create_dir(queue.path("shared")).unwrap();
    queue.ok(["config:set", "docker.host", &engine.host()]);
    queue.ok([
        "config:set",
        "docker.allow_mounts",
        queue.path("shared").to_str().unwrap(),
    ]);
    queue
}

/// A job with one attempt, in the test image; `more` adds to the payload and to the job.
pub fn job(queue: &Queue, command: Value, payload: Value, more: Value) -> String {
    let shared = json!([{"source": queue.path("shared"), "target": "/shared"}]);
    let mut job = json!({
        "executor": "docker", "command": command, "max_retries": 0,
        "payload": {"image": IMAGE, "mounts": shared},
    });
    let add = |to: &mut Value, from: Value| {
        to.as_object_mut()
            .unwrap()
            .extend(from.as_object().unwrap().clone());
    };
    add(&mut job["payload"], payload);
    add(&mut job, more);
    queue.enqueue([job.to_string()])
}

/// The same with nothing special.
pub fn plain(queue: &Queue, line: &str) -> String {
    job(queue, line.into(), json!({}), json!({}))
}

impl Scene {
    fn job(&self, command: Value, payload: Value) -> String {
        job(&self.queue, command, payload, json!({}))
    }

    /// The containers of this queue's jobs.
    pub fn containers(&self) -> Vec<Value> {
        let here = |container: &Value| {
            let mounts = container["Mounts"].to_string();
            mounts.contains(self.queue.path("shared").to_str().unwrap())
        };
        self.engine
            .containers("queuectl-")
            .into_iter()
            .filter(here)
            .collect()
    }

    pub fn wait_no_containers(&self) {
        wait_until("the containers to be gone", || self.containers().is_empty());
    }

    fn output(&self, id: &str) -> String {
        self.queue.run(["logs", id]).text()
    }
}

#[test]
fn a_container_runs_with_its_output_and_exit_status() {
    let Some(scene) = scene("a_container_runs_with_its_output_and_exit_status") else {
        return;
    };
    let failed = scene.job("echo to out; exit 3".into(), json!({}));
    let good = scene.job(json!(["echo", "a  b", "$HOME"]), json!({}));
    let much = scene.job("yes 0123456789 | head -c 300000; echo err >&2".into(), json!({}));
    let unended = scene.job("echo one; echo -n two".into(), json!({}));
    let absent = scene.job(json!(["/no/such/program"]), json!({}));
    assert_eq!(scene.queue.drain(&[]), 1);
    let job = scene.queue.job(&failed);
    assert_eq!(history(&job), ["1 failed"], "{job}");
    assert_eq!(
        (&job["error"], &job["attempt_history"][0]["exit_code"]),
        (&"exit status 3".into(), &3.into())
    );
    assert_eq!(scene.output(&failed), "to out\n");
    assert_eq!(scene.output(&good), "a  b $HOME\n");
    let job = scene.queue.job(&much);
    assert_eq!(job["attempt_history"][0]["output_bytes"], 300_004, "{job}");
    assert_eq!(scene.output(&unended), "one\ntwo");
    let job = scene.queue.job(&absent);
    assert_eq!(job["attempt_history"][0]["exit_code"], 127, "{job}");
    assert_eq!(history(&job), ["1 failed"]);
    // Nothing is left once the node has gone.
    assert!(scene.containers().is_empty());
}

#[test]
fn the_payload_says_what_the_container_is_like() {
    let Some(scene) = scene("the_payload_says_what_the_container_is_like") else {
        return;
    };
    let id = job(
        &scene.queue,
        "echo $A $B $QUEUECTL_JOB_ID $QUEUECTL_ATTEMPT; pwd; id -u; id -g; cat; touch /x 2>/dev/null || echo read-only; \
         echo > /dev/tcp 2>/dev/null; cat /proc/self/status > /shared/status"
            .into(),
        json!({
            "env": {"B": "payload"}, "workdir": "/bin", "user": "0:7", "read_only": true, "network": "none",
            "cap_drop": ["ALL"], "pids": 50, "cpus": "0.5", "memory": "64MiB", "pull": ["never"],
        }),
        json!({"env": {"A": "job", "B": "job"}, "stdin": "the input\n"}),
    );
    let args = scene.job(
        Value::Null,
        json!({"entrypoint": ["echo", "entry"], "args": ["point"]}),
    );
    assert_eq!(
        scene.queue.drain(&[]),
        0,
        "{} {}",
        scene.queue.job(&id),
        scene.output(&id)
    );
    assert_eq!(
        scene.output(&id),
        format!("job payload {id} 1\n/bin\n0\n7\nthe input\nread-only\n")
    );
    assert_eq!(scene.output(&args), "entry point\n");
    let status = scene.queue.read("shared/status");
    assert!(status.contains("CapEff:\t0000000000000000"), "{status}");
}

#[test]
fn a_missing_image_is_a_system_failure() {
    let Some(scene) = scene("a_missing_image_is_a_system_failure") else {
        return;
    };
    let image = json!({"image": "localhost:1/nowhere:1", "pull": ["never", "missing"]});
    let id = scene.job("true".into(), image);
    let bystander = plain(&scene.queue, "true");
    let fallback = scene.job(
        "true".into(),
        json!({"image": IMAGE, "pull": ["always", "missing"]}),
    );
    assert_eq!(scene.queue.drain(&[]), 1);
    let job = scene.queue.job(&id);
    let attempts = history(&job);
    assert!(
        attempts.iter().all(|attempt| attempt.ends_with("system_failure")),
        "{job}"
    );
    let why = job["error"].as_str().unwrap();
    for part in [
        "'localhost:1/nowhere:1'",
        "pull 'never': the engine does not have it",
        "pull 'missing': ",
    ] {
        assert!(why.contains(part), "{part} in {why}");
    }
    assert_eq!(scene.queue.state(&bystander), "completed");
    assert_eq!(scene.queue.state(&fallback), "completed", "the second way works");
}

#[test]
fn a_missing_engine_is_a_system_failure() {
    // Needs no engine.
    let queue = Queue::quick();
    let host = format!("unix://{}", queue.path("nowhere.sock").display());
    queue.ok(["config:set", "docker.host", &host]);
    let id = queue.enqueue([r#"{"executor":"docker","command":"true","payload":{"image":"x"}}"#]);
    assert_eq!(queue.drain(&[]), 1);
    let job = queue.job(&id);
    assert!(
        history(&job)
            .iter()
            .all(|attempt| attempt.ends_with("system_failure")),
        "{job}"
    );
    let why = job["error"].as_str().unwrap();
    assert!(
        why.contains(&host) && why.contains("docker.host") && why.contains("no such socket"),
        "{why}"
    );
}

#[test]
fn what_an_operator_did_not_allow_is_refused_before_it_is_stored() {
    // Needs no engine.
    let queue = Queue::quick();
    for (payload, says) in [
        (r#"{"image":"x","privileged":true}"#, "docker.allow_privileged"),
        (
            r#"{"image":"x","mounts":[{"source":"/","target":"/host"}]}"#,
            "docker.allow_mounts",
        ),
        (r#"{"image":"x","imagee":"y"}"#, "imagee"),
        (r#"{}"#, "image"),
    ] {
        let job = format!(r#"{{"executor":"docker","command":"true","payload":{payload}}}"#);
        let done = queue.run(["enqueue", &job]);
        assert!(
            done.status != 0 && done.err.contains(says),
            "{payload}: {} {}",
            done.status,
            done.err
        );
    }
    assert!(queue.jobs().is_empty());
    queue.ok(["config:set", "docker.allow_privileged", "true"]);
    queue.enqueue([r#"{"executor":"docker","command":"true","payload":{"image":"x","privileged":true}}"#]);
}

#[test]
fn a_container_is_stopped_with_grace_or_killed() {
    let Some(scene) = scene("a_container_is_stopped_with_grace_or_killed") else {
        return;
    };
    let queue = &scene.queue;
    let node = queue.start(&["--concurrency", "3"]);
    let polite = plain(
        queue,
        "trap 'echo bye; exit 0' TERM; echo 1 > /shared/polite; sleep 1000 & wait",
    );
    queue.wait_lines("shared/polite", 1);
    queue.ok(["cancel", "--wait", &polite]);
    assert_eq!(history(&queue.job(&polite)), ["1 cancelled"]);
    assert_eq!(scene.output(&polite), "bye\n", "it was asked first");
    queue.ok(["config:set", "kill_grace", "200ms"]);
    node.wait_log("settings changed");
    let stubborn = "trap '' TERM; echo 1 > /shared/$QUEUECTL_JOB_ID; sleep 1000 & wait";
    let cancelled = plain(queue, stubborn);
    let late = job(queue, stubborn.into(), json!({}), json!({"timeout": "1s"}));
    for id in [&cancelled, &late] {
        queue.wait_lines(&format!("shared/{id}"), 1);
    }
    queue.ok(["cancel", "--wait", &cancelled]);
    assert_eq!(history(&queue.job(&cancelled)), ["1 cancelled"]);
    let late = queue.wait_state(&late, "dead");
    assert_eq!(history(&late), ["1 timed_out"]);
    scene.wait_no_containers();
}

#[test]
fn a_container_without_enough_memory_is_named_so() {
    let Some(scene) = scene("a_container_without_enough_memory_is_named_so") else {
        return;
    };
    if scene.engine.get("/info")["MemoryLimit"] != true {
        let why = "no container engine can run here with limits of memory";
        return queuectl_testkit::skipped("a_container_without_enough_memory_is_named_so", why);
    }
    let id = scene.job(json!(["tail", "/dev/zero"]), json!({"memory": "16MiB"}));
    assert_eq!(scene.queue.drain(&[]), 1);
    let job = scene.queue.job(&id);
    let why = job["error"].as_str().unwrap();
    assert!(why.contains("OOM") && why.contains("16.0 MiB"), "{why}");
    assert_eq!(job["attempt_history"][0]["exit_code"], 137);
}

/// Holds the dispatcher still, so that what has ended is not recorded.
fn held<T>(node: &Node, meanwhile: impl FnOnce() -> T) -> T {
    use nix::sys::signal::Signal;
    node.signal(Signal::SIGSTOP);
    let result = meanwhile();
    node.signal(Signal::SIGCONT);
    result
}

#[test]
fn a_container_stays_until_its_outcome_is_durable() {
    let Some(scene) = scene("a_container_stays_until_its_outcome_is_durable") else {
        return;
    };
    let queue = &scene.queue;
    let gate = queue.gate("shared/gate");
    let node = queue.start(&[]);
    let id = plain(queue, "echo 1 > /shared/started; read x < /shared/gate; exit 4");
    queue.wait_lines("shared/started", 1);
    let exited = held(&node, || {
        gate.open();
        wait_until("the container to end", || {
            scene.containers()[0]["State"] == "exited"
        });
        assert_eq!(queue.state(&id), "processing");
        scene.containers().remove(0)
    });
    let labels = &exited["Labels"];
    assert_eq!(
        (&labels["queuectl.job"], &labels["queuectl.fence"]),
        (&id.as_str().into(), &"1".into())
    );
    let store = labels["queuectl.store"].as_str().unwrap();
    assert!(
        labels["queuectl.mark"]
            .as_str()
            .unwrap()
            .starts_with(&format!("{store}.")),
        "{labels}"
    );
    assert_eq!(exited["Names"][0], format!("/queuectl-{store}-{id}-1"));
    queue.wait_state(&id, "dead");
    scene.wait_no_containers();
}

#[test]
fn signals_end_containers_and_are_named() {
    let Some(scene) = scene("signals_end_containers_and_are_named") else {
        return;
    };
    let queue = &scene.queue;
    queue.ok(["config:set", "kill_grace", "1h"]);
    let _node = queue.start(&["--concurrency", "3"]);
    let crashed = plain(queue, "kill -SEGV $$");
    let asked = plain(queue, "echo 1 > /shared/asked; exec sleep 1000");
    let dead = queue.wait_state(&crashed, "dead");
    assert_eq!(dead["error"], "exit status 139 (killed by signal 11, SIGSEGV)");
    let attempt = &dead["attempt_history"][0];
    assert_eq!(
        (&attempt["exit_code"], &attempt["signal"]),
        (&139.into(), &11.into())
    );
    // A process 1 without an init in front of it would not even notice.
    queue.wait_lines("shared/asked", 1);
    queue.ok(["cancel", "--wait", &asked]);
    let attempt = queue.job(&asked)["attempt_history"][0].clone();
    assert_eq!(
        (&attempt["outcome"], &attempt["exit_code"]),
        (&"cancelled".into(), &143.into())
    );
    let own = job(
        queue,
        "read x < /proc/1/cmdline; echo $x".into(),
        json!({"init": false}),
        json!({}),
    );
    queue.wait_state(&own, "completed");
    assert!(scene.output(&own).starts_with("sh"), "it is process 1 itself");
}

#[test]
fn an_engine_without_init_will_do() {
    let test = "an_engine_without_init_will_do";
    let engine = match Engine::start(&["--init-path", "/no/such/docker-init"]) {
        Ok(engine) => engine,
        Err(why) => return queuectl_testkit::skipped(test, &why),
    };
    let queue = queue_with(&engine);
    let node = queue.start(&[]);
    let id = plain(&queue, "echo works");
    queue.wait_state(&id, "completed");
    assert_eq!(queue.run(["logs", &id]).text(), "works\n");
    node.wait_log("has no init");
    let insists = job(&queue, "true".into(), json!({"init": true}), json!({}));
    let dead = queue.wait_state(&insists, "dead");
    let why = dead["error"].as_str().unwrap();
    assert!(why.contains("docker-init"), "{why}");
    wait_until("the containers to be gone", || {
        engine.containers("queuectl-").is_empty()
    });
}
