//! What every measurement needs: the release binary, its plugins and the no-op plugin, and a queue of its own.

use std::cell::OnceCell;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};

use queuectl_devkit::postgres::{Server, Setup};
use queuectl_devkit::{Binaries, cargo, root, target};

/// The rig's queue.
pub const QUEUE: &str = "queue.db";

/// The place where things are measured.
pub struct Rig {
    folder: tempfile::TempDir,
    binary: PathBuf,
    tool: OnceCell<PathBuf>,
    /// How many jobs a large queue has.
    pub jobs: u64,
    /// How long what is watched over time is watched, in minutes.
    pub minutes: u32,
    /// Runs of each measurement.
    pub runs: u32,
    /// Processors.
    pub cores: usize,
}

impl Rig {
    /// Installs a build into a temporary folder beside the target folder, which is on a real disk.
    pub fn new(built: &Binaries, runs: u32, jobs: u64, minutes: u32) -> anyhow::Result<Self> {
        let target = target()?;
        let folder = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(&target)
            .context("cannot make a folder")?;
        let binary = built.lay_out(folder.path())?;
        let plugin = folder
            .path()
            .join("lib/queuectl/plugins/libqueuectl_plugin_noop.so");
        let compiled = Command::new("cc")
            .args(["-O2", "-fPIC", "-shared", "-I"])
            .arg(root().join("crates/plugin-api/include"))
            .arg("-o")
            .args([&plugin, &root().join("benches/noop.c")])
            .status()
            .context("cannot start cc")?;
        ensure!(compiled.success(), "the no-op plugin does not compile");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Rig {
            folder,
            binary,
            tool: OnceCell::new(),
            jobs,
            minutes,
            runs,
            cores,
        })
    }

    /// The temporary folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A PostgreSQL server that waits for the disk. It must be installed.
    pub fn server(&self, settings: &[&str]) -> anyhow::Result<Server> {
        let server = Server::with(&Setup {
            address: "127.0.0.1",
            durable: true,
            settings,
        })?;
        server.context("no PostgreSQL server is installed")
    }

    /// Takes the queue away.
    pub fn fresh(&self) -> anyhow::Result<()> {
        self.remove(QUEUE)
    }

    /// Takes a queue away.
    pub fn remove(&self, queue: &str) -> anyhow::Result<()> {
        for end in ["", "-wal", "-shm"] {
            match fs::remove_file(self.path(&format!("{queue}{end}"))) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        match fs::remove_dir_all(self.path(&format!("{queue}.d"))) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Runs the development tool of the storage crate on a queue; returns what it printed.
    pub fn tool(&self, verb: &str, queue: &str, arguments: &[&str]) -> anyhow::Result<String> {
        self.tool_at(verb, self.path(queue).as_os_str(), arguments)
    }

    /// The same on a queue that is anywhere.
    pub fn tool_at(&self, verb: &str, queue: &OsStr, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(self.made_tool()?)
            .arg(verb)
            .arg(queue)
            .args(arguments)
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start the tool that fills queues")?;
        ensure!(output.status.success(), "the tool that fills queues failed");
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Compiles it when it is first needed: most measurements do without.
    fn made_tool(&self) -> anyhow::Result<&Path> {
        if let Some(tool) = self.tool.get() {
            return Ok(tool);
        }
        let mut cargo = cargo(["build", "--release", "--package", "queuectl-storage"]);
        let output = cargo
            .args(["--bench", "scale", "--message-format=json-render-diagnostics"])
            .stderr(Stdio::inherit())
            .output()
            .context("cannot start cargo")?;
        ensure!(
            output.status.success(),
            "the tool that fills queues does not compile"
        );
        let said = String::from_utf8(output.stdout)?;
        let messages = said
            .lines()
            .map_while(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        let program = messages
            .filter(|message| message["target"]["name"] == "scale")
            .find_map(|message| message["executable"].as_str().map(PathBuf::from));
        let program = program.context("cargo does not say where the tool that fills queues is")?;
        Ok(self.tool.get_or_init(|| program))
    }

    /// Makes a new queue with jobs in these states.
    pub fn fill(&self, queue: &str, arguments: &[&str]) -> anyhow::Result<()> {
        self.remove(queue)?;
        self.tool("fill", queue, arguments)?;
        // What this left to be written is not for the measurement to wait for.
        let file = fs::File::open(self.path(queue))?;
        file.sync_all().context("cannot write the queue to the disk")
    }

    /// A call of queuectl on the rig's queue, quiet.
    pub fn queuectl(&self, arguments: &[&str]) -> Command {
        self.queuectl_on(QUEUE, arguments)
    }

    /// A call of queuectl on another queue, quiet.
    pub fn queuectl_on(&self, queue: &str, arguments: &[&str]) -> Command {
        self.queuectl_at(self.path(queue).as_os_str(), arguments)
    }

    /// A call of queuectl on a queue that is anywhere, quiet.
    pub fn queuectl_at(&self, queue: &OsStr, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .env("QUEUECTL_DB", queue)
            .env("XDG_DATA_HOME", self.path("data"))
            .env_remove("QUEUECTL_PLUGIN_PATH")
            .args(arguments);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    /// Runs queuectl to its end, which must be a success; returns the seconds.
    pub fn timed(&self, arguments: &[&str]) -> anyhow::Result<f64> {
        timed(&mut self.queuectl(arguments))
    }

    /// Starts a node and waits until it is there.
    pub fn node(&self, arguments: &[&str]) -> anyhow::Result<Node> {
        self.node_at(self.path(QUEUE).as_os_str(), arguments)
    }

    /// The same on a queue that is anywhere.
    pub fn node_at(&self, queue: &OsStr, arguments: &[&str]) -> anyhow::Result<Node> {
        let mut all = vec!["worker:start", "-q"];
        all.extend(arguments);
        let node = self.queuectl_at(queue, &all).spawn();
        let node = Node(node.context("cannot start the node")?);
        // A job that has run, before all others: the node and its workers are there, plugins are loaded.
        let first = ["enqueue", "--wait", "--priority", "1000000", "true"];
        timed(&mut self.queuectl_at(queue, &first))?;
        Ok(node)
    }

    /// A named pipe, by which a job can give a sign.
    pub fn named_pipe(&self, name: &str) -> anyhow::Result<PathBuf> {
        let pipe = self.path(name);
        let made = Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .context("cannot start mkfifo")?;
        ensure!(made.success(), "cannot make a named pipe");
        Ok(pipe)
    }

    /// A file of the workspace.
    pub fn source(&self, path: &str) -> PathBuf {
        root().join(path)
    }

    /// Writes a file of jobs, one line each.
    pub fn jobs(&self, count: usize, line: &str) -> anyhow::Result<String> {
        self.lines("jobs.jsonl", count, |_| line.to_owned())
    }

    /// Writes a file of jobs of which each can be another, one line each.
    pub fn lines(&self, name: &str, count: usize, line: impl Fn(usize) -> String) -> anyhow::Result<String> {
        let path = self.path(name);
        let lines: String = (0..count).map(|at| line(at) + "\n").collect();
        fs::write(&path, lines)?;
        Ok(path.display().to_string())
    }
}

/// Runs a command to its end, which must be a success; returns the seconds.
pub fn timed(command: &mut Command) -> anyhow::Result<f64> {
    let start = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    // Not its environment, which may have a password in it.
    let arguments = command.get_args().collect::<Vec<_>>();
    ensure!(
        status.success(),
        "{} {arguments:?} ended with {status}",
        command.get_program().display()
    );
    Ok(start.elapsed().as_secs_f64())
}

/// A figure in the status of a process, in MiB.
pub fn memory(pid: u32, what: &str) -> anyhow::Result<f64> {
    let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(what));
    let line = line.with_context(|| format!("no {what}"))?;
    let number = line.trim_start_matches(':').trim().trim_end_matches(" kB");
    Ok(number.parse::<f64>()? / 1024.0)
}

/// A node, stopped when dropped.
pub struct Node(Child);

impl Node {
    /// The dispatcher's number.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // The node's own way out; killed only if that cannot be asked for.
        let asked = Command::new("kill")
            .args(["-TERM", &self.0.id().to_string()])
            .status();
        if !asked.is_ok_and(|status| status.success()) {
            let _ = self.0.kill();
        }
        let _ = self.0.wait();
    }
}
