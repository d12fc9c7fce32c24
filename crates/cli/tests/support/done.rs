//! Commands that ran to their end, and what is expected of them.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{PATIENCE, wait_at_most};

/// How a command ended, and what it printed.
pub struct Done {
    /// What was run, for messages.
    pub line: String,
    /// Its exit status; -1 if a signal ended it.
    pub status: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Done {
    /// With lines that end as everywhere: programs on Windows end them with two characters.
    pub fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.out);
        if cfg!(windows) {
            text.replace("\r\n", "\n")
        } else {
            text.into_owned()
        }
    }

    /// It must have succeeded; what it printed, without the last line feed.
    pub fn ok(self) -> String {
        self.expect(0);
        let text = self.text();
        text.strip_suffix('\n').unwrap_or(&text).to_owned()
    }

    /// It must have failed like that; what it said on standard error.
    pub fn fails(self, status: i32) -> String {
        self.expect(status);
        self.err
    }

    /// It must have printed exactly one JSON document and nothing else.
    pub fn json(self) -> Value {
        self.expect(0);
        let text = self.text();
        assert_eq!(self.err, "", "{} said something beside its document", self.line);
        serde_json::from_str(&text)
            .unwrap_or_else(|error| panic!("{} printed no JSON document ({error}):\n{text}", self.line))
    }

    pub fn expect(&self, status: i32) {
        assert_eq!(
            self.status,
            status,
            "exit status of: {}\n--- standard output\n{}\n--- standard error\n{}",
            self.line,
            self.text(),
            self.err
        );
    }
}

/// Runs a command to its end.
pub fn finish(command: Command, input: Option<&[u8]>) -> Done {
    finish_within(PATIENCE, command, input)
}

/// The same with a limit of its own.
pub fn finish_within(most: Duration, mut command: Command, input: Option<&[u8]>) -> Done {
    let words: Vec<_> = command
        .get_args()
        .map(|word| word.to_string_lossy().chars().take(200).collect::<String>())
        .collect();
    let line = format!("queuectl {}", words.join(" "));
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
    let (out, err) = thread::scope(|scope| {
        let out = scope.spawn(|| read(out));
        let err = scope.spawn(|| read(err));
        if let (Some(mut to), Some(input)) = (child.stdin.take(), input) {
            // A command that refuses does not read all of it.
            let _ = to.write_all(input);
        }
        let status = wait_exit_within(most, &mut child, &line);
        let err = String::from_utf8_lossy(&err.join().unwrap()).into_owned();
        ((status, out.join().unwrap()), err)
    });
    Done {
        line,
        status: out.0,
        out: out.1,
        err,
    }
}

/// Waits for a process to end; kills it and fails if that takes too long.
pub fn wait_exit(child: &mut Child, what: &str) -> i32 {
    wait_exit_within(PATIENCE, child, what)
}

fn wait_exit_within(most: Duration, child: &mut Child, what: &str) -> i32 {
    let mut guard = KillUnlessEnded(child, false);
    let what = format!("the end of: {what}");
    let status = wait_at_most(most, &what, || guard.0.try_wait().unwrap(), String::new);
    guard.1 = true;
    status.code().unwrap_or(-1)
}

struct KillUnlessEnded<'a>(&'a mut Child, bool);

impl Drop for KillUnlessEnded<'_> {
    fn drop(&mut self) {
        if !self.1 {
            let _ = self.0.kill();
        }
    }
}

fn read(mut from: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    from.read_to_end(&mut bytes).unwrap();
    bytes
}
