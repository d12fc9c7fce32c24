//! A world in which jobs run in containers: a private engine, an image of its own, and what is done to containers.
//!
//! Every scene has an engine to itself, so that it can be killed. There is no registry and no network. A janitor ends the
//! engine and removes its folder however this process ends; containers are removed by whoever drops the engine.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use super::chaos::{children, send};
use super::rig::{Queue, wait_for};

/// The image: a busybox in /bin and nothing else.
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

const JANITOR: &str = r#"
cat > /dev/null
pid=$(cat "$1/pid") && kill "$pid"
while [ -n "$pid" ] && kill -0 "$pid" 2> /dev/null; do sleep 0.1; done
grep -o " $1/[^ ]*" /proc/mounts | tac | while read -r mount; do umount -l "$mount"; done
rm -rf --one-file-system "$1"
"#;

/// A private engine.
pub struct Engine {
    folder: PathBuf,
    /// Whether containers outlive it; else it ends them when it is back.
    outlived: bool,
    dockerd: Option<Child>,
    janitor: Child,
    /// Open as long as the engine is wanted.
    wanted: Option<ChildStdin>,
}

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
    pub fn start(outlived: bool) -> anyhow::Result<Engine> {
        ensure!(nix::unistd::geteuid().is_root(), "only root can start an engine");
        find("tar")?;
        let busybox = find("busybox")?;
        // Not beside the target folder: names of sockets are limited.
        let folder = tempfile::Builder::new().prefix("engine").tempdir()?.keep();
        let mut janitor = Command::new("sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()?;
        let mut engine = Engine {
            wanted: janitor.stdin.take(),
            folder,
            outlived,
            dockerd: None,
            janitor,
        };
        engine.run()?;
        engine.import(&busybox)?;
        Ok(engine)
    }

    /// Runs dockerd and waits until it answers.
    fn run(&mut self) -> anyhow::Result<()> {
        let log = self.folder.join("log");
        let file = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(find("dockerd")?);
        for (option, name) in [
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
        ] {
            command.arg(option).arg(self.folder.join(name));
        }
        command.args(["--iptables=false", "--bridge=none", "--host", &self.host()]);
        if self.outlived {
            command.arg("--live-restore");
        }
        let mut child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()
            .context("cannot start dockerd")?;
        let answered = wait_for("the engine to answer", || {
            if let Some(status) = child.try_wait()? {
                let text = fs::read_to_string(&log).unwrap_or_default();
                bail!("dockerd: {status}, {}", text.lines().last().unwrap_or_default());
            }
            let pinged = self.ask("GET", "/_ping", b"");
            Ok(pinged.is_ok_and(|(status, _)| status == 200).then_some(()))
        });
        self.dockerd = Some(child);
        answered
    }

    /// Kills dockerd and its containerd, and starts them again.
    pub fn crash(&mut self) -> anyhow::Result<()> {
        let mut dockerd = self.dockerd.take().context("there is no engine")?;
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
            if self.run().is_ok() {
                return Ok(());
            }
        }
        self.run()
    }

    fn import(&self, busybox: &Path) -> anyhow::Result<()> {
        let root = tempfile::tempdir()?;
        let bin = root.path().join("bin");
        fs::create_dir(&bin)?;
        fs::copy(busybox, bin.join("busybox"))?;
        let names = Command::new(busybox).arg("--list").output()?.stdout;
        for name in String::from_utf8(names)?
            .lines()
            .filter(|name| *name != "busybox")
        {
            symlink("busybox", bin.join(name))?;
        }
        let runs = Command::new("chroot")
            .arg(root.path())
            .args(["/bin/busybox", "true"])
            .output();
        ensure!(
            runs.is_ok_and(|output| output.status.success()),
            "the busybox here is not static (on Debian: apt-get install busybox-static)"
        );
        let mut tar = Command::new("tar");
        let tar = tar.arg("-C").arg(root.path()).args(["-c", "."]).output()?;
        let (name, tag) = IMAGE.split_once(':').unwrap_or((IMAGE, "1"));
        self.must(
            "POST",
            &format!("/images/create?fromSrc=-&repo={name}&tag={tag}"),
            &tar.stdout,
        )?;
        Ok(())
    }

    fn host(&self) -> String {
        format!("unix://{}", self.folder.join("sock").display())
    }

    /// Lets a queue's jobs use it.
    pub fn serve(&self, queue: &Queue) -> anyhow::Result<()> {
        fs::write(queue.work.join(SCRIPT_FILE), SCRIPT)?;
        queue.ok(["config:set", "docker.host", &self.host()])?;
        let folder = queue.work.to_str().context("no such path can be mounted")?;
        queue.ok(["config:set", "docker.allow_mounts", folder])?;
        self.add_bystander()
    }

    /// A container with labels like those of another queue. An engine that takes its containers down starts it again.
    fn add_bystander(&self) -> anyhow::Result<()> {
        let body = json!({
            "Image": IMAGE, "Cmd": ["sleep", "1000000"], "HostConfig": {"RestartPolicy": {"Name": "always"}},
            "Labels": {STORE: "another", "queuectl.mark": "another.dead", "queuectl.job": "1", "queuectl.fence": "1"},
        });
        let body = body.to_string();
        self.must(
            "POST",
            &format!("/containers/create?name={BYSTANDER}"),
            body.as_bytes(),
        )?;
        self.must("POST", &format!("/containers/{BYSTANDER}/start"), b"")?;
        Ok(())
    }

    /// The containers of the queue that run, each with the number of its job.
    pub fn running(&self) -> anyhow::Result<Vec<(String, i64)>> {
        let all = self.containers()?;
        let ours = all
            .iter()
            .filter(|one| one["Labels"][STORE] != "another" && one["State"] == "running");
        let told = ours.filter_map(|one| {
            let job = one["Labels"]["queuectl.job"].as_str()?;
            Some((one["Id"].as_str()?.to_owned(), job.parse().ok()?))
        });
        Ok(told.collect())
    }

    fn containers(&self) -> anyhow::Result<Vec<Value>> {
        let all = self.must("GET", "/containers/json?all=1", b"")?;
        let all: Value = serde_json::from_slice(&all)?;
        Ok(all.as_array().context("no list of containers")?.clone())
    }

    /// Kills, pauses, unpauses or removes a container; false if it is not there any more, or does not run.
    pub fn act(&self, container: &str, action: &str) -> anyhow::Result<bool> {
        let (method, path) = match action {
            "remove" => ("DELETE", format!("/containers/{container}?force=1")),
            action => ("POST", format!("/containers/{container}/{action}")),
        };
        let (status, body) = self.ask(method, &path, b"")?;
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
            let paused = self.containers()?.into_iter();
            let mut paused = paused.filter(|one| one["State"] == "paused");
            Ok((!paused.any(|one| one["Id"] == container)).then_some(()))
        })?;
        Ok(hit)
    }

    /// In the end nothing of the queue is left, and what is not the queue's is there.
    pub fn judge(&self) -> anyhow::Result<()> {
        for container in self.containers()? {
            let (labels, state) = (&container["Labels"], &container["State"]);
            ensure!(labels[STORE] == "another", "a container is left: {container}");
            ensure!(state == "running", "the bystander does not run: {container}");
        }
        let there = self.act(BYSTANDER, "kill?signal=CONT")?;
        ensure!(there, "the bystander is gone");
        Ok(())
    }

    fn must(&self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        let (status, answer) = self.ask(method, path, body)?;
        let said = String::from_utf8_lossy(&answer);
        ensure!((200..300).contains(&status), "{method} {path}: {status}, {said}");
        Ok(answer)
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> anyhow::Result<(u16, Vec<u8>)> {
        let mut stream = UnixStream::connect(self.folder.join("sock"))?;
        let kind = if path.starts_with("/images") {
            "application/x-tar"
        } else {
            "application/json"
        };
        // With 1.0, the end of the connection is the end of the answer.
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        )?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let end = end.context("the engine's answer has no head")?;
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        Ok((
            status.context("the engine's answer has no status")?,
            answer.split_off(end + 4),
        ))
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Containers may outlive the engine.
        for container in self.containers().unwrap_or_default() {
            let _ = container["Id"].as_str().map(|id| self.act(id, "remove"));
        }
        drop(self.wanted.take());
        // The janitor sees dockerd go only once this process has waited for it.
        let _ = self.dockerd.take().map(|mut dockerd| dockerd.wait());
        let _ = self.janitor.wait();
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

/// Where a program is.
fn find(name: &str) -> anyhow::Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.exists())
        .with_context(|| format!("there is no {name} (on Debian: apt-get install docker.io busybox-static)"))
}
