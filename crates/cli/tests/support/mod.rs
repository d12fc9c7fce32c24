//! A queue in a folder of its own, driven through the real binary, and nodes as child processes.
//!
//! Everything that a test starts carries a mark in its environment and is killed when the test ends, however it ends.
//! Nothing here waits for time: [`wait_until`] looks for a state, a file or a line, and gives up after [`PATIENCE`].

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, unused_imports, reason = "some tests are for Linux only")
)]

pub mod done;
#[cfg(target_os = "linux")]
pub mod engine;
pub mod jobs;
mod node;
pub mod schema;
#[cfg(unix)]
pub mod unix;
#[cfg(windows)]
pub mod windows;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use queuectl_storage::Location;
use serde_json::Value;

pub use done::{Done, finish};
pub use jobs::GATED;
pub use node::Node;
use schema::Schemas;

/// Longest that anything here may take before the test fails instead of hanging.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The same for a compiler and all that it compiles, beside the other tests.
pub const PATIENCE_WITH_BUILDS: Duration = Duration::from_secs(600);

/// What commands may print.
static SCHEMAS: OnceLock<Schemas> = OnceLock::new();

/// The environment variable with the mark.
pub const MARK: &str = "E2E_MARK";

/// The binary under test; the plugins lie beside it.
pub fn binary() -> PathBuf {
    let binary = match std::env::var_os("QUEUECTL_TEST_BIN_DIR") {
        Some(folder) => {
            Path::new(&folder).join(Path::new(env!("CARGO_BIN_EXE_queuectl")).file_name().unwrap())
        }
        None => PathBuf::from(env!("CARGO_BIN_EXE_queuectl")),
    };
    let plugin = format!(
        "{}queuectl_plugin_shell{}",
        std::env::consts::DLL_PREFIX,
        std::env::consts::DLL_SUFFIX
    );
    let plugin = binary.with_file_name(plugin);
    assert!(
        plugin.exists(),
        "{} is missing; build it first: cargo xtask build",
        plugin.display()
    );
    binary
}

/// Looks again and again until there is something; fails if that takes too long, saying what was waited for.
pub fn wait_for<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    wait_explained(what, look, String::new)
}

/// The same, and says what there is instead.
pub fn wait_explained<T>(what: &str, look: impl FnMut() -> Option<T>, instead: impl FnOnce() -> String) -> T {
    wait_at_most(PATIENCE, what, look, instead)
}

/// The same with a limit of its own.
pub fn wait_at_most<T>(
    most: Duration,
    what: &str,
    mut look: impl FnMut() -> Option<T>,
    instead: impl FnOnce() -> String,
) -> T {
    let mut waited = Duration::ZERO;
    loop {
        let begun = Instant::now();
        if let Some(found) = look() {
            return found;
        }
        if waited >= most {
            panic!("waited in vain for: {what}; {}", instead());
        }
        std::thread::sleep(Duration::from_millis(5));
        // A machine that is held for a while does not use up the patience.
        waited += begun.elapsed().min(Duration::from_secs(1));
    }
}

/// The same for a condition.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    wait_for(what, || holds().then_some(()));
}

/// Whether the queues of this run are on PostgreSQL. `not_on_postgres.txt` names the tests that are not run then.
pub fn on_postgres() -> bool {
    std::env::var("QUEUECTL_TEST_BACKEND").is_ok_and(|backend| backend == "postgres")
}

/// A queue in a folder of its own, which is also the working folder of every command and so of every job. The queue
/// itself is a file in there, or a schema of its own on the PostgreSQL server for tests.
pub struct Queue {
    folder: Arc<tempfile::TempDir>,
    db: PathBuf,
    /// Where it is, if it is no file. It has a password in it.
    server: Option<String>,
    started: AtomicU32,
}

impl Queue {
    /// No queue yet, with all settings at their defaults.
    pub fn new() -> Queue {
        let folder = Arc::new(tempfile::tempdir().unwrap());
        let db = folder.path().join("queue.db");
        let server = on_postgres().then(|| queuectl_testkit::fresh_postgres().expect("a server for tests"));
        Queue {
            folder,
            db,
            server,
            started: AtomicU32::new(0),
        }
    }

    /// A queue whose retries wait next to nothing.
    pub fn quick() -> Queue {
        let queue = Queue::new();
        queue.ok(["config:set", "backoff_cap", "20ms"]);
        queue
    }

    /// A queue on the PostgreSQL server for tests, whatever the others are on. None, and said so, if there is none.
    pub fn postgres(test: &str) -> Option<Queue> {
        let server = queuectl_testkit::fresh_postgres();
        if server.is_none() {
            queuectl_testkit::skipped(test, queuectl_testkit::conformance::NO_SERVER);
        }
        Some(Queue::new().with_server(server?))
    }

    /// The same folder and marks, and another database file.
    pub fn with_db(mut self, db: impl AsRef<Path>) -> Queue {
        self.db = self.folder.path().join(db);
        self.server = None;
        self
    }

    /// The same folder and marks, and another place of the same store.
    pub fn with_server(mut self, server: String) -> Queue {
        self.server = Some(server);
        self
    }

    pub fn db(&self) -> &Path {
        &self.db
    }

    /// Whether the queue was made.
    pub fn exists(&self) -> bool {
        match &self.server {
            Some(_) => self.run(["db:check"]).status != 5,
            None => self.db.exists(),
        }
    }

    /// What names the queue, for `QUEUECTL_DB`.
    pub fn location(&self) -> OsString {
        match &self.server {
            Some(server) => server.into(),
            None => self.db.clone().into(),
        }
    }

    /// The folder on this machine that belongs to the queue.
    pub fn beside(&self) -> PathBuf {
        if self.server.is_none() {
            let mut name = self.db.clone().into_os_string();
            name.push(".d");
            return name.into();
        }
        // The only queue on a server that this test's commands know.
        let all = fs::read_dir(self.path("data/queuectl/postgres"))
            .into_iter()
            .flatten();
        let mut all = all.flatten().map(|entry| entry.path());
        all.next().unwrap_or_else(|| self.path("none"))
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a file in the folder holds; nothing if there is none.
    pub fn read(&self, name: &str) -> String {
        match fs::read(self.path(name)) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(_) => String::new(),
        }
    }

    /// The whole lines of a file in the folder; none if there is no file.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let text = self.read(name);
        let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
        whole.lines().map(str::to_owned).collect()
    }

    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), text).unwrap();
        self.path(name)
    }

    /// Waits until a file has at least this many complete lines.
    pub fn wait_lines(&self, name: &str, count: usize) -> Vec<String> {
        wait_for(&format!("{count} lines in the file {name}"), || {
            Some(self.lines(name)).filter(|lines| lines.len() >= count)
        })
    }

    /// Waits for the number that a job writes as the first line of a file.
    pub fn wait_pid(&self, name: &str) -> i32 {
        self.wait_lines(name, 1)[0].trim().parse().unwrap()
    }

    /// The mark of everything that belongs to this queue.
    pub(crate) fn mark(&self) -> String {
        format!("{}#", self.folder.path().display())
    }

    /// The mark of the next thing that is started.
    pub(crate) fn next_mark(&self) -> String {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        format!("{}{number}#", self.mark())
    }

    /// The binary without a `--db`, in a known environment.
    pub fn bare(&self) -> Command {
        let mut command = Command::new(binary());
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["QUEUECTL_", "XDG_", "PG"]
                .iter()
                .any(|prefix| text.starts_with(prefix))
            {
                command.env_remove(&name);
            }
        }
        command
            .env("HOME", self.path("home"))
            .env("XDG_DATA_HOME", self.path("data"))
            .env("APPDATA", self.path("data"))
            .env("LOCALAPPDATA", self.path("data"))
            .env(MARK, self.mark())
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.bare();
        match &self.server {
            // Never as an argument: it has a password in it.
            Some(server) => command.env("QUEUECTL_DB", server),
            None => command.arg("--db").arg(&self.db),
        };
        command.args(args);
        command
    }

    /// Runs the binary to its end.
    pub fn run<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Done {
        finish(self.command(args), None)
    }

    /// Runs the binary to its end with something on its standard input.
    pub fn run_with<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>, input: &[u8]) -> Done {
        finish(self.command(args), Some(input))
    }

    /// Runs a command that must succeed; what it printed, without the last line feed.
    pub fn ok<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        self.run(args).ok()
    }

    /// Runs a command that must fail with that status; what it printed on standard error.
    pub fn fails<S: AsRef<OsStr>>(&self, status: i32, args: impl IntoIterator<Item = S>) -> String {
        self.run(args).fails(status)
    }

    /// Runs a command with `--json`; it must print exactly one document and nothing else.
    pub fn json<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Value {
        let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let mut command = self.command(["--json"]);
        command.args(&args);
        let printed = finish(command, None).json();
        let words: Vec<String> = args
            .iter()
            .map(|arg| arg.to_string_lossy().into_owned())
            .collect();
        let fits = SCHEMAS.get_or_init(Schemas::read).check(&words, &printed);
        assert_eq!(fits, Ok(()), "{words:?}");
        printed
    }

    /// Stores a job; its id.
    pub fn enqueue<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> String {
        let mut command = self.command(["enqueue"]);
        command.args(args);
        finish(command, None).ok()
    }

    /// Everything about a job.
    pub fn job(&self, id: &str) -> Value {
        self.json(["show", "--secrets", id])
    }

    pub fn state(&self, id: &str) -> String {
        self.job(id)["state"].as_str().unwrap().to_owned()
    }

    /// All jobs, oldest first.
    pub fn jobs(&self) -> Vec<Value> {
        self.json(["list"]).as_array().unwrap().clone()
    }

    /// Waits until a job is in that state.
    pub fn wait_state(&self, id: &str, state: &str) -> Value {
        let mut job = Value::Null;
        wait_for(&format!("job {id} to be {state}"), || {
            job = self.job(id);
            (job["state"] == state).then(|| job.clone())
        })
    }

    /// Starts a node and waits until it runs. Its worker processes are ready when jobs start.
    pub fn start(&self, args: &[&str]) -> Node {
        let node = Node::start(self, args);
        node.wait_log("node started");
        node
    }

    /// Runs a node until nothing is left to do; its exit status.
    pub fn drain(&self, args: &[&str]) -> i32 {
        let mut node = Node::start(self, &[&["--drain"], args].concat());
        node.wait_exit()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        kill_marked(&self.mark());
        if let Some(Ok(Location::Postgres(location))) = self.server.as_ref().map(|server| server.parse()) {
            let _ = queuectl_storage::drop_schema(&location);
        }
    }
}

/// Kills all processes whose mark begins like that, until there are none.
pub fn kill_marked(mark: &str) {
    #[cfg(target_os = "linux")]
    unix::kill_marked(mark);
    #[cfg(not(target_os = "linux"))]
    let _ = mark;
}

/// The attempts of a job, as `show --json` has them, in few words: `1 failed`, `2 succeeded`.
pub fn history(job: &Value) -> Vec<String> {
    let attempts = job["attempt_history"].as_array().unwrap();
    attempts
        .iter()
        .map(|attempt| format!("{} {}", attempt["attempt"], attempt["outcome"].as_str().unwrap()))
        .collect()
}

/// A time of a JSON document, in ms since 1970.
pub fn time_ms(value: &Value) -> i64 {
    let text = value.as_str().unwrap_or_else(|| panic!("a time, not {value}"));
    text.parse::<jiff::Timestamp>().unwrap().as_millisecond()
}
