//! What all code in a process shares: environment, working folder, signals, limits and the like. A plugin that changes it
//! harms the jobs of other executors, which inherit it.
//!
//! A worker restores what it can after calls into plugins; the conformance kit only looks. Neither when to look nor which
//! plugin to blame is decided here.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

mod changes;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

pub use changes::Changes;
#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

use platform::Inherited;
pub use platform::{
    BlockedSignals, inheritable_descriptors, install_host_handlers, open_descriptors, threads,
};
pub(crate) use platform::{close_all_on_exec, close_on_exec_except};

/// The surroundings at some moment.
pub struct ProcessState {
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    inherited: Inherited,
}

impl ProcessState {
    /// What it is now.
    pub fn now() -> ProcessState {
        ProcessState {
            environment: env::vars_os().collect(),
            folder: env::current_dir().ok(),
            inherited: Inherited::now(),
        }
    }

    /// Finds what changed, and puts it back if `put_back`.
    pub fn changes(&self, put_back: bool) -> Changes {
        let mut changes = Changes::default();
        if !env::vars_os().eq(self.environment.iter().cloned()) {
            let names = self.changed_names();
            if !names.is_empty() {
                if put_back {
                    self.put_environment_back();
                }
                changes.note(format!("the environment ({})", names.join(", ")), true);
            }
        }
        if env::current_dir().ok() != self.folder {
            let back = !put_back || self.inherited.enter_folder(self.folder.as_deref());
            changes.note("the working folder", back);
        }
        self.inherited.changes(put_back, &mut changes);
        changes
    }

    /// Restores the signal by which the host learns that a child ended, if that changed: the cheap part of `changes`.
    pub(crate) fn check_child_signal(&self, changes: &mut Changes) {
        self.inherited.check_child_signal(changes);
    }

    /// The names of the variables that differ, in order.
    fn changed_names(&self) -> Vec<String> {
        let before: BTreeMap<_, _> = self
            .environment
            .iter()
            .map(|(name, value)| (name, value))
            .collect();
        let now: Vec<(OsString, OsString)> = env::vars_os().collect();
        let now: BTreeMap<_, _> = now.iter().map(|(name, value)| (name, value)).collect();
        let mut names: Vec<_> = before
            .keys()
            .chain(now.keys())
            .filter(|name| before.get(*name) != now.get(*name))
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names.dedup();
        names
    }

    fn put_environment_back(&self) {
        let names: Vec<OsString> = env::vars_os().map(|(name, _)| name).collect();
        for name in names {
            if !self.environment.iter().any(|(known, _)| *known == name) {
                // SAFETY: as below.
                unsafe { env::remove_var(&name) }
            }
        }
        for (name, value) in &self.environment {
            if env::var_os(name).as_ref() != Some(value) {
                // SAFETY: the plugin changed the environment of this process while it has several threads, so a thread that
                // reads it without a lock was in danger already. std's own readers take its lock.
                unsafe { env::set_var(name, value) }
            }
        }
    }
}
