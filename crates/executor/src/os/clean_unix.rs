//! The unix half of `clean`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::unistd::setsid;

/// See [`crate::clean::own_session`].
pub(crate) fn own_session(command: &mut Command) {
    // SAFETY: between fork and exec there is one system call, which needs nothing from this process.
    unsafe { command.pre_exec(|| setsid().map(drop).map_err(Into::into)) };
}
