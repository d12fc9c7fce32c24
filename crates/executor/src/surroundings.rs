//! What all code in a process shares: environment, working folder, signals, limits and the like. A plugin that changes it
//! harms the jobs of other executors, which inherit it.
//!
//! A worker puts back what it can after each call into a plugin; see [`Surroundings::put_back`]. The conformance kit only
//! looks. Which plugin did it is known to whoever asks.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use crate::os::Shared;

/// The surroundings at some moment.
pub(crate) struct Surroundings {
    environment: Vec<(OsString, OsString)>,
    folder: Option<PathBuf>,
    shared: Shared,
}

/// What was found changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// What is as before again, or could be.
    pub(crate) mended: Vec<String>,
    /// What cannot be put back.
    pub(crate) lost: Vec<String>,
}

impl Changes {
    pub(crate) fn is_empty(&self) -> bool {
        self.mended.is_empty() && self.lost.is_empty()
    }

    /// All of it, in words.
    pub(crate) fn words(&self) -> String {
        let all: Vec<&str> = self.lost.iter().chain(&self.mended).map(String::as_str).collect();
        all.join(", ")
    }

    /// Notes that something changed unless it is `same`, which was or could be put back.
    pub(crate) fn note_unless(&mut self, same: bool, what: &str) {
        if !same {
            self.note(what, true);
        }
    }

    pub(crate) fn note(&mut self, what: impl Into<String>, put_back: bool) {
        if put_back {
            self.mended.push(what.into());
        } else {
            self.lost.push(what.into());
        }
    }
}

impl Surroundings {
    pub(crate) fn now() -> Surroundings {
        Surroundings {
            environment: env::vars_os().collect(),
            folder: env::current_dir().ok(),
            shared: Shared::now(),
        }
    }

    /// Finds what changed, and puts it back if `put_back`.
    pub(crate) fn changes(&self, put_back: bool) -> Changes {
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
            let back = !put_back || self.shared.enter_folder(self.folder.as_deref());
            changes.note("the working folder", back);
        }
        self.shared.changes(put_back, &mut changes);
        changes
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
                // SAFETY: the plugin changed the environment of this process while it has several threads, so whoever
                // reads it without a lock was in danger already. std's own readers take its lock.
                unsafe { env::set_var(name, value) }
            }
        }
    }
}
