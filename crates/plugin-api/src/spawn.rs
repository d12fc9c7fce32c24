//! Describing a process for the host to start.
//!
//! The host looks the program up, makes the process group, captures output and enforces stops; none of that is here.

use crate::Error;
use crate::abi::{QC_SPAWN_RAW_LAST, qc_pair, qc_spawn_v1, qc_str};
use crate::host::Host;

/// A process to start: program, arguments, environment, folder and input.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spawn {
    argv: Vec<String>,
    raw_last: bool,
    env: Vec<(String, String)>,
    env_remove: Vec<String>,
    cwd: Option<String>,
    stdin: Option<Vec<u8>>,
}

impl Spawn {
    /// A program with its exact arguments.
    pub fn argv<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// On Windows, puts the last argument on the command line as it is, for programs such as `cmd` that have rules of
    /// their own. Without effect elsewhere.
    #[must_use]
    pub fn raw_last(mut self) -> Self {
        self.raw_last = true;
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Sets environment variables.
    #[must_use]
    pub fn envs<K: Into<String>, V: Into<String>>(mut self, vars: impl IntoIterator<Item = (K, V)>) -> Self {
        self.env
            .extend(vars.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    /// Removes an environment variable that would be inherited.
    #[must_use]
    pub fn env_remove(mut self, name: impl Into<String>) -> Self {
        self.env_remove.push(name.into());
        self
    }

    /// Sets the working directory; none stands for the worker's own.
    #[must_use]
    pub fn cwd(mut self, cwd: Option<impl Into<String>>) -> Self {
        self.cwd = cwd.map(Into::into);
        self
    }

    /// Sets standard input; none stands for no input.
    #[must_use]
    pub fn stdin(mut self, stdin: Option<impl Into<Vec<u8>>>) -> Self {
        self.stdin = stdin.map(Into::into);
        self
    }

    /// Hands the description to the host, which copies it.
    pub(crate) fn send(&self, host: &Host, run: u64) -> Result<(), Error> {
        let text = |text: &String| qc_str::new(text.as_bytes());
        let argv: Vec<qc_str> = self.argv.iter().map(text).collect();
        let env: Vec<qc_pair> = self
            .env
            .iter()
            .map(|(name, value)| qc_pair {
                name: text(name),
                value: text(value),
            })
            .collect();
        let env_remove: Vec<qc_str> = self.env_remove.iter().map(text).collect();
        host.spawn(
            run,
            &qc_spawn_v1 {
                size: size_of::<qc_spawn_v1>() as u32,
                flags: if self.raw_last { QC_SPAWN_RAW_LAST } else { 0 },
                argv: argv.as_ptr(),
                argv_len: argv.len(),
                env: env.as_ptr(),
                env_len: env.len(),
                env_remove: env_remove.as_ptr(),
                env_remove_len: env_remove.len(),
                cwd: self.cwd.as_ref().map_or(qc_str::NULL, text),
                stdin_bytes: self
                    .stdin
                    .as_ref()
                    .map_or(qc_str::NULL, |bytes| qc_str::new(bytes)),
            },
        )
    }
}
