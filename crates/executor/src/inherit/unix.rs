//! The unix half of `clean`.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, SigmaskHow, Signal, sigaction, sigprocmask};
use nix::unistd::setsid;

/// The first descriptor that is none of the standard ones.
const FIRST: libc::c_int = 3;
/// The largest number of a signal on any of the systems.
const SIGNAL_MOST: libc::c_int = 64;

/// See [`crate::inherit::withhold_descriptors`].
pub(crate) fn withhold_descriptors() {
    #[cfg(target_os = "linux")]
    {
        let flag = libc::CLOSE_RANGE_CLOEXEC;
        // SAFETY: three numbers; descriptors stay as they are and are only closed at an exec.
        if unsafe { libc::syscall(libc::SYS_close_range, FIRST, libc::c_uint::MAX, flag) } == 0 {
            return;
        }
    }
    // Kernels before 5.11, and other systems.
    let entries = std::fs::read_dir("/dev/fd").into_iter().flatten().flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for number in numbers.filter(|number| *number >= FIRST).collect::<Vec<_>>() {
        // SAFETY: a number that is not open any more is an error, which changes nothing.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
}

/// See [`crate::inherit::reset_signals`].
pub(crate) fn reset_signals() {
    let _ = unblock_all();
    if is_ignored(libc::SIGCHLD) {
        // SAFETY: the default action runs no code of this process.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    }
}

/// See [`crate::inherit::survive_file_limit`].
pub(crate) fn survive_file_limit() {
    extern "C" fn nothing(_: libc::c_int) {}
    // A handler, since what is ignored stays ignored in children. Who started this process to ignore it is heeded.
    if !is_ignored(libc::SIGXFSZ) {
        let handler = SigHandler::Handler(nothing);
        let action = SigAction::new(handler, SaFlags::SA_RESTART, SigSet::empty());
        // SAFETY: the handler does nothing.
        let _ = unsafe { sigaction(Signal::SIGXFSZ, &action) };
    }
}

/// See [`crate::inherit::is_ignored`].
pub(crate) fn is_ignored(signal: i32) -> bool {
    // SAFETY: all-zero is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: the struct may be written; nothing is set.
    let known = unsafe { libc::sigaction(signal, std::ptr::null(), &raw mut action) } == 0;
    known && action.sa_sigaction == libc::SIG_IGN
}

fn unblock_all() -> nix::Result<()> {
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&SigSet::empty()), None)
}

/// See [`crate::inherit::isolate`].
pub(crate) fn isolate(command: &mut Command) {
    let make = || {
        for signal in 1..=SIGNAL_MOST {
            // SAFETY: the default action runs no code of this process. Numbers without a signal are refused.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        unblock_all()?;
        setsid()?;
        Ok(())
    };
    // SAFETY: between fork and exec there are only system calls, which need nothing from this process.
    unsafe { command.pre_exec(make) };
}

/// See [`crate::inherit::detach`].
pub(crate) fn detach(command: &mut Command) {
    // SAFETY: between fork and exec there is one system call, which needs nothing from this process.
    unsafe { command.pre_exec(|| setsid().map(drop).map_err(Into::into)) };
}
