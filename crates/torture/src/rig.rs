//! An installed binary, and queues in folders for it.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::Value;

use queuectl_devkit::{Binaries, Profile, target};

/// Longest that anything may take before it counts as hanging.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// A binary in a folder of its own, outside of which nothing is touched.
pub struct Rig {
    folder: tempfile::TempDir,
    binary: PathBuf,
    development: bool,
}

impl Rig {
    /// Installs a build into a temporary folder beside the target folder, which is on a real disk.
    pub fn new(built: &Binaries) -> anyhow::Result<Rig> {
        let folder = tempfile::Builder::new()
            .prefix("torture-")
            .tempdir_in(target()?)
            .context("cannot make a folder")?;
        let binary = built.lay_out(folder.path())?;
        Ok(Rig {
            folder,
            binary,
            development: built.profile() == Profile::Dev,
        })
    }

    /// A path in the temporary folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A new, empty folder.
    pub fn fresh(&self, name: &str) -> anyhow::Result<PathBuf> {
        let path = self.path(name);
        if path.exists() {
            fs::remove_dir_all(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path)
    }

    /// Whether guarantees can be switched off, which only a development build allows.
    pub fn has_controls(&self) -> bool {
        self.development
    }

    /// Notes that a part cannot be run on this machine.
    pub fn skip(&self, part: &str, reason: &str) {
        println!("  skipped: {part}: {reason}");
    }

    /// A queue in that file; jobs and their logs are in `work`.
    pub fn queue(&self, db: PathBuf, work: PathBuf) -> Queue {
        Queue {
            binary: self.binary.clone(),
            db,
            work,
            plugins: None,
            without: None,
        }
    }
}

/// A queue, and where its jobs run.
#[derive(Clone)]
pub struct Queue {
    binary: PathBuf,
    /// Its file.
    pub db: PathBuf,
    /// The working folder of its commands and so of its jobs.
    pub work: PathBuf,
    /// A folder with more plugins.
    pub plugins: Option<PathBuf>,
    /// A guarantee that is switched off, for a control.
    pub without: Option<&'static str>,
}

impl Queue {
    /// A command on it, in a known environment.
    pub fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(&self.binary);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("QUEUECTL_") {
                command.env_remove(&name);
            }
        }
        if let Some(guarantee) = self.without {
            command.env("QUEUECTL_TEST_WITHOUT", guarantee);
        }
        if let Some(plugins) = &self.plugins {
            command.arg("--plugin-dir").arg(plugins);
        }
        command
            .arg("--db")
            .arg(&self.db)
            .args(arguments)
            .current_dir(&self.work)
            .stdin(Stdio::null());
        command
    }

    /// Runs a command to its end.
    pub fn run<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> anyhow::Result<Output> {
        finish(self.command(arguments))
    }

    /// Runs a command that must succeed; what it printed.
    pub fn ok<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> anyhow::Result<String> {
        succeeded(&self.run(arguments)?)
    }

    /// Runs a command that prints JSON.
    pub fn json<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> anyhow::Result<Value> {
        let mut command = self.command(["--json"]);
        command.args(arguments);
        let text = succeeded(&finish(command)?)?;
        serde_json::from_str(&text).context("no JSON")
    }

    /// All jobs.
    pub fn jobs(&self) -> anyhow::Result<Vec<Value>> {
        let jobs = self.json(["list", "--limit", "1000000"])?;
        Ok(jobs.as_array().context("no list")?.clone())
    }

    /// An error unless the file is whole.
    pub fn check(&self) -> anyhow::Result<()> {
        let output = self.run(["db:check"])?;
        let said = String::from_utf8_lossy(&output.stdout);
        ensure!(output.status.success(), "db:check: {said}{}", complaint(&output));
        Ok(())
    }
}

/// Runs a command to its end, with its output; an error if it takes too long.
pub fn finish(command: Command) -> anyhow::Result<Output> {
    let about = format!("{command:?}");
    finish_within(command, PATIENCE)?.with_context(|| format!("{about} hangs"))
}

/// The same; none if it took longer than that and was killed.
pub fn finish_within(command: Command, limit: Duration) -> anyhow::Result<Option<Output>> {
    let until = Instant::now() + limit;
    finish_unless(command, || Instant::now() > until)
}

/// The same; none if it was killed because of that.
pub fn finish_unless(mut command: Command, given_up: impl Fn() -> bool) -> anyhow::Result<Option<Output>> {
    let about = format!("{command:?}");
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {about}"))?;
    let (mut out, mut err) = (child.stdout.take(), child.stderr.take());
    let reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = err.as_mut().map(|err| std::io::Read::read_to_end(err, &mut text));
        text
    });
    let stdout_reader = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = out.as_mut().map(|out| std::io::Read::read_to_end(out, &mut text));
        text
    });
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if given_up() {
            let _ = child.kill();
            let _ = child.wait();
            return Ok(None);
        }
        std::thread::sleep(Duration::from_micros(500));
    };
    Ok(Some(Output {
        status,
        stdout: stdout_reader.join().unwrap_or_default(),
        stderr: reader.join().unwrap_or_default(),
    }))
}

/// What a command printed, if it succeeded.
pub fn succeeded(output: &Output) -> anyhow::Result<String> {
    ensure!(
        output.status.success(),
        "{}: {}",
        output.status,
        complaint(output)
    );
    Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
}

/// What a command complained of.
pub fn complaint(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// Waits for something to be there; an error that names it if that takes too long.
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> anyhow::Result<Option<T>>) -> anyhow::Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look()? {
            return Ok(found);
        }
        ensure!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
