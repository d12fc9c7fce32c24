//! A pseudo-terminal for a job that wants one. Where its output goes, who reads it, and sessions are not done here.

use std::io;
use std::os::fd::OwnedFd;

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, OutputFlags, SetArg, tcgetattr, tcsetattr};
use queuectl_core::TerminalSize;

/// Opens a terminal: the end that is read, and the one that is the job's.
pub(super) fn open(size: TerminalSize) -> io::Result<(OwnedFd, OwnedFd)> {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = openpty(&size, None)?;
    for end in [&pty.master, &pty.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    // Output is recorded as it was written, with line feeds alone, and nothing is typed that could be echoed.
    let mut modes = tcgetattr(&pty.slave)?;
    modes.output_flags.remove(OutputFlags::ONLCR);
    modes.local_flags.remove(LocalFlags::ECHO);
    tcsetattr(&pty.slave, SetArg::TCSANOW, &modes)?;
    Ok((pty.master, pty.slave))
}
