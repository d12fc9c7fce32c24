//! Limits of a process on Windows: what a Job Object and a priority class can do. The rest is refused by name.

use std::io;
use std::os::windows::process::CommandExt;
use std::path::Path;
use std::process::Command;

use windows_sys::Win32::System::JobObjects::{
    JOB_OBJECT_LIMIT_ACTIVE_PROCESS, JOB_OBJECT_LIMIT_JOB_MEMORY, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
};
use windows_sys::Win32::System::Threading::{
    ABOVE_NORMAL_PRIORITY_CLASS, BELOW_NORMAL_PRIORITY_CLASS, CREATE_NEW_PROCESS_GROUP, CREATE_SUSPENDED,
    HIGH_PRIORITY_CLASS, IDLE_PRIORITY_CLASS, NORMAL_PRIORITY_CLASS,
};

use super::origin::RunOrigin;
use crate::limits::Limits;

/// How every process is started: as the leader of a group of its own, which Ctrl-Break is sent to, and not running yet.
pub(super) const CREATION_FLAGS: u32 = CREATE_NEW_PROCESS_GROUP | CREATE_SUSPENDED;

/// There is no way to become another user without a password.
pub(crate) enum User {}

impl User {
    pub(crate) fn find(text: &str) -> Result<User, String> {
        Err(format!("jobs cannot run as another user ('{text}') on Windows"))
    }

    pub(crate) fn environment(&self) -> impl Iterator<Item = (&'static str, &str)> {
        std::iter::empty()
    }
}

/// A process's limits, ready to be put on.
pub(crate) struct Confinement {
    memory: Option<u64>,
    pids: Option<u64>,
}

impl Confinement {
    /// # Errors
    /// What cannot be done here, in words.
    pub(crate) fn prepare(
        command: &mut Command,
        limits: &Limits,
        _user: Option<User>,
        _cwd: Option<&Path>,
        _origin: RunOrigin,
    ) -> Result<Confinement, String> {
        let absent = [
            (limits.umask.is_some(), "a umask"),
            (!limits.rlimits.is_empty(), "rlimits"),
            (limits.file.is_some(), "a script"),
            (limits.terminal.is_some(), "a terminal (--pty)"),
        ];
        if let Some((_, what)) = absent.iter().find(|(asked, _)| *asked) {
            return Err(format!("{what} is not available on Windows"));
        }
        if let Some(nice) = limits.nice {
            let class = match nice {
                ..=-15 => HIGH_PRIORITY_CLASS,
                -14..=-5 => ABOVE_NORMAL_PRIORITY_CLASS,
                -4..=4 => NORMAL_PRIORITY_CLASS,
                5..=14 => BELOW_NORMAL_PRIORITY_CLASS,
                15.. => IDLE_PRIORITY_CLASS,
            };
            command.creation_flags(CREATION_FLAGS | class);
        }
        Ok(Confinement {
            memory: limits.memory,
            pids: limits.pids,
        })
    }

    /// Streams have no owner that matters here.
    pub(crate) fn own<T>(&self, _stream: T) {}

    /// Adds the limits of the Job Object.
    pub(super) fn extend(&self, limits: &mut JOBOBJECT_EXTENDED_LIMIT_INFORMATION) -> io::Result<()> {
        let too_large = |_| io::Error::other("a limit is too large for this machine");
        if let Some(bytes) = self.memory {
            limits.JobMemoryLimit = usize::try_from(bytes).map_err(too_large)?;
            limits.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_JOB_MEMORY;
        }
        if let Some(most) = self.pids {
            limits.BasicLimitInformation.ActiveProcessLimit = u32::try_from(most).map_err(too_large)?;
            limits.BasicLimitInformation.LimitFlags |= JOB_OBJECT_LIMIT_ACTIVE_PROCESS;
        }
        Ok(())
    }
}
