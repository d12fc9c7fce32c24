//! Waiting for children by their numbers.

use nix::libc;

/// Lets go of a child that ended. Returns whether that worked.
pub(super) fn reap(pid: u32) -> bool {
    // SAFETY: no status is asked for; the call does not block.
    unsafe { libc::waitpid(pid.cast_signed(), std::ptr::null_mut(), libc::WNOHANG) > 0 }
}
