//! Faults at system calls, injected by `strace`.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

use anyhow::{Context, ensure};

use super::rig::{Queue, complaint, finish, wait_for};

/// What becomes of a call: the fault in the words of `strace`, at the n-th of these calls.
#[derive(Debug, Clone, Copy)]
pub struct Injection<'a> {
    pub call: &'a str,
    pub fault: &'a str,
    pub n: u32,
}

impl Injection<'_> {
    fn options(&self) -> [String; 4] {
        let Injection { call, fault, n } = self;
        let inject = format!("inject={call}:{fault}:when={n}");
        ["-e".into(), format!("trace={call}"), "-e".into(), inject]
    }
}

/// Why this cannot be tried here, if it cannot.
pub fn impossible() -> Option<String> {
    let tried = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("strace does not work: {}", complaint(&output))),
        Err(error) => Some(format!("strace cannot be started: {error}")),
    }
}

/// The same of a process that runs already, and is no child of `strace`.
pub fn cannot_attach() -> Option<String> {
    impossible().or_else(|| {
        let mut process = Command::new("sleep").arg("60").spawn().ok()?;
        let folder = tempfile::tempdir().ok()?;
        let tracer = Tracer::attach(process.id(), folder.path().join("trace"), None);
        let _ = process.kill();
        let _ = process.wait();
        tracer.err().map(|error| format!("{error:#}"))
    })
}

/// Runs a command with a fault, and says whether it came to that. Only the thread that uses the queue is traced, which is
/// the first one; worker processes are not.
pub fn under_strace(
    queue: &Queue,
    arguments: &[&str],
    injection: Injection<'_>,
) -> anyhow::Result<(Output, bool)> {
    let trace = queue.work.join("trace");
    let plain = queue.command(arguments);
    let mut traced = Command::new("strace");
    traced
        .arg("-o")
        .arg(&trace)
        .args(injection.options())
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(&queue.work)
        .stdin(Stdio::null());
    for (name, value) in plain.get_envs() {
        match value {
            Some(value) => traced.env(name, value),
            None => traced.env_remove(name),
        };
    }
    let output = finish(traced)?;
    let fired = came_to_it(&fs::read_to_string(&trace)?) || output.status.signal() == Some(9);
    Ok((output, fired))
}

/// Whether a trace has the fault.
pub fn came_to_it(trace: &str) -> bool {
    trace.contains("INJECTED") || trace.contains("killed by SIGKILL")
}

/// A `strace` of the first thread of a process, from some moment on.
pub struct Tracer {
    child: Child,
    trace: std::path::PathBuf,
    /// Kept open: what else it says must not end it.
    _stderr: BufReader<ChildStderr>,
}

impl Tracer {
    /// Begins, and returns when every call is seen; without an injection all of them are only written down.
    pub fn attach(
        pid: u32,
        trace: std::path::PathBuf,
        injection: Option<Injection<'_>>,
    ) -> anyhow::Result<Tracer> {
        let mut strace = Command::new("strace");
        strace.arg("-o").arg(&trace);
        if let Some(injection) = injection {
            strace.args(injection.options());
        }
        strace.args(["-p", &pid.to_string()]);
        let mut child = strace
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start strace")?;
        let mut said = String::new();
        let mut stderr = BufReader::new(child.stderr.take().context("no pipe")?);
        stderr.read_line(&mut said)?;
        let tracer = Tracer {
            child,
            trace,
            _stderr: stderr,
        };
        ensure!(said.contains("attached"), "strace does not work: {}", said.trim());
        Ok(tracer)
    }

    /// Waits for the end of the process. The trace.
    pub fn wait(mut self) -> anyhow::Result<String> {
        wait_for("the end of strace", || Ok(self.child.try_wait()?))?;
        Ok(fs::read_to_string(&self.trace)?)
    }
}

impl Drop for Tracer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
