//! Completion in the shells that people use: a line is begun, the tab key is pressed, and the line that comes of it is run.
//!
//! Each shell has a terminal of its own, with the script that `completions` prints.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};

use crate::support::{MARK, Queue, binary, finish};

/// A shell with its terminal.
struct Shell<'a> {
    queue: &'a Queue,
    child: Child,
    keys: File,
    lines: usize,
}

/// A reason that `.ci/run` gives if it could not install the shells.
const EXCUSE: &str = "QUEUECTL_TEST_NO_SHELLS";

/// Starts a shell, whose file of commands is `rc` and which writes a line into the file `prompts` at each prompt. None, and
/// said so, if the shell is not there.
fn start<'a>(queue: &'a Queue, test: &str, program: &str, options: &[&str], rc: &str) -> Option<Shell<'a>> {
    let is_there = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .status();
    if is_there.is_err() {
        let why = std::env::var(EXCUSE)
            .map(|why| format!("no shells to complete in could be installed here: {why}"));
        queuectl_testkit::skipped(
            &format!("completion::{test}"),
            &why.unwrap_or_else(|_| format!("{program} is not installed")),
        );
        return None;
    }
    queue.write("rc", rc);
    queue.write(".zshrc", rc);
    let size = Winsize {
        ws_row: 24,
        ws_col: 80,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = openpty(&size, None).unwrap();
    let path = binary().parent().unwrap().display().to_string();
    let mut command = Command::new("setsid");
    command
        .args(["--ctty", "--wait", program])
        .args(options)
        .current_dir(queue.path(""))
        .env_clear()
        .env("PATH", format!("{path}:/usr/local/bin:/usr/bin:/bin"))
        .env("HOME", queue.path("home"))
        .env("ZDOTDIR", queue.path(""))
        .env("TERM", "xterm")
        .env("LC_ALL", "C.UTF-8")
        .env("QUEUECTL_DB", queue.location())
        // A machine that has a lot to do completes, too.
        .env("QUEUECTL_COMPLETION_TIMEOUT", "60s")
        .env(MARK, queue.next_mark())
        .stdin(pty.slave.try_clone().unwrap())
        .stdout(pty.slave.try_clone().unwrap())
        .stderr(pty.slave);
    let child = command.spawn().unwrap();
    drop(command);
    let mut screen = File::from(pty.master.try_clone().unwrap());
    // What the shell draws has to be taken from it.
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while screen.read(&mut buffer).is_ok_and(|read| read > 0) {}
    });
    Some(Shell {
        queue,
        child,
        keys: File::from(pty.master),
        lines: 0,
    })
}

impl Shell<'_> {
    /// Types a line, in which a tab completes, and returns what the file `result` has after it was run.
    fn run(&mut self, line: &str) -> String {
        self.lines += 1;
        self.queue.wait_lines("prompts", self.lines);
        let result = format!("result{}", self.lines);
        let typed = format!("{line}> {result}; echo ran > done{}\r", self.lines);
        self.keys.write_all(typed.as_bytes()).unwrap();
        self.queue.wait_lines(&format!("done{}", self.lines), 1);
        self.queue.read(&result).trim().to_owned()
    }
}

impl Drop for Shell<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A queue with something to complete.
fn filled() -> Queue {
    let queue = Queue::new();
    std::fs::create_dir(queue.path("home")).unwrap();
    queue.enqueue(["--id=backup-nightly", "--queue=mail", "exit 0"]);
    queue.enqueue(["--id=ended:1", "exit 0"]);
    queue.ok(["cancel", "ended:1"]);
    queue.write("some jobs.jsonl", "\"exit 0\"\n\"exit 0\"\n");
    queue
}

/// What completes alike in every shell.
fn completes(shell: &mut Shell) {
    for (line, wanted) in [
        // The name of a command, with its colon, with a blank, and the name alone.
        ("queuectl worker:li\t --json", "[]"),
        ("queuectl worker li\t --json", "[]"),
        ("queuectl dlq-li\t --json", "[]"),
        // An option, and its value behind a blank and joined.
        ("queuectl worker:list --js\t", "[]"),
        ("queuectl list --queue ma\t --format jsonl", "backup-nightly"),
        ("queuectl list --queue=ma\t --format jsonl", "backup-nightly"),
        ("queuectl list --state can\t --format jsonl", "ended:1"),
        // What is in the queue: ids of jobs, also with a colon, and only those that fit the command.
        ("queuectl show back\t --json", "\"id\":\"backup-nightly\""),
        ("queuectl show ended:\t --json", "\"id\":\"ended:1\""),
        ("queuectl rerun \t --json", "\"id\":\"3\""),
        ("queuectl config:get job_t\t --json", "\"job_timeout\""),
        // Words of selectors, lists of values, signals, and the newer commands.
        ("queuectl list queue=ma\t --format jsonl", "backup-nightly"),
        ("queuectl list state=can\t --format '{id}'", "ended:1"),
        ("queuectl list --columns id,num\t --json", "\"number\":1"),
        ("queuectl list --sort -num\t --ids", "ended:1\nbackup-nightly"),
        ("queuectl stats --by exec\t --json", "\"name\":\"shell\""),
        (
            "queuectl kill --signal HU\t state=processing --dry-run --json",
            "\"jobs\":0",
        ),
        ("queuectl priority 7 back\t --json", "\"result\":\"changed\""),
        (
            "queuectl edit back\t --max-retries 1 --json",
            "\"result\":\"changed\"",
        ),
        (
            "queuectl move ma\t back\t --dry-run --json",
            "\"first\":[\"backup-nightly\"]",
        ),
        ("queuectl logs back\t --gr\t x --all-att\t && echo read", "read"),
        ("queuectl token:li\t --json", "[]"),
        // Files, and what the word before the completed one is.
        ("queuectl enqueue --from so\t", "4\n5"),
        ("queuectl help db:pa\t", "Usage: queuectl db:path"),
    ] {
        let found = shell.run(line).replace(": ", ":").replace("Usage:", "Usage: ");
        assert!(found.contains(wanted), "{line:?}: {found}");
    }
}

#[test]
fn bash_completes() {
    let queue = filled();
    let rc = "PS1='$ '; bind 'set bell-style none'; PROMPT_COMMAND='echo x >> prompts'\n\
              source <(queuectl completions bash)\n";
    let options = ["--noprofile", "--rcfile", "rc", "-i"];
    if let Some(mut shell) = start(&queue, "bash_completes", "bash", &options, rc) {
        completes(&mut shell);
    }
}

#[test]
fn zsh_completes() {
    let queue = filled();
    let rc = "autoload -Uz compinit; compinit -u -D; PROMPT='$ '; setopt no_beep\n\
              precmd() { echo x >> prompts }\n\
              source <(queuectl completions zsh)\n";
    let options = ["-o", "no_global_rcs", "-i"];
    if let Some(mut shell) = start(&queue, "zsh_completes", "zsh", &options, rc) {
        completes(&mut shell);
    }
}

#[test]
fn fish_completes() {
    let queue = filled();
    let rc = "function fish_prompt; echo x >> prompts; echo '$ '; end\n\
              set -g fish_greeting; set -g fish_autosuggestion_enabled 0\n\
              queuectl completions fish | source\n";
    let options = ["--no-config", "-i", "-C", "source rc"];
    if let Some(mut shell) = start(&queue, "fish_completes", "fish", &options, rc) {
        completes(&mut shell);
    }
}

/// The control of the tests above: without the script nothing is completed.
#[test]
fn a_shell_without_the_script_does_not() {
    let queue = filled();
    let rc = "PS1='$ '; bind 'set bell-style none'; PROMPT_COMMAND='echo x >> prompts'\n";
    let options = ["--noprofile", "--rcfile", "rc", "-i"];
    let test = "a_shell_without_the_script_does_not";
    if let Some(mut shell) = start(&queue, test, "bash", &options, rc) {
        assert_eq!(shell.run("queuectl worker:li\t --json"), "");
        assert_eq!(shell.run("queuectl worker:list\t --json"), "[]");
    }
}

/// What the scripts ask for, without a shell.
fn offered(queue: &Queue, words: &[&str]) -> Vec<String> {
    let mut command = queue.command(["complete", "--", "queuectl"]);
    command.args(words).env("QUEUECTL_COMPLETION_TIMEOUT", "60s");
    let done = finish(command, None);
    done.expect(0);
    assert_eq!(done.err, "", "{words:?}");
    done.text().lines().map(str::to_owned).collect()
}

#[test]
fn the_queue_is_only_read_and_errors_are_silent() {
    let queue = Queue::new();
    assert_eq!(offered(&queue, &["show", ""]), ["values"]);
    assert!(
        !queue.db().exists() && !queue.beside().exists(),
        "no queue is made"
    );
    queue.write(
        "none.db",
        "this is no database, and it is long enough to have a header of one: 0123456789 0123456789",
    );
    for db in [
        "none.db",
        "missing/q.db",
        "postgres://127.0.0.1:1/x",
        "postgress://x",
        "",
        ".",
    ] {
        assert_eq!(offered(&queue, &["--db", db, "show", ""]), ["values"], "{db}");
    }
    assert_eq!(offered(&queue, &[]), ["values"]);
    assert_eq!(offered(&queue, &["nonsense", "--x", ""]), ["values"]);
}

#[test]
fn at_most_so_many_are_offered_and_the_newest_first() {
    let queue = Queue::new();
    let lines: String = (1..=300).map(|_| "\"exit 0\"\n").collect();
    queue
        .run_with(["enqueue", "--from", "-"], lines.as_bytes())
        .expect(0);
    let all = offered(&queue, &["show", ""]);
    assert_eq!(all.len(), 1 + 200);
    assert_eq!(all[1], "300\tpending, default");
    assert_eq!(all[200], "101\tpending, default");
    let begun = offered(&queue, &["show", "29"]);
    assert_eq!(begun.len(), 1 + 11);
    assert_eq!(
        (begun[1].as_str(), begun[11].as_str()),
        ("299\tpending, default", "29\tpending, default")
    );
    // A job that waits is none to be retried.
    assert_eq!(offered(&queue, &["retry", ""]), ["values"]);
    queue.ok(["cancel", "7"]);
    assert_eq!(
        offered(&queue, &["retry", ""]),
        ["values", "7\tcancelled, default"]
    );
    // A paused queue is one, also without jobs.
    queue.ok(["queue:pause", "other"]);
    assert_eq!(
        offered(&queue, &["queue", "resume", ""]),
        ["values", "default\t", "other\t"]
    );
    let _node = queue.start(&["--queue=none"]);
    assert_eq!(offered(&queue, &["worker:stop", ""]).len(), 2);
    assert!(!offered(&queue, &["purge", "--state", ""]).contains(&"pending\t".to_owned()));
}

#[test]
fn causes_are_offered_by_their_keys() {
    let queue = Queue::quick();
    for line in ["exit 3", "exit 3", "exit 4"] {
        queue.enqueue(["--max-retries", "0", line]);
    }
    queue.drain(&[]);
    let causes = queue.json(["dlq:causes"]);
    let keys: Vec<&str> = (0..2).map(|at| causes[at]["cause"].as_str().unwrap()).collect();
    let found = offered(&queue, &["dlq:retry", "--cause", ""]);
    let values: Vec<&str> = found
        .iter()
        .skip(1)
        .filter_map(|line| line.split('\t').next())
        .collect();
    assert_eq!(values, keys, "{found:?}");
    assert!(found[1].contains("\t2 of "), "{found:?}");
    let begun = offered(&queue, &["dlq:purge", "--cause", &keys[1][..4]]);
    assert!(begun.len() >= 2 && begun[1].starts_with(keys[1]), "{begun:?}");
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for() {
    let queue = Queue::new();
    // It takes connections and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://user@{}/x", silent.local_addr().unwrap());
    let waited = |limit: Option<&str>| {
        let begun = Instant::now();
        let mut command = queue.command(["complete", "--", "queuectl", "--db", &url, "show", ""]);
        if let Some(limit) = limit {
            command.env("QUEUECTL_COMPLETION_TIMEOUT", limit);
        }
        assert_eq!(finish(command, None).ok(), "values");
        begun.elapsed()
    };
    // The second is the control: it is the limit that ends it.
    let (short, long) = (waited(None), waited(Some("3s")));
    assert!(long >= Duration::from_secs(3), "{long:?}");
    assert!(short < long, "{short:?}, {long:?}");
}
