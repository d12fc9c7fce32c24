//! Describing a process for the host to start.
//!
//! The host looks the program up, makes the process group, captures output and enforces limits and stops; none of that
//! is here.

use crate::Error;
use crate::abi::*;
use crate::host::Host;

/// A process to start: program, arguments, environment, folder, input and limits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spawn {
    argv: Vec<String>,
    raw_last: bool,
    env: Vec<(String, String)>,
    env_remove: Vec<String>,
    cwd: Option<String>,
    stdin: Option<Vec<u8>>,
    env_keep: Option<Vec<String>>,
    umask: Option<u32>,
    nice: Option<i32>,
    rlimits: Vec<(Resource, Rlimit)>,
    memory: Option<u64>,
    pids: Option<u64>,
    user: Option<String>,
    file: Option<Vec<u8>>,
}

/// What the operating system limits for each process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Resource {
    /// Processor time, in seconds.
    Cpu = QC_RLIMIT_CPU,
    /// Open files.
    Nofile = QC_RLIMIT_NOFILE,
    /// Size of a core dump, in bytes.
    Core = QC_RLIMIT_CORE,
    /// Size of a file that is written, in bytes.
    Fsize = QC_RLIMIT_FSIZE,
    /// Address space, in bytes.
    As = QC_RLIMIT_AS,
    /// Processes of the same user on the machine.
    Nproc = QC_RLIMIT_NPROC,
    /// Stack of the first thread, in bytes.
    Stack = QC_RLIMIT_STACK,
    /// Data segment, in bytes.
    Data = QC_RLIMIT_DATA,
    /// Locked memory, in bytes.
    Memlock = QC_RLIMIT_MEMLOCK,
}

/// The two values of a limit; none leaves it as it is. [`Rlimit::UNLIMITED`] is one, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rlimit {
    /// What counts at first.
    pub soft: Option<u64>,
    /// How far the process may raise it.
    pub hard: Option<u64>,
}

impl Rlimit {
    /// No limit.
    pub const UNLIMITED: u64 = QC_RLIM_UNLIMITED;
}

impl Spawn {
    /// Where the process finds what [`Spawn::file`] gave it.
    pub const FILE_PATH: &'static str = SPAWN_FILE_PATH;

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

    /// Inherits only the environment variables of these names; `LC_*` stands for all that begin with `LC_`. An empty
    /// list inherits none.
    #[must_use]
    pub fn inherit_only<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.env_keep = Some(names.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the file mode creation mask.
    #[must_use]
    pub fn umask(mut self, mask: u32) -> Self {
        self.umask = Some(mask);
        self
    }

    /// Sets the niceness: -20 (first) to 19 (last).
    #[must_use]
    pub fn nice(mut self, nice: i32) -> Self {
        self.nice = Some(nice);
        self
    }

    /// Sets a limit of the operating system. The last one for a resource counts.
    #[must_use]
    pub fn rlimit(mut self, resource: Resource, limit: Rlimit) -> Self {
        self.rlimits.retain(|(known, _)| *known != resource);
        self.rlimits.push((resource, limit));
        self
    }

    /// Limits the memory of all processes of the run together, in bytes. On Linux this needs a cgroup that the node
    /// may use.
    #[must_use]
    pub fn memory(mut self, bytes: u64) -> Self {
        self.memory = Some(bytes);
        self
    }

    /// Limits the number of processes and threads of the run. Needs the same as [`Spawn::memory`].
    #[must_use]
    pub fn pids(mut self, most: u64) -> Self {
        self.pids = Some(most);
        self
    }

    /// Runs it as `USER`, `UID`, `USER:GROUP` or `UID:GID`. Only a node of root can.
    #[must_use]
    pub fn user(mut self, user: impl Into<String>) -> Self {
        self.user = Some(user.into());
        self
    }

    /// Has the process find these bytes as a file that it can read at [`Spawn::FILE_PATH`], whatever its user. There is
    /// no limit to their length but memory, and nothing of it is ever on a disk that outlives the process.
    #[must_use]
    pub fn file(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.file = Some(bytes.into());
        self
    }

    fn flags(&self) -> u32 {
        let bits = [
            (self.raw_last, QC_SPAWN_RAW_LAST),
            (self.env_keep.is_some(), QC_SPAWN_CLEAN_ENV),
            (self.umask.is_some(), QC_SPAWN_UMASK),
            (self.nice.is_some(), QC_SPAWN_NICE),
            (!self.rlimits.is_empty(), QC_SPAWN_RLIMITS),
            (self.memory.is_some(), QC_SPAWN_MEMORY),
            (self.pids.is_some(), QC_SPAWN_PIDS),
            (self.user.is_some(), QC_SPAWN_USER),
            (self.file.is_some(), QC_SPAWN_FILE),
        ];
        bits.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum()
    }

    /// Hands the description to the host, which copies it.
    pub(crate) fn send(&self, host: &Host, run: u64) -> Result<(), Error> {
        let flags = self.flags();
        // An older host refuses the flags as well; this says why.
        if flags & !QC_SPAWN_RAW_LAST != 0 && !host.limits_processes() {
            return Err(Error::new(
                "this queuectl is too old to limit processes or to clean their environment; update it",
            ));
        }
        let text = |text: &String| qc_str::new(text.as_bytes());
        let bytes = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(qc_str::NULL, |bytes| qc_str::new(bytes));
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
        let env_keep: Vec<qc_str> = self.env_keep.iter().flatten().map(text).collect();
        let rlimits: Vec<qc_rlimit> = self
            .rlimits
            .iter()
            .map(|(resource, limit)| qc_rlimit {
                resource: *resource as u32,
                reserved: 0,
                soft: limit.soft.unwrap_or(QC_RLIM_KEEP),
                hard: limit.hard.unwrap_or(QC_RLIM_KEEP),
            })
            .collect();
        host.spawn(
            run,
            &qc_spawn_v1 {
                size: size_of::<qc_spawn_v1>() as u32,
                flags,
                argv: argv.as_ptr(),
                argv_len: argv.len(),
                env: env.as_ptr(),
                env_len: env.len(),
                env_remove: env_remove.as_ptr(),
                env_remove_len: env_remove.len(),
                cwd: self.cwd.as_ref().map_or(qc_str::NULL, text),
                stdin_bytes: bytes(&self.stdin),
                umask: self.umask.unwrap_or(0),
                nice: self.nice.unwrap_or(0),
                rlimits: rlimits.as_ptr(),
                rlimits_len: rlimits.len(),
                memory_bytes: self.memory.unwrap_or(0),
                pids: self.pids.unwrap_or(0),
                env_keep: env_keep.as_ptr(),
                env_keep_len: env_keep.len(),
                user: self.user.as_ref().map_or(qc_str::NULL, text),
                file_bytes: bytes(&self.file),
            },
        )
    }
}
