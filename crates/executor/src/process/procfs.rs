//! A small reader of `/proc`, and signals that cannot hit the wrong process.
//!
//! Everything here may vanish between two looks; that is never an error, only an absence.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::os::fd::{FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{Signal, kill};

/// Room for one line of `stat`: 52 numbers and a name.
const LINE: usize = 2048;
/// Flag of a thread of the kernel's own.
const PF_KTHREAD: u64 = 0x0020_0000;

fn stat_line(pid: u32, bytes: &mut [u8; LINE]) -> Option<&[u8]> {
    let n = File::open(format!("/proc/{pid}/stat")).ok()?.read(bytes).ok()?;
    bytes.get(..n)
}

/// The fields of a line of `stat` from the third on.
fn fields(line: &[u8]) -> Option<std::str::Split<'_, char>> {
    // The name, in parentheses, may hold anything, also parentheses and blanks.
    let end = line.iter().rposition(|b| *b == b')')?;
    std::str::from_utf8(line.get(end + 2..)?)
        .ok()
        .map(|rest| rest.trim_end().split(' '))
}

/// What `/proc/<pid>/stat` says about a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) pid: u32,
    pub(super) state: u8,
    pub(super) parent: u32,
    pub(super) group: u32,
    /// Clock ticks between boot and the start of the process: with the number, it names a process for good.
    pub(super) start: u64,
}

impl Stat {
    /// The process as it is now.
    pub(super) fn of(pid: u32) -> Option<Stat> {
        let mut bytes = [0; 1024];
        let n = File::open(format!("/proc/{pid}/stat"))
            .ok()?
            .read(&mut bytes)
            .ok()?;
        Stat::parse(pid, &bytes[..n])
    }

    fn parse(pid: u32, line: &[u8]) -> Option<Stat> {
        let mut fields = fields(line)?;
        let state = *fields.next()?.as_bytes().first()?;
        let parent = fields.next()?.parse().ok()?;
        let group = fields.next()?.parse().ok()?;
        // Field 22 of the line; the one after `group` is field 6.
        let start = fields.nth(22 - 6)?.parse().ok()?;
        Some(Stat {
            pid,
            state,
            parent,
            group,
            start,
        })
    }

    /// Whether it is the same process, and not another one with its number.
    pub(super) fn is(&self, other: &Stat) -> bool {
        (self.pid, self.start) == (other.pid, other.start)
    }

    /// Whether the process is over and only waits to be waited for.
    pub(super) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }

    /// Kills the process. False if this user may not.
    pub(super) fn kill(&self) -> bool {
        self.send(libc::SIGKILL)
    }

    /// Sends the process a signal, and no other: if its number means another one by now, nothing happens. False if this user
    /// may not.
    pub(super) fn send(&self, signal: i32) -> bool {
        // SAFETY: pidfd_open takes two numbers and returns a new descriptor or -1.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, self.pid, 0) };
        let fd = i32::try_from(fd).unwrap_or(-1);
        // SAFETY: the descriptor is new and has no other owner.
        let fd = (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) });
        // The descriptor sticks to whatever has the number now; is it still the same process?
        if Stat::of(self.pid).is_none_or(|now| now.start != self.start) {
            return true;
        }
        let done = match fd {
            Some(fd) => {
                use std::os::fd::AsRawFd;
                // SAFETY: an open descriptor, a signal, no further information, no flags.
                let done = unsafe {
                    libc::syscall(
                        libc::SYS_pidfd_send_signal,
                        fd.as_raw_fd(),
                        signal,
                        std::ptr::null::<libc::siginfo_t>(),
                        0,
                    )
                };
                Errno::result(done).map(drop)
            }
            // Kernels before 5.3: the check just made has to do.
            None => {
                let pid = nix::unistd::Pid::from_raw(self.pid.cast_signed());
                Signal::try_from(signal).and_then(|signal| kill(pid, signal))
            }
        };
        done != Err(Errno::EPERM)
    }
}

/// Every process there is.
pub(super) fn all() -> impl Iterator<Item = Stat> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(Stat::of)
}

/// The environment a process was started with; empty if it is unreadable or was overwritten.
pub(super) struct Environment {
    bytes: Vec<u8>,
    /// The process is just starting another program, or ending: it shows its environment in part or not at all for a
    /// moment, and a later look tells more.
    pub(super) unsettled: bool,
}

impl Environment {
    pub(super) fn of(pid: u32) -> Environment {
        // Room for most in one read: one that goes in steps ends early when the process starts another program.
        let mut bytes = Vec::with_capacity(32 * 1024);
        let read =
            File::open(format!("/proc/{pid}/environ")).and_then(|mut file| file.read_to_end(&mut bytes));
        // Unreadable is for good: it runs as somebody else, or is none that may be looked into. Its birthmark has to do.
        let refused = read.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied);
        let unsettled = !refused && !is_whole(pid, bytes.len() as u64);
        Environment { bytes, unsettled }
    }

    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        let value = |entry| <[u8]>::strip_prefix(entry, name.as_bytes())?.strip_prefix(b"=");
        self.bytes.split(|b| *b == 0).find_map(value)
    }
}

/// Returns whether the environment of a process has `len` bytes, or will never exist.
fn is_whole(pid: u32, len: u64) -> bool {
    let mut bytes = [0; LINE];
    let Some(mut fields) = stat_line(pid, &mut bytes).and_then(fields) else {
        return false;
    };
    let mut number = |skip: usize| {
        fields
            .nth(skip)
            .and_then(|field| field.parse::<u64>().ok())
            .unwrap_or(0)
    };
    // Field 9, flags; field 27, the end of the code; fields 50 and 51, start and end of the environment.
    let (flags, code) = (number(9 - 3), number(27 - 9 - 1));
    let (start, end) = (number(50 - 27 - 1), number(0));
    // The kernel sets the place of the code last when it starts a program: only then the rest is final.
    flags & PF_KTHREAD != 0 || (code != 0 && end.saturating_sub(start) == len)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_confuse() {
        let line = b"12 (a) R (b) S 3 4 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987 11 12\n";
        let stat = Stat::parse(12, line).unwrap();
        assert_eq!(
            stat,
            Stat {
                pid: 12,
                state: b'S',
                parent: 3,
                group: 4,
                start: 987
            }
        );
        assert_eq!(Stat::parse(1, b"garbage"), None);
    }

    #[test]
    fn a_cleared_environment_is_settled() {
        let mut child = std::process::Command::new("cat")
            .env_clear()
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        // It is there a moment before its environment is; what it copies says that it runs.
        let mut copied = [0];
        child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut copied).unwrap();
        let environment = Environment::of(child.id());
        assert!(!environment.unsettled && environment.get("PATH").is_none());
        drop(child.stdin.take());
        child.wait().unwrap();
    }

    #[test]
    fn our_own_process_is_seen() {
        let own = Stat::of(std::process::id()).unwrap();
        assert_eq!(own.parent, std::os::unix::process::parent_id());
        assert!(!own.is_dead());
        assert!(all().any(|stat| stat.pid == own.pid));
        let environment = Environment::of(own.pid);
        assert!(environment.get("PATH").is_some() && !environment.unsettled);
        // The kernel's first thread has no environment and never will.
        assert!(!Environment::of(2).unsettled);
    }
}
