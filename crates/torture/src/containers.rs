//! A world in which jobs run in containers: what is done to them and to their engine.
//!
//! Every scene has an engine to itself, so that it can be killed.

use std::fs;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::processes::{children, send};
use super::rig::{Queue, wait_for};

const IMAGE: &str = "queuectl-torture:1";
/// Where jobs find the folder of their scene.
const FOLDER: &str = "/scene";
/// How often an engine that was killed is started again, at most.
const STARTS: u32 = 5;
/// A container that is none of the queue's.
const BYSTANDER: &str = "bystander";
/// The label of a queue's containers.
const STORE: &str = "queuectl.store";

/// What a job runs, for the shell of busybox: like [`super::log::SCRIPT`], for longer, because all of it takes longer.
const SCRIPT: &str = "\
say() { echo $1 $QUEUECTL_JOB_ID $QUEUECTL_FENCE >> log; }
say s
(setsid sh -c 'while echo t $QUEUECTL_JOB_ID $QUEUECTL_FENCE >> log; do sleep 0.03; done' > /dev/null 2>&1 &)
n=$1
while [ $n -gt 0 ]; do say t; sleep 0.02; n=$((n - 1)); done
say e
";
const SCRIPT_FILE: &str = "container.sh";

/// A private engine.
pub struct Engine(queuectl_test_engine::Engine);

/// Why there can be no such world on this machine, if so.
pub fn impossible() -> Option<String> {
    let probe = || {
        let engine = Engine::start(false)?;
        engine.add_bystander()?;
        engine.judge()
    };
    probe().err().map(|error| format!("{error:#}"))
}

impl Engine {
    /// Starts one whose containers outlive it, or which ends them when it is back.
    pub fn start(outlived: bool) -> anyhow::Result<Engine> {
        let options: &[&str] = if outlived { &["--live-restore"] } else { &[] };
        Ok(Engine(queuectl_test_engine::Engine::start(IMAGE, options)?))
    }

    /// Kills dockerd and its containerd, and starts them again.
    pub fn crash(&mut self) -> anyhow::Result<()> {
        let mut dockerd = self.0.take_dockerd().context("there is no engine")?;
        let pid = dockerd.id().cast_signed();
        // First its children, while they can be found; held still, it starts no others.
        send(pid, Signal::SIGSTOP);
        for child in children(pid) {
            send(child, Signal::SIGKILL);
        }
        send(pid, Signal::SIGKILL);
        dockerd.wait()?;
        self.run_again()
    }

    /// An engine that comes back beside its containers may give up on its containerd, as it would under a service manager.
    fn run_again(&mut self) -> anyhow::Result<()> {
        for _ in 1..STARTS {
            if self.0.run().is_ok() {
                return Ok(());
            }
        }
        Ok(self.0.run()?)
    }

    /// Lets a queue's jobs use it.
    pub fn serve(&self, queue: &Queue) -> anyhow::Result<()> {
        fs::write(queue.work.join(SCRIPT_FILE), SCRIPT)?;
        queue.ok(["config:set", "docker.host", &self.0.host()])?;
        let folder = queue.work.to_str().context("no such path can be mounted")?;
        queue.ok(["config:set", "docker.allow_mounts", folder])?;
        self.add_bystander()
    }

    /// A container with labels like those of another queue. An engine that takes its containers down starts it again.
    fn add_bystander(&self) -> anyhow::Result<()> {
        let body = json!({
            "Cmd": ["sleep", "1000000"], "HostConfig": {"RestartPolicy": {"Name": "always"}},
            "Labels": {STORE: "another", "queuectl.mark": "another.dead", "queuectl.job": "1", "queuectl.fence": "1"},
        });
        let id = self.0.create(BYSTANDER, &body)?;
        self.0.must("POST", &format!("/containers/{id}/start"), b"")?;
        Ok(())
    }

    /// The containers of the queue that run, each with the number of its job.
    pub fn running(&self) -> anyhow::Result<Vec<(String, i64)>> {
        let all = self.0.containers()?;
        let ours = all
            .iter()
            .filter(|one| one["Labels"][STORE] != "another" && one["State"] == "running");
        let told = ours.filter_map(|one| {
            let job = one["Labels"]["queuectl.job"].as_str()?;
            Some((one["Id"].as_str()?.to_owned(), job.parse().ok()?))
        });
        Ok(told.collect())
    }

    /// Kills, pauses, unpauses or removes a container; false if it is not there any more, or does not run.
    pub fn act(&self, container: &str, action: &str) -> anyhow::Result<bool> {
        let (method, path) = match action {
            "remove" => ("DELETE", format!("/containers/{container}?force=1")),
            action => ("POST", format!("/containers/{container}/{action}")),
        };
        let (status, body) = self.0.ask(method, &path, b"")?;
        let said = String::from_utf8_lossy(&body);
        match status {
            200..300 => Ok(true),
            // The engine's own errors are those of a container that ends right now.
            404 | 409 | 500 => Ok(false),
            _ => bail!("{method} {path}: {status}, {said}"),
        }
    }

    /// Lets a container stand still for a while; false if it did not run.
    pub fn hold(&self, container: &str, pause: Duration) -> anyhow::Result<bool> {
        let hit = self.act(container, "pause")?;
        sleep(pause);
        // The engine may refuse that for a moment, and nothing else would ever let it go on.
        wait_for("a container to go on", || {
            self.act(container, "unpause")?;
            let paused = self.0.containers()?.into_iter();
            let mut paused = paused.filter(|one| one["State"] == "paused");
            Ok((!paused.any(|one| one["Id"] == container)).then_some(()))
        })?;
        Ok(hit)
    }

    /// In the end nothing of the queue is left, and what is not the queue's is there.
    pub fn judge(&self) -> anyhow::Result<()> {
        for container in self.0.containers()? {
            let (labels, state) = (&container["Labels"], &container["State"]);
            ensure!(labels[STORE] == "another", "a container is left: {container}");
            ensure!(state == "running", "the bystander does not run: {container}");
        }
        let there = self.act(BYSTANDER, "kill?signal=CONT")?;
        ensure!(there, "the bystander is gone");
        Ok(())
    }
}

/// A job in a container, and whether it is to end well.
pub fn job(queue: &Queue, rng: &mut Rng) -> (Value, bool) {
    let payload = json!({
        "image": IMAGE, "pull": ["never"], "network": "none", "workdir": FOLDER,
        "mounts": [{"source": queue.work, "target": FOLDER}],
    });
    if rng.u8(..20) == 0 {
        let command = "echo s $QUEUECTL_JOB_ID $QUEUECTL_FENCE >> log; exit 3";
        return (
            json!({"executor": "docker", "command": command, "max_retries": 1, "payload": payload}),
            false,
        );
    }
    let ticks = match queue.without {
        // Short ones make room, and what is left of a long one is still there when it runs again.
        Some(_) if rng.bool() => 500,
        _ => rng.u32(1..60),
    };
    let command = ["sh", SCRIPT_FILE, &ticks.to_string()];
    (
        json!({"executor": "docker", "command": command, "payload": payload}),
        true,
    )
}
