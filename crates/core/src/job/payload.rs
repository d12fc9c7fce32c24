//! What a job runs: a [`Command`], and all that its executor gets to see, the [`Payload`].
//!
//! What of it is allowed is in [`super::valid`], what of it is shown in [`super::secrets`].

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::json::JsonObject;
use crate::quote::quote_argv;
use crate::terminal_size::TerminalSize;

/// What the user asked to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Command {
    /// One line, given to a shell.
    Line(String),
    /// A program and its exact arguments, no shell.
    Argv(Vec<String>),
}

impl Command {
    /// The command as one line, for people to read.
    pub fn display(&self) -> String {
        match self {
            Command::Line(line) => line.clone(),
            Command::Argv(argv) => quote_argv(argv),
        }
    }
}

/// What a job runs: everything its executor gets to see.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payload {
    /// The command. Optional only where `payload` says what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<Command>,
    /// Environment variables set for the job, on top of the worker's own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Working directory; the worker's own if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Text for standard input; empty if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Whether it has a terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pty: bool,
    /// How large that is; 80x24 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pty_size: Option<TerminalSize>,
    /// An object whose meaning is the executor's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<JsonObject>,
}

impl Payload {
    /// How large the terminal is that it has, if it has one.
    pub fn terminal(&self) -> Option<TerminalSize> {
        let is_wanted = self.pty || self.pty_size.is_some();
        is_wanted.then(|| self.pty_size.unwrap_or_default())
    }

    /// Returns what this says, and where it says nothing, what `other` says. Environments are joined by name.
    #[must_use]
    pub fn or(self, other: Payload) -> Payload {
        let mut env = other.env;
        env.extend(self.env);
        Payload {
            command: self.command.or(other.command),
            env,
            cwd: self.cwd.or(other.cwd),
            stdin: self.stdin.or(other.stdin),
            pty: self.pty || other.pty,
            pty_size: self.pty_size.or(other.pty_size),
            payload: self.payload.or(other.payload),
        }
    }
}

/// Whether a path is absolute on any system: a job may be stored on one and run on another.
pub(super) fn is_absolute(path: &str) -> bool {
    let drive = |rest: &str| rest.starts_with([':']) && rest[1..].starts_with(['/', '\\']);
    path.starts_with('/')
        || path.starts_with("\\\\")
        || path
            .strip_prefix(|c: char| c.is_ascii_alphabetic())
            .is_some_and(drive)
}
