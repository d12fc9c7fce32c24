//! The Windows half of `inherit`.

use std::os::windows::process::CommandExt;
use std::process::Command;

use windows_sys::Win32::System::Threading::{CREATE_NEW_PROCESS_GROUP, CREATE_NO_WINDOW};

/// Handles that can be inherited are rare here: shells pass none but the standard ones on.
pub(crate) fn withhold_descriptors() {}

/// There are no signals.
pub(crate) fn reset_signals() {}

/// There is no such limit.
pub(crate) fn survive_file_limit() {}

/// There are no signals.
pub(crate) fn is_ignored(_signal: i32) -> bool {
    false
}

/// See [`crate::inherit::isolate`].
pub(crate) fn isolate(command: &mut Command) {
    command.creation_flags(CREATE_NEW_PROCESS_GROUP);
}

/// See [`crate::inherit::detach`]. A console of its own, which is not shown: neither Ctrl-C nor closing the terminal ends
/// the node, and its jobs can still be sent Ctrl-Break.
pub(crate) fn detach(command: &mut Command) {
    command.creation_flags(CREATE_NEW_PROCESS_GROUP | CREATE_NO_WINDOW);
}
