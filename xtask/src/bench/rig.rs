//! What every measurement needs: the release binary, its plugins and the no-op plugin, and a queue of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};

use crate::build::Built;
use crate::install;
use crate::workspace::Workspace;

/// The place where things are measured.
pub struct Rig {
    folder: tempfile::TempDir,
    binary: PathBuf,
    /// Runs of each measurement.
    pub runs: u32,
    /// Processors.
    pub cores: usize,
}

impl Rig {
    /// Installs a build into a temporary folder beside the target folder, which is on a real disk.
    pub fn new(workspace: &Workspace, built: &Built, runs: u32) -> anyhow::Result<Self> {
        let target = workspace.metadata.target_directory.as_std_path();
        let folder = tempfile::Builder::new()
            .prefix("bench-")
            .tempdir_in(target)
            .context("cannot make a folder")?;
        let placed = install::place(built, folder.path())?;
        let binary = placed.first().context("there is no binary")?.clone();
        let plugin = folder
            .path()
            .join("lib/queuectl/plugins/libqueuectl_plugin_noop.so");
        let compiled = Command::new("cc")
            .args(["-O2", "-fPIC", "-shared", "-I"])
            .arg(workspace.root().join("crates/plugin-api/include"))
            .arg("-o")
            .args([&plugin, &workspace.root().join("benches/noop.c")])
            .status()
            .context("cannot start cc")?;
        ensure!(compiled.success(), "the no-op plugin does not compile");
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Rig {
            folder,
            binary,
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

    /// Takes the queue away.
    pub fn fresh(&self) -> anyhow::Result<()> {
        for name in ["queue.db", "queue.db-wal", "queue.db-shm"] {
            match fs::remove_file(self.path(name)) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        match fs::remove_dir_all(self.path("queue.db.d")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// A call of queuectl on the rig's queue, quiet.
    pub fn queuectl(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.binary);
        let queue = self.path("queue.db");
        command
            .env("QUEUECTL_DB", queue)
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
        let mut all = vec!["worker:start", "-q"];
        all.extend(arguments);
        let child = self.queuectl(&all).spawn().context("cannot start the node")?;
        // A job that has run: the node and its workers are there, plugins are loaded.
        self.timed(&["enqueue", "--wait", "true"])?;
        Ok(Node(child))
    }

    /// Writes a file of jobs, one line each.
    pub fn jobs(&self, count: usize, line: &str) -> anyhow::Result<String> {
        let path = self.path("jobs.jsonl");
        fs::write(&path, format!("{line}\n").repeat(count))?;
        Ok(path.display().to_string())
    }
}

/// Runs a command to its end, which must be a success; returns the seconds.
pub fn timed(command: &mut Command) -> anyhow::Result<f64> {
    let start = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("cannot start {}", command.get_program().display()))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(start.elapsed().as_secs_f64())
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
