//! A host with the real shell plugin, for tests that run real processes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses its part of this")]
#![allow(
    clippy::allow_attributes,
    reason = "an expectation would fail where a file uses everything"
)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use queuectl_core::settings::Leftovers;
use queuectl_core::{JobId, OutcomeKind};
use queuectl_executor::{
    Finished, Host, HostConfig, PluginSettings, Report, Run, RunKey, SearchPath, StopReason, processes,
};
use serde_json::{Value, json};

/// A process has one host, so tests take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Waits until no other test has a host.
pub fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Longest that anything here may take before the test fails instead of hanging.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Builds the shell plugin once and returns a folder that holds nothing else.
pub fn plugins() -> &'static Path {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let exe = std::env::current_exe().unwrap();
        let profile = exe.parent().and_then(Path::parent).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", "queuectl-plugin-shell"]);
        build.arg("--target-dir").arg(profile.parent().unwrap());
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(
            build
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status()
                .unwrap()
                .success()
        );
        let folder = tempfile::tempdir().unwrap();
        let name = plugin_file("shell");
        std::fs::copy(profile.join(&name), folder.path().join(name)).unwrap();
        folder
    });
    made.path()
}

/// Settings with this shell.
pub fn shell(shell: &str) -> PluginSettings {
    PluginSettings {
        shell: shell.to_owned(),
        ..PluginSettings::default()
    }
}

pub fn plugin_file(name: &str) -> String {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    format!("{DLL_PREFIX}queuectl_plugin_{name}{DLL_SUFFIX}")
}

/// Today's header, and the frozen ones of each minor version.
pub const HEADERS: [&str; 5] = [
    concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-api/include"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-api/tests/headers/1.0"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-api/tests/headers/1.1"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-api/tests/headers/1.2"),
    concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-api/tests/headers/1.3"),
];

/// Compiles a C source into a plugin in `folder`; false where there is no C compiler.
pub fn compile_plugin(folder: &Path, name: &str, source: &str) -> bool {
    compile_plugin_with(folder, name, source, HEADERS[0])
}

/// The same with the header in the folder `include`.
pub fn compile_plugin_with(folder: &Path, name: &str, source: &str, include: &str) -> bool {
    if Command::new("cc").arg("--version").output().is_err() {
        assert!(
            std::env::var_os("CI").is_none(),
            "no C compiler, and CI must not skip this test"
        );
        println!("skipped: {name} (no C compiler named cc)");
        return false;
    }
    let file = folder.join(format!("{name}.c"));
    std::fs::write(&file, source).unwrap();
    let output = Command::new("cc")
        .args([
            "-std=c99", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-pthread", "-I", include, "-o",
        ])
        .args([&folder.join(plugin_file(name)), &file])
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    true
}

/// A run of a payload, whose output goes into that folder.
pub fn run_of(number: i64, payload: Value, folder: &Path) -> Run {
    Run {
        key: RunKey {
            job: JobId(number),
            fence: 100 + number,
        },
        public_id: format!("job{number}"),
        attempt: 1,
        queue: "default".to_owned(),
        executor: "shell".parse().unwrap(),
        payload: payload.to_string(),
        terminal: None,
        parents: None,
        groups: None,
        checkpoint: None,
        timeout: None,
        kill_grace: Duration::from_secs(30),
        leftovers: Leftovers::Kill,
        output_limit: 64 * 1024,
        output_file_limit: 1024 * 1024,
        output_file: folder.join("out").join(number.to_string()),
        used: Duration::ZERO,
    }
}

/// A host and what it reports.
pub struct Bench {
    host: Option<Host>,
    finished: Receiver<Finished>,
    pub handles: Receiver<(RunKey, Vec<u8>)>,
    pub folder: tempfile::TempDir,
    next: i64,
    pub cookie: String,
    _turn: MutexGuard<'static, ()>,
}

impl Bench {
    pub fn new() -> Bench {
        Bench::with_folders([plugins().to_owned()])
    }

    pub fn with_folders(folders: impl IntoIterator<Item = PathBuf>) -> Bench {
        let turn = turn();
        processes::become_subreaper().unwrap();
        let (send, finished) = channel();
        let folder = tempfile::tempdir().unwrap();
        // As that of a node's worker process: STORE.NODE.NUMBER.
        let name = folder.path().file_name().unwrap().to_string_lossy();
        let cookie = format!("test{}.{}.1.", std::process::id(), name.trim_matches('.'));
        let config = HostConfig {
            call_record: None,
            search: SearchPath::new(folders),
            settings: shell("sh"),
            call_limit: queuectl_executor::CALL_LIMIT,
            cookie: cookie.clone(),
            mark: "store.bench".to_owned(),
        };
        let (save, handles) = channel();
        let host = Host::new(config, move |report| match report {
            Report::Finished(finished) => drop(send.send(finished)),
            Report::Handle { key, handle } => drop(save.send((key, handle))),
            Report::Suspension { key, suspension } => eprintln!("{key:?}: {suspension:?}"),
            Report::Ending { reason, .. } => eprintln!("ending: {reason}"),
        })
        .unwrap();
        Bench {
            host: Some(host),
            finished,
            handles,
            folder,
            next: 1,
            cookie,
            _turn: turn,
        }
    }

    pub fn host(&self) -> &Host {
        self.host.as_ref().unwrap()
    }

    /// A run of a payload, to be adjusted.
    pub fn run(&mut self, payload: Value) -> Run {
        let number = self.next;
        self.next += 1;
        run_of(number, payload, self.folder.path())
    }

    pub fn line(&mut self, line: &str) -> Run {
        self.run(json!({ "command": line }))
    }

    /// Starts a run and waits for the report.
    pub fn finish(&mut self, run: Run) -> Finished {
        let key = run.key;
        self.host().start(run);
        let report = self.next();
        assert_eq!(report.key, key);
        report
    }

    /// Runs a command line to its end.
    pub fn sh(&mut self, line: &str) -> Finished {
        let run = self.line(line);
        self.finish(run)
    }

    pub fn next(&self) -> Finished {
        self.finished.recv_timeout(PATIENCE).expect("a report")
    }

    pub fn stop(&self, key: RunKey) {
        self.host().stop(key, StopReason::Cancelled);
    }

    /// Ends the host; returns what it still reported.
    pub fn shut_down(mut self) -> Vec<Finished> {
        self.host.take().unwrap().shut_down();
        self.finished.try_iter().collect()
    }

    /// A named pipe by which a job tells the test how far it is.
    #[cfg(unix)]
    pub fn fifo(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        path
    }
}

/// What a job wrote into a named pipe: blocks until it opened and closed it.
pub fn hear(fifo: &Path) -> String {
    std::fs::read_to_string(fifo).unwrap().trim().to_owned()
}

/// Says that a test did not run, as `queuectl-testkit` does, which knows the store and so is not for this crate.
pub fn skipped(test: &str, reason: &str) {
    use std::io::Write;
    let line = format!("skipped: {test}: {reason}\n");
    eprint!("{line}");
    if let Some(path) = std::env::var_os("QUEUECTL_TEST_SKIPS") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(line.as_bytes())).unwrap();
    }
}

/// Whether a process is there and alive.
#[cfg(unix)]
pub fn lives(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    match stat {
        Ok(stat) => !stat.rsplit(") ").next().unwrap().starts_with('Z'),
        Err(_) if cfg!(target_os = "linux") => false,
        Err(_) => nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_ok(),
    }
}

/// The report's kind and message.
pub fn told(report: &Finished) -> (OutcomeKind, &str) {
    (report.outcome.kind, report.outcome.message.as_str())
}

pub fn text(report: &Finished) -> String {
    String::from_utf8_lossy(&report.output.head).into_owned()
}
