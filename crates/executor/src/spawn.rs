//! From a plugin's description of a process to a command that is ready to start.
//!
//! The program is looked up here and always given to the operating system as an absolute path: that keeps std on its
//! fast path, and lets the message name what is missing. Starting and process groups are not done here.

use std::collections::HashMap;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use queuectl_core::{Outcome, OutcomeKind};

use crate::outcome::os_text;
use crate::{Run, os};

/// Entries after which remembered program lookups are dropped: far more than one node's jobs name.
const LOOKUPS: usize = 256;

/// A process that a plugin asked for.
#[derive(Debug, Default)]
pub(crate) struct SpawnRequest {
    pub(crate) argv: Vec<String>,
    #[cfg_attr(unix, expect(dead_code, reason = "only Windows has command lines"))]
    pub(crate) raw_last: bool,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) env_remove: Vec<String>,
    pub(crate) cwd: Option<String>,
    pub(crate) stdin: Option<Vec<u8>>,
}

impl SpawnRequest {
    /// Checks what no operating system would accept.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.argv.first().is_none_or(String::is_empty) {
            return Err("the command is empty".to_owned());
        }
        let name_is_bad = |name: &String| name.is_empty() || name.contains(['=', '\0']);
        if self.argv.iter().chain(&self.cwd).any(|text| text.contains('\0')) {
            return Err("the command has a NUL byte".to_owned());
        }
        if let Some((name, _)) = self
            .env
            .iter()
            .find(|(name, value)| name_is_bad(name) || value.contains('\0'))
        {
            return Err(format!(
                "'{}' cannot be set in the environment",
                name.escape_debug()
            ));
        }
        match self.env_remove.iter().find(|name| name_is_bad(name)) {
            Some(name) => Err(format!(
                "'{}' is no environment variable name",
                name.escape_debug()
            )),
            None => Ok(()),
        }
    }
}

/// Makes commands, and remembers where programs are.
pub(crate) struct Builder {
    cookie: String,
    found: HashMap<String, PathBuf>,
}

impl Builder {
    pub(crate) fn new(cookie: String) -> Self {
        Builder {
            cookie,
            found: HashMap::new(),
        }
    }

    /// The command for a request, without its output.
    pub(crate) fn command(&mut self, run: &Run, request: &SpawnRequest) -> Result<Command, Outcome> {
        let cannot = |error: &io::Error| cannot_start(&request.argv[0], error);
        let cwd = match &request.cwd {
            Some(cwd) => Some(working_folder(cwd)?),
            None => None,
        };
        let program = self
            .find(request, cwd.as_deref())
            .map_err(|error| cannot(&error))?;
        let mut command = Command::new(program);
        os::arguments(&mut command, request);
        command.envs(request.env.iter().map(|(name, value)| (name, value)));
        for name in &request.env_remove {
            command.env_remove(name);
        }
        // Last, so that they always tell the truth: sweeps find processes by them.
        command
            .env("QUEUECTL_JOB_ID", &run.public_id)
            .env("QUEUECTL_ATTEMPT", run.attempt.to_string())
            .env("QUEUECTL_FENCE", run.key.fence.to_string())
            .env("QUEUECTL_QUEUE", &run.queue)
            .env("QUEUECTL_COOKIE", &self.cookie);
        if let Some(cwd) = cwd {
            command.current_dir(cwd);
        }
        command.stdin(match &request.stdin {
            Some(bytes) if !bytes.is_empty() => input(bytes).map_err(|error| {
                Outcome::new(
                    OutcomeKind::SystemFailure,
                    format!(
                        "cannot write the standard input to a temporary file: {}",
                        os_text(&error)
                    ),
                )
            })?,
            _ => Stdio::null(),
        });
        Ok(command)
    }

    /// Forgets where a program was, because it is no longer there.
    pub(crate) fn forget(&mut self, request: &SpawnRequest) {
        self.found.remove(&request.argv[0]);
    }

    fn find(&mut self, request: &SpawnRequest, cwd: Option<&Path>) -> io::Result<PathBuf> {
        let program = &request.argv[0];
        let sets_path = |name: &str| {
            if cfg!(windows) {
                name.eq_ignore_ascii_case("PATH")
            } else {
                name == "PATH"
            }
        };
        let own = request
            .env
            .iter()
            .rev()
            .find(|(name, _)| sets_path(name))
            .map(|(_, path)| path);
        if own.is_none()
            && let Some(path) = self.found.get(program)
        {
            return Ok(path.clone());
        }
        let base = match cwd {
            Some(cwd) => cwd.to_owned(),
            None => std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        };
        let search = own
            .map(Into::into)
            .or_else(|| std::env::var_os("PATH"))
            .unwrap_or_default();
        let path = os::find_program(program, &base, &search)?;
        // What depends on the job's own folder or PATH is not the same for the next job.
        let shared = own.is_none() && !program.contains(std::path::is_separator) && !path.starts_with(&base);
        if shared {
            if self.found.len() >= LOOKUPS {
                self.found.clear();
            }
            self.found.insert(program.clone(), path.clone());
        }
        Ok(path)
    }
}

fn working_folder(cwd: &str) -> Result<PathBuf, Outcome> {
    let refuse = |why: String| {
        Outcome::new(
            OutcomeKind::Failed,
            format!("cannot use the working directory '{cwd}': {why}"),
        )
    };
    match std::fs::metadata(cwd) {
        Ok(found) if found.is_dir() => std::path::absolute(cwd).map_err(|error| refuse(os_text(&error))),
        Ok(_) => Err(refuse("Not a directory".to_owned())),
        Err(error) => Err(refuse(os_text(&error))),
    }
}

/// Bytes as a file without a name, to be read from its start.
fn input(bytes: &[u8]) -> io::Result<Stdio> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file.into())
}

/// The outcome of a process that could not be started: the machine's fault if it lacks something, else the job's.
pub(crate) fn cannot_start(program: &str, error: &io::Error) -> Outcome {
    let kind = if os::out_of_resources(error) {
        OutcomeKind::SystemFailure
    } else {
        OutcomeKind::Failed
    };
    Outcome::new(
        kind,
        crate::outcome::clip(format!("cannot start '{program}': {}", os_text(error))),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_requests_are_named() {
        let request = |argv: &[&str]| SpawnRequest {
            argv: argv.iter().map(ToString::to_string).collect(),
            ..SpawnRequest::default()
        };
        assert!(request(&[]).check().unwrap_err().contains("empty"));
        assert!(request(&["a", "b\0"]).check().unwrap_err().contains("NUL"));
        let env = SpawnRequest {
            env: vec![("A=B".into(), String::new())],
            ..request(&["a"])
        };
        assert!(env.check().unwrap_err().contains("A=B"));
        assert!(request(&["a"]).check().is_ok());
    }
}
