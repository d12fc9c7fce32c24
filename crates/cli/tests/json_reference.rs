//! docs/json.md names exactly the fields that `--json` prints.
//!
//! The jobs here name an executor that does not exist, so that attempts come about without any plugin.

#[path = "support/schema.rs"]
mod schema;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use self::schema::Schemas;

fn binary() -> PathBuf {
    match std::env::var_os("QUEUECTL_TEST_BIN_DIR") {
        Some(folder) => Path::new(&folder).join(format!("queuectl{}", std::env::consts::EXE_SUFFIX)),
        None => env!("CARGO_BIN_EXE_queuectl").into(),
    }
}

/// A queue of this test's own. A node that it started ends with it.
struct Queue {
    folder: TempDir,
}

impl Queue {
    fn new() -> Queue {
        let folder = tempfile::tempdir().expect("a folder");
        Queue { folder }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .arg("--db")
            .arg(self.folder.path().join("queue.db"))
            .args(words)
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    /// The JSON document that a command prints; null if it prints nothing.
    fn json(&self, words: &[&str], status: i32) -> Value {
        let mut command = self.command(&[&["--json"], words].concat());
        let output = command.output().expect("queuectl runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{words:?}: {text}{errors}");
        if text.is_empty() {
            return Value::Null;
        }
        let printed =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{words:?}: {error}: {text}"));
        let line: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        assert_eq!(Schemas::read().check(&line, &printed), Ok(()));
        printed
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let _ = self
            .command(&["worker:stop", "--now", "--wait", "--timeout", "60s"])
            .output();
    }
}

fn keys(value: &Value) -> BTreeSet<&str> {
    let object = value.as_object().unwrap_or_else(|| panic!("no object: {value}"));
    object.keys().map(String::as_str).collect()
}

/// The fields in the table below a heading.
fn documented<'a>(page: &'a str, heading: &str) -> BTreeSet<&'a str> {
    let mut lines = page.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "docs/json.md has no heading {heading:?}");
    let rows = lines
        .take_while(|line| !line.starts_with('#'))
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    rows.collect()
}

#[test]
fn the_page_names_exactly_the_fields_that_are_printed() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md"))
        .expect("docs/json.md can be read");
    let check = |heading: &str, with: &[&str], printed: &Value| {
        let mut fields = documented(&page, heading);
        for other in with {
            fields.extend(documented(&page, other));
        }
        assert_eq!(fields, keys(printed), "docs/json.md, {heading}");
    };
    let queue = Queue::new();

    check("### `init`", &[], &queue.json(&["init"], 0));
    let setting = queue.json(&["config:set", "backoff_cap", "0"], 0);
    check("## The setting object", &[], &setting);
    let settings = queue.json(&["config:list"], 0);
    check("## The setting object", &[], &settings[0]);

    queue.json(&["config:set", "event_retention", "1d"], 0);
    queue.json(&["config:set", "event_retention", "1d"], 0);
    let stored = queue.json(&["enqueue", "--executor", "none", "true"], 0);
    check("### `enqueue`", &[], &stored);
    let jobs = queue.json(&["list"], 0);
    check("## The job object", &[], &jobs[0]);
    let columns = queue.json(&["list", "--columns", "exit,duration,waited"], 0);
    check("### `list --columns`", &[], &columns[0]);

    let started = queue.json(&["worker:start", "--detach"], 0);
    check("### `worker:start --detach`", &[], &started);
    // The node cannot run it, and gives it up.
    queue.json(&["wait", "1", "--timeout", "60s"], 1);
    let nodes = queue.json(&["worker:list"], 0);
    check("## The node object", &[], &nodes[0]);
    let status = queue.json(&["status"], 0);
    check("### `status`", &[], &status);
    let stats = queue.json(&["stats"], 0);
    check("### `stats`", &[], &stats);
    check("#### Jobs of `stats`", &[], &stats["total"]);
    check("## The node object", &[], &status["nodes"][0]);
    assert_eq!(keys(&status["total"]), documented(&page, "## States"));
    check(
        "### `queue:list` and `queue:show`",
        &[],
        &queue.json(&["queue:list"], 0)[0],
    );
    let paused = queue.json(&["queue:pause", "mail"], 0);
    check(
        "### `queue:pause`, `queue:resume` and `queue:drain`",
        &[],
        &paused,
    );
    let paused = queue.json(&["queue:show", "mail"], 0);
    check("### `queue:list` and `queue:show`", &[], &paused);
    check("## The pause object", &[], &paused["paused"]);
    queue.json(&["queue:resume", "mail"], 0);
    let set = queue.json(&["queue:set", "mail", "max_retries=5"], 0);
    check("### `queue:set` and `queue:unset`", &[], &set);
    assert_eq!(
        keys(&set["settings"]["max_retries"]),
        BTreeSet::from(["from", "value"])
    );
    queue.json(&["queue:unset", "mail"], 0);
    let add = ["schedule:add", "s", "@daily", "--executor", "none", "true"];
    let changed = "### `schedule:add`, `schedule:edit`, `schedule:pause`, `schedule:resume`, `schedule:remove` and \
                   `schedule:apply`";
    check(changed, &[], &queue.json(&add, 0));
    let times = queue.json(&["schedule:next", "s"], 0);
    check("### `schedule:next`", &[], &times[0]);
    let fill = [
        "schedule:backfill",
        "s",
        "--from",
        "2020-01-01 00:00",
        "--to",
        "2020-01-01 23:00",
    ];
    check("### `schedule:backfill`", &[], &queue.json(&fill, 0));
    let schedules = queue.json(&["schedule:list"], 0);
    check("### `schedule:list`", &[], &schedules[0]);
    let schedule = queue.json(&["schedule:show", "s"], 0);
    check("### `schedule:show`", &["### `schedule:list`"], &schedule);
    check("## The tick object", &[], &schedule["ticks"][0]);
    std::fs::write(queue.folder.path().join("crontab"), "@daily true\n").expect("a file");
    let imported = queue.json(&["schedule:import", "crontab", "--dry-run"], 0);
    check("### `schedule:import`", &[], &imported[0]);
    check("### `enqueue`", &[], &queue.json(&["schedule:run", "s"], 0));
    check(changed, &[], &queue.json(&["schedule:remove", "s"], 0));
    limits(&queue, &check);
    groups(&queue, &check);
    let heading = "## The hook object";
    check(
        heading,
        &[],
        &queue.json(&["hook:add", "--name", "h", "exit 0"], 0),
    );
    check(heading, &[], &queue.json(&["hook:list"], 0)[0]);
    check(heading, &[], &queue.json(&["hook:show", "h"], 0));
    check("### `hook:remove`", &[], &queue.json(&["hook:remove", "h"], 0));
    let made = queue.json(&["token:add", "t", "--role", "read"], 0);
    check("### `token:add`", &["## The token object"], &made);
    let heading = "## The token object";
    check(heading, &[], &queue.json(&["token:list"], 0)[0]);
    check("### `token:revoke`", &[], &queue.json(&["token:revoke", "t"], 0));
    let asked = queue.json(&["worker:stop", "--wait", "--timeout", "60s"], 0);
    check("### `worker:stop`", &[], &asked);

    let shown = queue.json(&["show", "1"], 0);
    check("### `show` and `dlq:show`", &["## The job object"], &shown);
    check("## The attempt object", &[], &shown["attempt_history"][0]);
    queue.json(&["enqueue", "--id", "later", "--after", "1:any", "exit 0"], 0);
    let shown_again = queue.json(&["show", "later"], 0);
    check("## The relative object", &[], &shown_again["parents"][0]);
    let graph = queue.json(&["show", "later", "--graph"], 0);
    check("### `show --graph` and `group:graph`", &[], &graph);
    check(
        "#### A job of `show --graph` and `group:graph`",
        &[],
        &graph["jobs"][0],
    );
    check(
        "#### An edge of `show --graph` and `group:graph`",
        &[],
        &graph["edges"][0],
    );
    queue.json(&["cancel", "later"], 0);
    assert_eq!(keys(&queue.json(&["dlq:show", "1"], 0)), keys(&shown));
    let explained = queue.json(&["explain", "1"], 0);
    check("### `explain`", &[], &explained);
    check("#### A reason", &[], &explained["reasons"][0]);
    let letters = queue.json(&["dlq:list"], 0);
    check("### `dlq:list`", &["## The job object"], &letters[0]);
    check("## The attempt object", &[], &letters[0]["last_attempt"]);
    check("### `dlq:causes`", &[], &queue.json(&["dlq:causes"], 0)[0]);
    let events = queue.json(&["events"], 0);
    check("### `events`", &[], &events[0]);
    assert_eq!(keys(&shown["events"][0]), keys(&events[0]));
    let events = queue.json(&["events"], 0);
    check("### `events`", &[], &events[0]);
    assert_eq!(keys(&shown["events"][0]), keys(&events[0]));
    let logs = queue.json(&["logs", "1"], 0);
    check("### `logs`", &["## The attempt object"], &logs);

    let heading = "### `cancel`, `kill`, `suspend`, `resume`, `retry`, `hold`, `release`, `start`, `edit`, `priority`, `move`, `dlq:retry JOB...` and `dlq:purge JOB...`";
    check(heading, &[], &queue.json(&["retry", "1"], 0));
    check(heading, &[], &queue.json(&["priority", "1", "1"], 0));
    check(heading, &[], &queue.json(&["cancel", "1"], 0));
    let heading = "### `cancel` of a range, a group or a filter";
    check(
        heading,
        &[],
        &queue.json(&["cancel", "queue=nowhere", "--yes"], 0),
    );
    let heading = "### `--dry-run` of `cancel`, `kill`, `suspend`, `resume`, `retry`, `rerun`, `hold`, `release`, `start`, `edit`, `priority`, `move`, `purge JOB...`, `dlq:retry` and `dlq:purge`";
    check(heading, &[], &queue.json(&["retry", "1", "--dry-run"], 0));
    check(
        "### `dlq:retry --all` and `dlq:retry --cause`",
        &[],
        &queue.json(&["dlq:retry", "--all"], 0),
    );
    let exported = queue.json(&["dlq:export", "--to", "dead.jsonl"], 0);
    check("### `dlq:export --to`", &[], &exported);
    let imported = queue.json(&["dlq:import", "dead.jsonl"], 0);
    check("### `dlq:import`", &[], &imported);
    let counted = queue.json(&["dlq:purge", "--all", "--yes"], 0);
    let heading = "### `dlq:purge --all`, `dlq:purge --cause` and `purge`";
    check(heading, &[], &counted);
    check(heading, &[], &queue.json(&["purge", "--dry-run"], 0));
    let operations = queue.json(&["op:list"], 0);
    check("## The operation object", &[], &operations[0]);
    let set = queue.json(&["config:set", "max_retries", "9"], 0);
    check("## The setting object", &[], &set);
    let operations = queue.json(&["op:list", "--limit", "1"], 0);
    let undone = queue.json(&["op:undo", &operations[0]["id"].to_string()], 0);
    check("### `op:undo`", &[], &undone);
    plugins(&queue, &check);
    check("### `db:check`", &[], &queue.json(&["db:check"], 0));
    check("### `db:backup`", &[], &queue.json(&["db:backup", "copy.db"], 0));
    let copied = queue.json(&["db:copy", "queue.db", "moved.db"], 0);
    check("### `db:copy`", &[], &copied);
    check(
        "### `db:migrate`",
        &[],
        &queue.json(&["db:migrate", "--dry-run"], 0),
    );
    check("### `db:path`", &[], &queue.json(&["db:path"], 0));
    let doctor = queue.json(&["doctor"], 0);
    check("### `doctor`", &[], &doctor);
    check("#### A finding of `doctor`", &[], &doctor["findings"][0]);
    check("### `db:compact`", &[], &queue.json(&["db:compact"], 0));
}

/// What the commands about groups print.
fn groups(queue: &Queue, check: &dyn Fn(&str, &[&str], &Value)) {
    let heading = "## The group object";
    let created = queue.json(&["group:create", "nightly", "--then-failed", "exit 0"], 0);
    check("### `group:create` and `group:remove`", &[], &created);
    // The node must not run it before it is cancelled.
    queue.json(&["queue:pause", "night"], 0);
    queue.json(
        &[
            "enqueue", "--id", "held", "--queue", "night", "--group", "nightly", "true",
        ],
        0,
    );
    check("### `status`", &[], &queue.json(&["status"], 0));
    check(heading, &[], &queue.json(&["group:list"], 0)[0]);
    let shown = queue.json(&["group:show", "nightly"], 0);
    check("### `group:show`", &[heading], &shown);
    check("#### A member of `group:show`", &[], &shown["members"][0]);
    let graph = queue.json(&["group:graph", "nightly"], 0);
    check("### `show --graph` and `group:graph`", &[], &graph);
    check(
        "### `group:cancel`",
        &[],
        &queue.json(&["group:cancel", "nightly"], 0),
    );
    check(heading, &[], &queue.json(&["group:close", "nightly"], 0));
    check(
        "### `group:retry`",
        &[],
        &queue.json(&["group:retry", "nightly"], 0),
    );
    queue.json(&["cancel", "held"], 0);
    queue.json(&["queue:resume", "night"], 0);
    let removed = queue.json(&["group:remove", "nightly"], 0);
    check("### `group:create` and `group:remove`", &[], &removed);
}

/// What the commands about limits print.
fn limits(queue: &Queue, check: &dyn Fn(&str, &[&str], &Value)) {
    let heading = "## The limit object";
    check(
        heading,
        &[],
        &queue.json(&["limit:set", "disk", "--running", "0"], 0),
    );
    check(heading, &[], &queue.json(&["limit:list"], 0)[0]);
    queue.json(
        &[
            "enqueue",
            "--executor",
            "none",
            "--id",
            "limited",
            "--limit",
            "disk",
            "true",
        ],
        0,
    );
    let shown = queue.json(&["limit:show", "disk"], 0);
    check("### `limit:show`", &[heading], &shown);
    check("#### A key of `limit:show`", &[], &shown["by_key"][0]);
    check("#### A job of `limit:show`", &[], &shown["jobs"][0]);
    check(
        "### `limit:resume`",
        &[],
        &queue.json(&["limit:resume", "disk"], 0),
    );
    queue.json(&["cancel", "limited"], 0);
    check(
        "### `limit:remove`",
        &[],
        &queue.json(&["limit:remove", "disk"], 0),
    );
}

/// What the commands about plugins print of the shell executor.
fn plugins(queue: &Queue, check: &dyn Fn(&str, &[&str], &Value)) {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let plugin = binary().with_file_name(format!("{prefix}queuectl_plugin_shell{suffix}"));
    let file = plugin.to_str().expect("a path that is text");
    assert!(
        plugin.exists(),
        "{file} is missing; build it first: cargo xtask build"
    );
    check("### `plugin:list`", &[], &queue.json(&["plugin:list"], 0)[0]);
    check("### `plugin:info`", &[], &queue.json(&["plugin:info", file], 0));
    let job = queue.folder.path().join("job.json");
    std::fs::write(&job, r#"{"command":"exit 0"}"#).expect("a file for a job");
    let job = job.to_str().expect("a path that is text");
    check(
        "### `plugin:run`",
        &[],
        &queue.json(&["plugin:run", file, job], 0),
    );
    let checked = queue.json(&["plugin:check", file, "--many", "10"], 0);
    check("### `plugin:check`", &[], &checked);
    check("#### A case of `plugin:check`", &[], &checked["cases"][0]);
    let to = ["plugin:install", file, "--to", "plugins"];
    check("### `plugin:install`", &[], &queue.json(&to, 0));
}

/// Every field that the page says a job may be given is taken, and no other.
#[test]
fn enqueue_takes_the_fields_that_the_page_names() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/json.md"))
        .expect("docs/json.md can be read");
    let queue = Queue::new();
    let output = queue
        .command(&["enqueue", r#"{"qqqq": 1}"#])
        .output()
        .expect("queuectl runs");
    let message = String::from_utf8_lossy(&output.stderr);
    let (_, list) = message.split_once("the fields are ").expect("a list of fields");
    let taken: BTreeSet<&str> = list
        .lines()
        .next()
        .unwrap_or_default()
        .split(", ")
        .map(str::trim)
        .collect();
    assert_eq!(documented(&page, "## What `enqueue` takes"), taken);
}
