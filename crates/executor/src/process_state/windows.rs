//! The Windows half of `process_state`: nothing beyond the environment and the working folder is shared and inherited.

use std::env;
use std::path::Path;

use super::Changes;

/// No handle is inherited that was not meant to be.
pub(crate) fn close_on_exec_except(_: &[i32]) -> Vec<i32> {
    Vec::new()
}

pub(crate) fn close_all_on_exec() {}

/// Handles have no numbers to list.
pub fn open_descriptors() -> Vec<i32> {
    Vec::new()
}

/// None, as above.
pub fn inheritable_descriptors() -> Vec<i32> {
    Vec::new()
}

/// There are no signals.
pub fn install_host_handlers() {}

/// Unknown.
pub fn threads() -> Option<usize> {
    None
}

pub(crate) struct Inherited;

/// Signals are not there to be held back.
pub struct BlockedSignals;

impl BlockedSignals {
    /// Blocks them.
    pub fn block() -> BlockedSignals {
        BlockedSignals
    }

    /// Whether they were as they had been left.
    pub fn restore(self) -> bool {
        true
    }
}

impl Inherited {
    pub fn now() -> Inherited {
        Inherited
    }

    pub(crate) fn enter_folder(&self, folder: Option<&Path>) -> bool {
        folder.is_some_and(|folder| env::set_current_dir(folder).is_ok())
    }

    pub(crate) fn check_child_signal(&self, _: &mut Changes) {}

    pub fn changes(&self, _: bool, _: &mut Changes) {}
}
