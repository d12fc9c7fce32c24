//! A private container engine for tests: a dockerd in a folder of its own, with one small image. There is no registry
//! and no network, and nothing of the machine's own engine.
//!
//! It is gone afterwards, however this process ends: a janitor waits for the end of a pipe that only this process
//! holds. What is done with the engine, and what a test does where there can be none, is up to the tests.
#![cfg(target_os = "linux")]

mod api;
mod image;

use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Longest that dockerd may take until it answers.
const PATIENCE: Duration = Duration::from_secs(120);

const JANITOR: &str = r#"
cat > /dev/null
pid=$(cat "$1/pid") && kill "$pid"
while [ -n "$pid" ] && kill -0 "$pid" 2> /dev/null; do sleep 0.1; done
# What an engine has forgotten that was killed. The brackets keep grep from finding itself.
for shim in $(grep -la "$1/exec/containerd/containerd[.]sock" /proc/[0-9]*/cmdline 2> /dev/null); do
    shim=${shim#/proc/}
    shim=${shim%/cmdline}
    kill -9 $(cat "/proc/$shim/task/"*/children) "$shim" 2> /dev/null
done
grep -o " $1/[^ ]*" /proc/mounts | tac | while read -r mount; do umount -l "$mount"; done
rm -rf --one-file-system "$1"
"#;

/// The engine. Dropping it removes its containers, ends it and removes its folder.
pub struct Engine {
    folder: PathBuf,
    /// The name and tag of its image, which has a busybox in `/bin` and nothing else.
    image: &'static str,
    /// More options for dockerd.
    options: Vec<&'static str>,
    dockerd: Option<Child>,
    janitor: Child,
    /// Open as long as the engine is wanted.
    wanted: Option<ChildStdin>,
}

/// Why there is no engine, or what went wrong with it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A program that is needed is not in the search path.
    #[error("there is no {0} (on Debian: apt-get install docker.io busybox-static)")]
    Missing(&'static str),
    /// The image would not run, since it has no libraries.
    #[error("the busybox here is not static (on Debian: apt-get install busybox-static)")]
    NotStatic,
    /// This machine or user cannot run an engine or a container; what dockerd said last.
    #[error("{0}")]
    CannotRun(String),
    /// The engine refused a request.
    #[error("{request}: {status}, {said}")]
    Refused {
        /// Method and path.
        request: String,
        /// The HTTP status.
        status: u16,
        /// What it said.
        said: String,
    },
    /// The engine cannot be reached or controlled.
    #[error("the container engine: {0}")]
    Io(#[from] io::Error),
    /// An answer is not what it should be.
    #[error("the container engine's answer: {0}")]
    Answer(#[from] serde_json::Error),
}

impl Engine {
    /// Starts one and makes its image, for example `queuectl-test:1`, once a container has run; `options` are for
    /// dockerd.
    ///
    /// # Errors
    /// There can be none here, or something went wrong.
    pub fn start(image: &'static str, options: &[&'static str]) -> Result<Engine, EngineError> {
        let [_, busybox, _] = [find("dockerd")?, find("busybox")?, find("tar")?];
        if !nix::unistd::geteuid().is_root() {
            return Err(EngineError::CannotRun("only root can start one".to_owned()));
        }
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
            image,
            options: options.to_vec(),
            dockerd: None,
            janitor,
        };
        engine.run()?;
        image::import(&engine, &busybox)?;
        engine.probe()?;
        Ok(engine)
    }

    /// Runs dockerd, which must not run, and waits until it answers.
    ///
    /// # Errors
    /// It ended, or does not answer within two minutes.
    pub fn run(&mut self) -> Result<(), EngineError> {
        let log = self.folder.join("log");
        let file = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new("dockerd");
        for (option, name) in [
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
        ] {
            command.arg(option).arg(self.folder.join(name));
        }
        let child = command
            .args(["--iptables=false", "--bridge=none", "--host", &self.host()])
            .args(&self.options)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .process_group(0)
            .spawn()?;
        let until = Instant::now() + PATIENCE;
        let dockerd = self.dockerd.insert(child);
        while dockerd.try_wait()?.is_none() && Instant::now() < until {
            if api::ask(&self.folder, "GET", "/_ping", b"").is_ok_and(|(status, _)| status == 200) {
                return Ok(());
            }
            sleep(Duration::from_millis(20));
        }
        let _ = dockerd.kill();
        dockerd.wait()?;
        self.dockerd = None;
        let text = fs::read_to_string(&log).unwrap_or_default();
        let said = text.lines().last().unwrap_or("dockerd does not answer");
        Err(EngineError::CannotRun(said.to_owned()))
    }

    /// The process, for a caller that ends it in its own way, waits for it, and calls [`run`](Engine::run) again.
    pub fn take_dockerd(&mut self) -> Option<Child> {
        self.dockerd.take()
    }

    /// Its address, as `DOCKER_HOST` has it.
    pub fn host(&self) -> String {
        format!("unix://{}", api::socket(&self.folder).display())
    }

    /// Whether containers can be run at all.
    fn probe(&self) -> Result<(), EngineError> {
        let id = self.create("probe", &serde_json::json!({"Cmd": ["true"]}))?;
        let (status, said) = self.ask("POST", &format!("/containers/{id}/start"), b"")?;
        self.remove(&id)?;
        match status {
            200..300 => Ok(()),
            _ => {
                let said = String::from_utf8_lossy(&said).trim().to_owned();
                Err(EngineError::CannotRun(said))
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Containers may outlive the engine.
        for container in self.containers().unwrap_or_default() {
            let _ = container["Id"].as_str().map(|id| self.remove(id));
        }
        drop(self.wanted.take());
        // The janitor sees dockerd go only once this process has waited for it.
        let _ = self.dockerd.take().map(|mut dockerd| dockerd.wait());
        let _ = self.janitor.wait();
    }
}

/// Where a program is.
fn find(name: &'static str) -> Result<PathBuf, EngineError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.exists())
        .ok_or(EngineError::Missing(name))
}
