//! The unix half of `process_state`: what children inherit from this process beside environment and folder, and the signals
//! by which the host hears of them.
//!
//! Harmless changes stay: handlers for signals that the host does not use (a child never inherits a handler), those
//! for faults (a sandbox works by them), and limits that were raised.

use std::fs::{File, OpenOptions};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, pthread_sigmask};
use nix::sys::stat::{Mode, fstat, umask};
use nix::unistd::{Gid, Pid, Uid, fchdir, getegid, geteuid, getgid, getpgrp, getsid, getuid, setpgid};

use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};

use super::Changes;

/// Keeps every descriptor but the standard streams from children, unless it is one that `known` has. Returns the numbers of
/// those that it had to.
pub(crate) fn close_on_exec_except(known: &[i32]) -> Vec<i32> {
    let mut kept = inheritable_descriptors();
    kept.retain(|number| !known.contains(number));
    for number in &kept {
        // SAFETY: it concerns a number; if it was closed meanwhile, nothing happens.
        unsafe { libc::fcntl(*number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    kept
}

/// The same without a look, where the system can do that at once.
pub(crate) fn close_all_on_exec() {
    #[cfg(target_os = "linux")]
    // SAFETY: it takes numbers and closes nothing.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3_u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

/// The numbers of the open descriptors.
pub fn open_descriptors() -> Vec<i32> {
    let entries = std::fs::read_dir("/dev/fd").into_iter().flatten().flatten();
    let number = |entry: std::fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    let mut numbers: Vec<i32> = entries.filter_map(number).collect();
    // The one that the list was read by is closed again.
    // SAFETY: it asks about a number.
    numbers.retain(|number| unsafe { libc::fcntl(*number, libc::F_GETFD) } >= 0);
    numbers
}

/// Those that children inherit beside the standard streams.
pub fn inheritable_descriptors() -> Vec<i32> {
    let mut numbers = open_descriptors();
    // SAFETY: it asks about a number.
    let flags = |number: i32| unsafe { libc::fcntl(number, libc::F_GETFD) };
    numbers.retain(|number| *number > 2 && flags(*number) & libc::FD_CLOEXEC == 0);
    numbers
}

/// Takes the signals that a worker process takes, for a process without a host.
pub fn install_host_handlers() {
    let nobody_looks = Arc::new(AtomicBool::new(false));
    for signal in [SIGCHLD, SIGINT, SIGTERM, SIGHUP] {
        if let Err(error) = signal_hook::flag::register(signal, Arc::clone(&nobody_looks)) {
            tracing::warn!(%error, signal, "what a plugin does with this signal is not seen");
        }
    }
}

/// How many threads there are, where that can be learned.
pub fn threads() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

/// Signals that a fault raises. Their handlers are for the code that may fault.
const FAULTS: [Signal; 5] = [
    Signal::SIGSEGV,
    Signal::SIGBUS,
    Signal::SIGILL,
    Signal::SIGFPE,
    Signal::SIGTRAP,
];

/// The limits that children inherit and that a plugin might lower.
const LIMITS: [(Resource, &str); 7] = [
    (Resource::RLIMIT_NOFILE, "open files"),
    (Resource::RLIMIT_FSIZE, "file size"),
    (Resource::RLIMIT_CORE, "core files"),
    (Resource::RLIMIT_CPU, "processor time"),
    (Resource::RLIMIT_AS, "memory"),
    (Resource::RLIMIT_DATA, "data"),
    (Resource::RLIMIT_STACK, "stack"),
];

/// What a process does at a signal.
#[derive(Clone, Copy)]
struct Disposition {
    signal: Signal,
    action: libc::sigaction,
}

/// The places of standard input, output and error, and a copy of each.
struct Stream {
    number: i32,
    file: Option<(OwnedFd, libc::dev_t, libc::ino_t)>,
}

pub(crate) struct Inherited {
    folder: Option<File>,
    mask: Mode,
    dispositions: Vec<Disposition>,
    streams: Vec<Stream>,
    limits: Vec<(Resource, &'static str, u64, u64)>,
    users: (Uid, Uid, Gid, Gid),
    group: Pid,
    session: Option<Pid>,
    nice: i32,
    #[cfg(target_os = "linux")]
    attributes: [Option<i32>; ATTRIBUTES.len()],
}

/// What Linux knows of a process beside that: how it is asked for, how it is set if it can be set back, and its name.
#[cfg(target_os = "linux")]
const ATTRIBUTES: [(i32, Option<i32>, &str); 3] = [
    (
        libc::PR_GET_CHILD_SUBREAPER,
        Some(libc::PR_SET_CHILD_SUBREAPER),
        "who gets the orphans of jobs",
    ),
    (
        libc::PR_GET_DUMPABLE,
        Some(libc::PR_SET_DUMPABLE),
        "who may look into the process",
    ),
    (
        libc::PR_GET_NO_NEW_PRIVS,
        None,
        "whether jobs may gain privileges",
    ),
];

#[cfg(target_os = "linux")]
fn attribute(ask: i32) -> Option<i32> {
    let mut value: i32 = -1;
    let answer = if ask == libc::PR_GET_CHILD_SUBREAPER {
        // SAFETY: it fills in the place, which lives long enough.
        unsafe { libc::prctl(ask, &raw mut value) }
    } else {
        // SAFETY: it takes numbers and returns one.
        unsafe { libc::prctl(ask, 0, 0, 0, 0) }
    };
    match answer {
        -1 => None,
        _ if ask == libc::PR_GET_CHILD_SUBREAPER => Some(value),
        answer => Some(answer),
    }
}

/// SIGCHLD, held back from this thread, and from those that it starts meanwhile: what they do is not interrupted whenever a
/// job ends.
pub struct BlockedSignals {
    before: SigSet,
    held: SigSet,
}

impl BlockedSignals {
    /// Blocks them.
    pub fn block() -> BlockedSignals {
        let (mut child, mut before) = (SigSet::empty(), SigSet::empty());
        child.add(Signal::SIGCHLD);
        // It can only fail for a wrong argument.
        let _ = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&child), Some(&mut before));
        let mut held = before;
        held.add(Signal::SIGCHLD);
        BlockedSignals { before, held }
    }

    /// Whether the thread's signals were as they had been left.
    pub fn restore(self) -> bool {
        let mut found = SigSet::empty();
        let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&self.before), Some(&mut found));
        Signal::iterator().all(|signal| found.contains(signal) == self.held.contains(signal))
    }
}

fn action_of(signal: Signal) -> Option<libc::sigaction> {
    // SAFETY: all bytes of the struct may be zero.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    // SAFETY: it only writes to the struct.
    let asked = unsafe { libc::sigaction(signal as i32, std::ptr::null(), &raw mut action) };
    (asked == 0).then_some(action)
}

fn identity(descriptor: BorrowedFd) -> Option<(libc::dev_t, libc::ino_t)> {
    let found = fstat(descriptor).ok()?;
    Some((found.st_dev, found.st_ino))
}

/// A descriptor of this process by its number, which may be closed: then every call with it fails.
fn numbered(number: i32) -> BorrowedFd<'static> {
    // SAFETY: 0 to 2 are never owned by anybody in here, so they are not closed by a drop.
    unsafe { BorrowedFd::borrow_raw(number) }
}

fn nice() -> i32 {
    // SAFETY: it takes numbers and returns one.
    unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
}

fn users() -> (Uid, Uid, Gid, Gid) {
    (getuid(), geteuid(), getgid(), getegid())
}

impl Disposition {
    /// How the signal is taken now, if that harms the host or its jobs.
    fn harm(&self) -> Option<&'static str> {
        let (now, then) = (action_of(self.signal)?.sa_sigaction, self.action.sa_sigaction);
        if now == then {
            return None;
        }
        let is_fault = FAULTS.contains(&self.signal);
        match (then, now) {
            (_, libc::SIG_IGN) => Some("ignored"),
            (_, _) if is_fault => None,
            (_, libc::SIG_DFL) => Some("not taken by the host any more"),
            (libc::SIG_DFL | libc::SIG_IGN, _) => None,
            (_, _) => Some("taken from the host"),
        }
    }

    fn put_back(&self) -> bool {
        // SAFETY: the action was in force before; its handler is still there.
        unsafe { libc::sigaction(self.signal as i32, &raw const self.action, std::ptr::null_mut()) == 0 }
    }
}

impl Stream {
    fn of(number: i32) -> Stream {
        let here = numbered(number);
        let file = identity(here).and_then(|(device, file)| {
            let copy = here.try_clone_to_owned().ok()?;
            Some((copy, device, file))
        });
        Stream { number, file }
    }

    fn is_changed(&self) -> bool {
        let then = self.file.as_ref().map(|(_, device, file)| (*device, *file));
        identity(numbered(self.number)) != then
    }

    fn put_back(&self) -> bool {
        let copy = self.file.as_ref();
        copy.is_some_and(|(copy, ..)| {
            // SAFETY: the number is that of a standard stream, which no code in here owns.
            unsafe { libc::dup2(copy.as_raw_fd(), self.number) == self.number }
        })
    }
}

impl Inherited {
    pub fn now() -> Inherited {
        let mask = umask(Mode::from_bits_truncate(0o077));
        umask(mask);
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_DIRECTORY);
        Inherited {
            folder: options.open(".").ok(),
            mask,
            dispositions: Signal::iterator()
                .filter(|signal| !matches!(signal, Signal::SIGKILL | Signal::SIGSTOP))
                .filter_map(|signal| action_of(signal).map(|action| Disposition { signal, action }))
                .collect(),
            streams: (0..=2).map(Stream::of).collect(),
            limits: LIMITS
                .iter()
                .filter_map(|(limit, name)| {
                    getrlimit(*limit)
                        .ok()
                        .map(|(soft, hard)| (*limit, *name, soft, hard))
                })
                .collect(),
            users: users(),
            group: getpgrp(),
            session: getsid(None).ok(),
            nice: nice(),
            #[cfg(target_os = "linux")]
            attributes: ATTRIBUTES.map(|(ask, ..)| attribute(ask)),
        }
    }

    /// Goes back to the folder that was the working folder, whatever its path is now.
    pub(crate) fn enter_folder(&self, _: Option<&Path>) -> bool {
        self.folder
            .as_ref()
            .is_some_and(|folder| fchdir(folder.as_fd()).is_ok())
    }

    /// Restores the action of SIGCHLD if it changed, and notes that.
    pub(crate) fn check_child_signal(&self, changes: &mut Changes) {
        self.check_signals(true, changes, |signal| signal == Signal::SIGCHLD);
    }

    fn check_signals(&self, put_back: bool, changes: &mut Changes, wanted: impl Fn(Signal) -> bool) {
        for disposition in self.dispositions.iter().filter(|one| wanted(one.signal)) {
            if let Some(how) = disposition.harm() {
                let back = !put_back || disposition.put_back();
                changes.note(format!("{} is {how}", disposition.signal), back);
            }
        }
    }

    /// Notes what changed, and puts it back if `put_back`.
    pub fn changes(&self, put_back: bool, changes: &mut Changes) {
        // Asked by setting it, so there is never another one to be found. A mere look puts the new one back.
        let mask = umask(self.mask);
        if mask != self.mask {
            if !put_back {
                umask(mask);
            }
            changes.note("the umask", true);
        }
        self.check_signals(put_back, changes, |_| true);
        for stream in self.streams.iter().filter(|stream| stream.is_changed()) {
            let back = !put_back || stream.put_back();
            changes.note(format!("standard stream {}", stream.number), back);
        }
        for (limit, name, soft, hard) in &self.limits {
            if let Ok((soft_now, hard_now)) = getrlimit(*limit)
                && (soft_now < *soft || hard_now < *hard)
            {
                let back = !put_back || setrlimit(*limit, *soft, *hard).is_ok();
                changes.note(format!("the limit of {name}"), back);
            }
        }
        if nice() != self.nice {
            // SAFETY: it takes numbers.
            let back = !put_back || unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, self.nice) } == 0;
            changes.note("the niceness", back);
        }
        if getsid(None).ok() != self.session {
            changes.note("the session", false);
        } else if getpgrp() != self.group {
            let back = !put_back || setpgid(Pid::from_raw(0), self.group).is_ok();
            changes.note("the process group", back);
        }
        if users() != self.users {
            changes.note("the user or the group", false);
        }
        #[cfg(target_os = "linux")]
        for ((ask, set, name), then) in ATTRIBUTES.into_iter().zip(self.attributes) {
            if attribute(ask) != then {
                let set_back = |(set, then): (i32, i32)| {
                    // SAFETY: it takes numbers.
                    unsafe { libc::prctl(set, then as libc::c_ulong, 0, 0, 0) == 0 }
                };
                let back = set.zip(then);
                changes.note(name, back.is_some_and(|back| !put_back || set_back(back)));
            }
        }
    }
}
