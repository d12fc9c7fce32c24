//! The Windows half of `surroundings`: nothing beyond the environment and the working folder is shared and inherited.

use std::env;
use std::path::Path;

use crate::surroundings::Changes;

/// No handle is inherited that was not meant to be.
pub(crate) fn keep_descriptors(_: &[i32]) -> Vec<i32> {
    Vec::new()
}

pub(crate) fn keep_descriptors_unseen() {}

pub(crate) fn descriptors() -> Vec<i32> {
    Vec::new()
}

pub(crate) fn inherited() -> Vec<i32> {
    Vec::new()
}

pub(crate) fn take_host_signals() {}

pub(crate) fn threads() -> Option<usize> {
    None
}

pub(crate) struct Shared;

/// Signals are not there to be held back.
pub(crate) struct HeldSignals;

impl HeldSignals {
    pub(crate) fn hold() -> HeldSignals {
        HeldSignals
    }

    /// Whether they were as they had been left.
    pub(crate) fn release(self) -> bool {
        true
    }
}

impl Shared {
    pub(crate) fn now() -> Shared {
        Shared
    }

    pub(crate) fn enter_folder(&self, folder: Option<&Path>) -> bool {
        folder.is_some_and(|folder| env::set_current_dir(folder).is_ok())
    }

    pub(crate) fn changes(&self, _: bool, _: &mut Changes) {}
}
