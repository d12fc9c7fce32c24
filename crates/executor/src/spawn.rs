//! From a plugin's description of a process to a command that is ready to start.
//!
//! The program is looked up here and always given to the operating system as an absolute path: that keeps std on its
//! fast path, and lets the message name what is missing. Starting and process groups are not done here.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};

use queuectl_core::{Outcome, OutcomeKind};

use crate::limits::Limits;
use crate::os::error_text;
use crate::process::{self, Confinement, RunOrigin, SpawnError, User, cannot_confine, nameless_file};
use crate::{Run, call_record, descriptors, os};

/// Entries after which remembered program lookups are dropped: far more than one node's jobs name.
const LOOKUPS: usize = 256;

/// Where programs are looked for by a process without PATH. An empty PATH would be the job's folder.
const DEFAULT_PATH: &str = if cfg!(unix) { "/bin:/usr/bin" } else { "" };

/// What a terminal is that a job gets, as programs know it: colours, and nothing that needs an answer.
const TERMINAL: &str = "xterm-256color";

/// A process that a plugin asked for.
#[derive(Debug, Default)]
pub(crate) struct SpawnRequest {
    pub(crate) argv: Vec<String>,
    pub(crate) raw_last: bool,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) env_remove: Vec<String>,
    pub(crate) cwd: Option<String>,
    pub(crate) stdin: Option<Vec<u8>>,
    /// The only names that are inherited; none inherits all.
    pub(crate) env_keep: Option<Vec<String>>,
    pub(crate) limits: Limits,
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
        let names = self.env_remove.iter().chain(self.env_keep.iter().flatten());
        if let Some(name) = names.into_iter().find(|name| name_is_bad(name)) {
            return Err(format!(
                "'{}' is not an environment variable name",
                name.escape_debug()
            ));
        }
        self.limits.check()
    }

    /// Whether a variable of this process is handed on.
    fn inherits(&self, name: &OsStr) -> bool {
        let same = |wanted: &str, name: &[u8]| {
            if cfg!(windows) {
                wanted.as_bytes().eq_ignore_ascii_case(name)
            } else {
                wanted.as_bytes() == name
            }
        };
        let name = name.as_encoded_bytes();
        let fits = |wanted: &String| match wanted.strip_suffix('*') {
            Some(start) => name.get(..start.len()).is_some_and(|name| same(start, name)),
            None => same(wanted, name),
        };
        // Without the first hardly a program starts there; the second is the job's own queue's, and not its starter's.
        let needed = cfg!(windows) && same("SystemRoot", name) || same("QUEUECTL_DB", name);
        needed || self.env_keep.as_ref().is_none_or(|keep| keep.iter().any(fits))
    }
}

/// Makes commands, and remembers where programs are.
pub(crate) struct CommandBuilder {
    cookie: String,
    found: HashMap<String, PathBuf>,
}

impl CommandBuilder {
    pub(crate) fn new(cookie: String) -> Self {
        CommandBuilder {
            cookie,
            found: HashMap::new(),
        }
    }

    /// The command for a request, without its output, and its limits if it has any: without them std starts it by
    /// `posix_spawn`.
    pub(crate) fn command(
        &mut self,
        run: &Run,
        request: &SpawnRequest,
    ) -> Result<(Command, Option<Confinement>), SpawnError> {
        let cwd = request.cwd.as_ref().map(std::path::absolute).transpose()?;
        let program = self.find(request, cwd.as_deref())?;
        let mut command = Command::new(program);
        let has_session = run.terminal.is_some();
        process::arguments(&mut command, &request.argv, request.raw_last, has_session);
        if request.env_keep.is_some() {
            command.env_clear();
            command.envs(std::env::vars_os().filter(|(name, _)| request.inherits(name)));
        }
        let limits = &Limits {
            terminal: run.terminal,
            ..request.limits.with_open_files(descriptors::of_jobs())
        };
        let user = limits.user.as_deref().map(User::find).transpose();
        let user = user.map_err(|why| cannot_confine(&why))?;
        command.envs(user.iter().flat_map(User::environment));
        if cfg!(unix) {
            command.env_remove("OLDPWD");
            command.envs(working_folder(cwd.as_deref()).map(|folder| ("PWD", folder)));
        }
        if run.terminal.is_some() {
            command.env("TERM", TERMINAL);
        }
        command.envs(request.env.iter().map(|(name, value)| (name, value)));
        for name in &request.env_remove {
            command.env_remove(name);
        }
        command.env_remove(call_record::VARIABLE);
        // Last, so that they always tell the truth: sweeps find processes by them.
        command
            .env("QUEUECTL_JOB_ID", &run.public_id)
            .env("QUEUECTL_ATTEMPT", run.attempt.to_string())
            .env("QUEUECTL_FENCE", run.key.fence.to_string())
            .env("QUEUECTL_QUEUE", &run.queue)
            .env("QUEUECTL_COOKIE", &self.cookie);
        match &run.parents {
            Some(parents) => command.env("QUEUECTL_PARENTS", parents),
            None => command.env_remove("QUEUECTL_PARENTS"),
        };
        match &run.groups {
            Some(groups) => command.env("QUEUECTL_GROUP", groups),
            // A group's callback is told of it by its own environment.
            None if request.env.iter().any(|(name, _)| name == "QUEUECTL_GROUP") => &mut command,
            None => command.env_remove("QUEUECTL_GROUP"),
        };
        match &run.checkpoint {
            Some(checkpoint) => command.env("QUEUECTL_CHECKPOINT", checkpoint),
            None => command.env_remove("QUEUECTL_CHECKPOINT"),
        };
        let stdin = request.stdin.as_deref().filter(|bytes| !bytes.is_empty());
        let stdin = stdin.map(nameless_file).transpose();
        let stdin = stdin.map_err(|error| no_temporary_file("the standard input", &error))?;
        let confinement = if limits.are_none() {
            None
        } else {
            let origin = RunOrigin {
                cookie: &self.cookie,
                job: &run.public_id,
                fence: run.key.fence,
                birth_number: 0,
            };
            let made = Confinement::prepare(&mut command, limits, user, cwd.as_deref(), origin);
            Some(
                made.map_err(|why| match limits.file.as_ref().map(|_| nameless_file(b"")) {
                    Some(Err(error)) => no_temporary_file("the script", &error),
                    _ => cannot_confine(&why).into(),
                })?,
            )
        };
        if let (Some(confinement), Some(stdin)) = (&confinement, &stdin) {
            confinement.own(stdin);
        }
        if let Some(cwd) = cwd {
            command.current_dir(cwd);
        }
        command.stdin(stdin.map_or_else(Stdio::null, Stdio::from));
        Ok((command, confinement))
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
            .unwrap_or_else(|| DEFAULT_PATH.into());
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

/// What PWD says in a process with that folder. Shells correct a wrong one, other programs believe it.
fn working_folder(cwd: Option<&Path>) -> Option<PathBuf> {
    match cwd {
        // By POSIX it has no such parts.
        Some(cwd) if cwd.components().any(|part| part == Component::ParentDir) => cwd.canonicalize().ok(),
        // `components` drops `.` and repeated separators.
        Some(cwd) => Some(cwd.components().collect()),
        None => std::env::current_dir().ok(),
    }
}

/// What is wrong with the folder that a process was to be started in, if anything is. Asked only when a start failed:
/// nearly always nothing is.
pub(crate) fn folder_problem(request: &SpawnRequest) -> Option<Outcome> {
    let cwd = request.cwd.as_deref()?;
    let why = match std::fs::metadata(cwd) {
        Ok(found) if found.is_dir() => return None,
        Ok(_) => "Not a directory".to_owned(),
        Err(error) => error_text(&error),
    };
    Some(Outcome::new(
        OutcomeKind::Failed,
        format!("cannot use the working directory '{cwd}': {why}"),
    ))
}

fn no_temporary_file(of: &str, error: &io::Error) -> SpawnError {
    let (folder, why) = (std::env::temp_dir(), error_text(error));
    SpawnError::Machine(format!(
        "cannot write {of} to a temporary file in {}: {why}",
        folder.display()
    ))
}

/// Why a start failed, if not for anything that is the job's: the machine lacks something, or the shell that the node is
/// set to use cannot be run.
pub(crate) fn machine_problem(request: &SpawnRequest, error: &io::Error, shell: &str) -> Option<String> {
    let program = &request.argv[0];
    if os::out_of_resources(error) {
        return Some(format!("cannot start '{program}': {}", error_text(error)));
    }
    let problem = shell_problem(shell).filter(|_| program == shell)?;
    Some(format!(
        "cannot start the shell of the setting shell, '{shell}': {problem}"
    ))
}

/// Why command lines cannot be run on this machine by that shell, if they cannot.
pub fn shell_problem(shell: &str) -> Option<String> {
    let search = std::env::var_os("PATH").unwrap_or_default();
    let found = os::find_program(shell, Path::new("/"), &search);
    let checked = found.and_then(|path| os::check_program(&path));
    checked.err().map(|error| error_text(&error))
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
        let keep = SpawnRequest {
            env_keep: Some(vec!["A=*".into()]),
            ..request(&["a"])
        };
        assert!(keep.check().unwrap_err().contains("A=*"));
    }

    /// A fork costs a fifth of the rate at which processes are started, and more the larger the heap is.
    #[test]
    #[cfg(unix)]
    fn only_a_process_with_limits_leaves_the_fast_path() {
        let run = Run {
            key: crate::RunKey {
                job: queuectl_core::JobId(1),
                fence: 1,
            },
            public_id: "1".to_owned(),
            attempt: 1,
            queue: "q".to_owned(),
            executor: queuectl_core::ExecutorName::default(),
            payload: String::new(),
            terminal: None,
            parents: None,
            groups: None,
            checkpoint: None,
            timeout: None,
            kill_grace: std::time::Duration::ZERO,
            leftovers: queuectl_core::settings::Leftovers::Kill,
            output_limit: 0,
            output_file_limit: 0,
            output_file: PathBuf::new(),
            used: std::time::Duration::ZERO,
        };
        let request = || SpawnRequest {
            argv: vec!["sh".into()],
            stdin: Some(b"x".to_vec()),
            cwd: Some("/".into()),
            ..SpawnRequest::default()
        };
        let mut builder = CommandBuilder::new("c.".to_owned());
        let mut confined = |request: SpawnRequest| {
            builder
                .command(&run, &request)
                .is_ok_and(|(_, made)| made.is_some())
        };
        assert!(!confined(request()));
        assert!(!confined(SpawnRequest {
            env_keep: Some(vec![]),
            ..request()
        }));
        let limits = Limits {
            nice: Some(1),
            ..Limits::default()
        };
        assert!(confined(SpawnRequest { limits, ..request() }));
    }

    #[test]
    fn names_are_inherited_whole_or_by_their_beginning() {
        let keep = |names: Option<&[&str]>| SpawnRequest {
            env_keep: names.map(|names| names.iter().map(ToString::to_string).collect()),
            ..SpawnRequest::default()
        };
        let inherits = |names, name: &str| keep(names).inherits(OsStr::new(name));
        assert!(inherits(None, "ANY") && !inherits(Some(&[]), "ANY"));
        let some: Option<&[&str]> = Some(&["PATH", "LC_*"]);
        assert!(inherits(some, "PATH") && inherits(some, "LC_ALL") && inherits(some, "LC_"));
        assert!(!inherits(some, "PATHS") && !inherits(some, "LC") && !inherits(some, "XLC_ALL"));
        assert!(inherits(Some(&["*"]), "ANY"));
    }
}
