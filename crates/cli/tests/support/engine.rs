//! A private container engine, with an image of its own: no registry, no network, nothing of the machine's own engine.
//!
//! It is gone after the tests, however they end: a janitor waits for the end of a pipe that only this process holds.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::PATIENCE;

/// The image: a busybox in /bin and nothing else.
pub const IMAGE: &str = "queuectl-test:1";

/// `cargo xtask test` excuses a skipped test whose reason begins like this, in CI too.
const CANNOT_RUN: &str = "no container engine can run here";
const NOT_INSTALLED: &str = "no container engine could be installed here";

const JANITOR: &str = r#"
cat > /dev/null
pid=$(cat "$1/pid") && kill "$pid"
while [ -n "$pid" ] && kill -0 "$pid" 2> /dev/null; do sleep 0.1; done
grep -o " $1/[^ ]*" /proc/mounts | tac | while read -r mount; do umount -l "$mount"; done
rm -rf --one-file-system "$1"
"#;

/// The engine.
pub struct Engine {
    folder: PathBuf,
    options: &'static [&'static str],
    dockerd: Option<Child>,
    janitor: Child,
    /// Open as long as the engine is wanted.
    wanted: Option<ChildStdin>,
}

/// The one that most tests share; else why there is none.
pub fn shared() -> Result<&'static Engine, String> {
    static ENGINE: OnceLock<Result<Engine, String>> = OnceLock::new();
    ENGINE
        .get_or_init(|| Engine::start(&[]))
        .as_ref()
        .map_err(Clone::clone)
}

impl Engine {
    /// Starts one.
    pub fn start(options: &'static [&'static str]) -> Result<Engine, String> {
        if let Ok(why) = std::env::var("QUEUECTL_TEST_NO_ENGINE") {
            return Err(format!("{NOT_INSTALLED}: {why}"));
        }
        let busybox = ["dockerd", "busybox", "tar"]
            .map(find)
            .into_iter()
            .collect::<Result<Vec<_>, _>>()?
            .remove(1);
        if !nix::unistd::geteuid().is_root() {
            return Err(format!("{CANNOT_RUN}: only root can start one"));
        }
        let folder = tempfile::Builder::new()
            .prefix("engine")
            .tempdir()
            .unwrap()
            .keep();
        let mut janitor = Command::new("sh");
        janitor
            .args(["-c", JANITOR, "janitor"])
            .arg(&folder)
            .stdin(Stdio::piped());
        let mut janitor = janitor
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut engine = Engine {
            wanted: janitor.stdin.take(),
            folder,
            options,
            dockerd: None,
            janitor,
        };
        engine.run()?;
        engine.import(&busybox)?;
        engine.probe()?;
        Ok(engine)
    }

    /// Runs dockerd and waits until it answers.
    pub fn run(&mut self) -> Result<(), String> {
        let log = self.folder.join("log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let mut command = Command::new("dockerd");
        for (option, name) in [
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
        ] {
            command.arg(option).arg(self.folder.join(name));
        }
        command
            .args(["--iptables=false", "--bridge=none", "--host", &self.host()])
            .args(self.options)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .process_group(0);
        let mut child = command.spawn().unwrap();
        let begun = Instant::now();
        let (ended, answers) = loop {
            let ended = child.try_wait().unwrap().is_some();
            let answers = !ended
                && self
                    .ask("GET", "/_ping", b"")
                    .is_ok_and(|(status, _)| status == 200);
            if ended || answers || begun.elapsed() > PATIENCE {
                break (ended, answers);
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        self.dockerd = Some(child).filter(|_| !ended);
        if answers {
            return Ok(());
        }
        let text = fs::read_to_string(&log).unwrap_or_default();
        let last = text
            .lines()
            .last()
            .unwrap_or("dockerd does not answer")
            .to_owned();
        Err(format!("{CANNOT_RUN}: {last}"))
    }

    /// Ends dockerd, as an upgrade does.
    pub fn stop(&mut self) {
        let mut child = self.dockerd.take().unwrap();
        super::unix::send(
            i32::try_from(child.id()).unwrap(),
            nix::sys::signal::Signal::SIGTERM,
        );
        super::done::wait_exit(&mut child, "dockerd");
    }

    fn import(&self, busybox: &Path) -> Result<(), String> {
        let root = tempfile::tempdir().unwrap();
        let bin = root.path().join("bin");
        fs::create_dir(&bin).unwrap();
        fs::copy(busybox, bin.join("busybox")).unwrap();
        let names = Command::new(busybox).arg("--list").output().unwrap().stdout;
        let names = String::from_utf8(names).unwrap();
        for name in names.lines().filter(|name| *name != "busybox") {
            symlink("busybox", bin.join(name)).unwrap();
        }
        let runs = Command::new("chroot")
            .arg(root.path())
            .args(["/bin/busybox", "true"])
            .output();
        if !runs.is_ok_and(|output| output.status.success()) {
            return Err(
                "the busybox here is not static (on Debian: apt-get install busybox-static)".to_owned(),
            );
        }
        let tar = Command::new("tar")
            .arg("-C")
            .arg(root.path())
            .args(["-c", "."])
            .output()
            .unwrap();
        let (name, tag) = IMAGE.split_once(':').unwrap();
        let path = format!("/images/create?fromSrc=-&repo={name}&tag={tag}");
        let (status, body) = self.ask("POST", &path, &tar.stdout).unwrap();
        assert_eq!(status, 200, "{}", String::from_utf8_lossy(&body));
        Ok(())
    }

    /// Whether containers can be run at all.
    fn probe(&self) -> Result<(), String> {
        let id = self.create("probe", r#""Cmd":["true"]"#);
        let (status, body) = self.ask("POST", &format!("/containers/{id}/start"), b"").unwrap();
        self.remove(&id);
        match status {
            204 => Ok(()),
            _ => Err(format!("{CANNOT_RUN}: {}", String::from_utf8_lossy(&body).trim())),
        }
    }

    /// How jobs reach it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.join("sock").display())
    }

    /// Makes a container; `members` are those of its description, beside the image.
    pub fn create(&self, name: &str, members: &str) -> String {
        let body = format!(r#"{{"Image":"{IMAGE}",{members}}}"#);
        let (status, answer) = self
            .ask(
                "POST",
                &format!("/containers/create?name={name}"),
                body.as_bytes(),
            )
            .unwrap();
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&answer));
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        answer["Id"].as_str().unwrap().to_owned()
    }

    pub fn post(&self, path: &str) {
        let (status, body) = self.ask("POST", path, b"").unwrap();
        assert!(status < 300, "{path}: {}", String::from_utf8_lossy(&body));
    }

    /// Kills and removes a container.
    pub fn remove(&self, id: &str) {
        let (status, body) = self
            .ask("DELETE", &format!("/containers/{id}?force=1"), b"")
            .unwrap();
        assert_eq!(status, 204, "{}", String::from_utf8_lossy(&body));
    }

    /// What the engine says to a question.
    pub fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, b"").unwrap();
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// The containers with that text in their name, running or not.
    pub fn containers(&self, part: &str) -> Vec<Value> {
        let all = self.get("/containers/json?all=1");
        let named = |container: &&Value| container["Names"][0].as_str().unwrap().contains(part);
        all.as_array().unwrap().iter().filter(named).cloned().collect()
    }

    fn ask(&self, method: &str, path: &str, body: &[u8]) -> std::io::Result<(u16, Vec<u8>)> {
        let mut stream = UnixStream::connect(self.folder.join("sock"))?;
        // With 1.0, the end of the connection is the end of the answer.
        let kind = if path.starts_with("/images") {
            "application/x-tar"
        } else {
            "application/json"
        };
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: engine\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
        )?;
        stream.write_all(body)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n");
        let head = String::from_utf8_lossy(&answer[..end.unwrap_or(0)]).into_owned();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        match (end, status) {
            (Some(end), Some(status)) => Ok((status, answer.split_off(end + 4))),
            _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Containers may outlive this kind of engine.
        if self.ask("GET", "/_ping", b"").is_ok() {
            for container in self.containers("") {
                self.remove(container["Id"].as_str().unwrap());
            }
        }
        drop(self.wanted.take());
        // The janitor sees dockerd go only once this process has waited for it.
        let _ = self.dockerd.take().map(|mut dockerd| dockerd.wait());
        let _ = self.janitor.wait();
    }
}

/// Where a program is; else that it is missing, which in CI is nobody's excuse.
fn find(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.exists())
        .ok_or_else(|| format!("there is no {name} (on Debian: apt-get install docker.io busybox-static)"))
}
