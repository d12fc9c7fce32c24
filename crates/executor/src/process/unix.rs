//! Children on unix: one process group each, one `poll(2)` for all of them. How what they print is read is in `pipes_unix`.
//!
//! The leader of a group stays a zombie until the group has been signalled for the last time, so that its number
//! cannot mean anything else. Whatever left the group is found by `Orphans`.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::unistd::{Pid, getpgid, getpgrp};
use queuectl_core::settings::Leftovers;
use queuectl_core::{OutputStream, TerminalSize};
use signal_hook::SigId;
use signal_hook::consts::SIGCHLD;

use super::pipes_unix::{Buffers, Pipes};
use super::wait_unix::reap;
use super::{
    Birthmark, Confinement, Group, Orphans, RunOrigin, SpawnError, Strays, cannot_confine, cannot_start,
};
use crate::capture::Capture;
use crate::os::error_text;
use crate::outcome::Exit;

/// How long a new child's output is left in its pipe. Most short jobs are over by then, and cost one look instead of
/// two: one that sees the pipe's end and, a moment later, one that sees the child's.
const FIRST_READ_AFTER: Duration = Duration::from_millis(2);

/// Gives the command its arguments, and the name it is called by.
pub(crate) fn arguments(command: &mut Command, argv: &[String], _raw_last: bool, has_session: bool) {
    command.arg0(&argv[0]).args(&argv[1..]);
    // A session is a group as well, and the leader of a group cannot begin one.
    if !has_session {
        command.process_group(0);
    }
}

/// Has SIGCHLD delivered to other threads than this one and those that it starts.
pub(crate) fn leave_child_signals() -> io::Result<()> {
    child_signal().thread_block().map_err(Into::into)
}

/// Undoes [`leave_child_signals`] for this thread. Children are started with the mask of the thread that starts them.
fn take_child_signals() -> io::Result<()> {
    child_signal().thread_unblock().map_err(Into::into)
}

fn child_signal() -> SigSet {
    let mut set = SigSet::empty();
    set.add(Signal::SIGCHLD);
    set
}

/// Wakes the reactor from another thread.
pub(crate) struct Waker(UnixStream);

impl Waker {
    pub(crate) fn wake(&self) {
        use std::io::Write;
        // A full buffer means that a wake-up is already waiting.
        let _ = (&self.0).write(&[1]);
    }
}

/// Waits until a child prints, a child ends, somebody wakes us, or time is up.
pub(crate) struct Reactor {
    wake: UnixStream,
    signal: SigId,
    buffers: Buffers,
    own_group: Pid,
}

impl Reactor {
    pub(crate) fn new() -> io::Result<(Reactor, Waker)> {
        let (wake, waker) = UnixStream::pair()?;
        wake.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let signal = signal_hook::low_level::pipe::register(SIGCHLD, waker.try_clone()?)?;
        Ok((
            Reactor {
                wake,
                signal,
                buffers: Buffers::new(),
                own_group: getpgrp(),
            },
            Waker(waker),
        ))
    }

    /// The calling thread will wait from now on.
    pub(crate) fn bind_to_thread(&self) {
        if let Err(error) = take_child_signals() {
            tracing::error!(%error, "cannot choose the thread that hears of children; others will wake this one");
        }
    }

    /// Waits at most `timeout`, then takes in what children printed and notes which ended.
    pub(crate) fn wait<'a>(
        &mut self,
        processes: impl Iterator<Item = &'a mut Process>,
        timeout: Option<Duration>,
    ) {
        let mut processes: Vec<&mut Process> = processes.collect();
        let now = Instant::now();
        let quiet = processes.iter().filter_map(|p| p.read_from);
        let quiet = quiet.filter(|until| *until > now).min();
        let timeout = timeout.into_iter().chain(quiet.map(|until| until - now)).min();
        // Rounded up: waking early would cost a second wait.
        let ms = timeout.map(|t| i32::try_from(t.as_micros().div_ceil(1000)).unwrap_or(i32::MAX));
        let timeout = ms.map_or(PollTimeout::NONE, |ms| {
            PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX)
        });
        let (mut woken, mut ready) = (true, Vec::new());
        {
            let mut fds = Vec::with_capacity(2 * processes.len() + 1);
            fds.push(PollFd::new(self.wake.as_fd(), PollFlags::POLLIN));
            let pipes = processes
                .iter()
                .enumerate()
                .filter(|(_, p)| p.read_from.is_none_or(|until| until <= now))
                .flat_map(|(i, p)| p.pipes.readable().map(move |pipe| (i, pipe)));
            let owners: Vec<(usize, OutputStream)> = pipes
                .map(|(i, (stream, fd))| {
                    fds.push(PollFd::new(fd, PollFlags::POLLIN));
                    (i, stream)
                })
                .collect();
            // EINTR is the only error that can come here; looking at everything is right after that, too.
            if poll(&mut fds, timeout).is_ok() {
                let any = |fd: &PollFd| fd.revents().is_none_or(|events| !events.is_empty());
                woken = any(&fds[0]);
                ready.extend(
                    owners
                        .into_iter()
                        .zip(&fds[1..])
                        .filter(|(_, fd)| any(fd))
                        .map(|(owner, _)| owner),
                );
            }
        }
        for (i, stream) in ready {
            let process = &mut *processes[i];
            process.pipes.read(stream, &process.capture, &mut self.buffers);
        }
        if woken {
            let mut wakes = [0; 1024];
            while matches!((&self.wake).read(&mut wakes), Ok(n) if n == wakes.len()) {}
            self.note_ended(&mut processes);
        }
    }

    /// Starts `command` with everything it prints going to `capture`, on a terminal if it is to have one.
    pub(crate) fn spawn(
        &self,
        mut command: Command,
        mut confinement: Option<Confinement>,
        capture: Arc<Mutex<Capture>>,
        leftovers: Leftovers,
        terminal: Option<TerminalSize>,
    ) -> Result<Process, SpawnError> {
        let pipes = match terminal {
            Some(size) => {
                let (pipes, writer) = Pipes::terminal(size)?;
                confinement
                    .iter()
                    .for_each(|confinement| confinement.own(&writer));
                command.stdout(writer.try_clone()?).stderr(writer);
                pipes
            }
            None => {
                let (pipes, stdout, stderr) = Pipes::new()?;
                if let Some(confinement) = &confinement {
                    confinement.own(&stdout);
                    confinement.own(&stderr);
                }
                command.stdout(stdout).stderr(stderr);
                pipes
            }
        };
        let child = command.spawn().map_err(|error| {
            match confinement.as_mut().and_then(Confinement::failed_step) {
                Some(step) => SpawnError::Outcome(cannot_confine(&format!(
                    "it could not {step}: {}",
                    error_text(&error)
                ))),
                None => error.into(),
            }
        })?;
        Ok(Process {
            child,
            group: confinement.and_then(Confinement::into_group),
            stage: Stage::Running,
            pipes,
            read_from: Instant::now().checked_add(FIRST_READ_AFTER),
            capture,
            leftovers,
            grace: false,
            suspended: None,
        })
    }

    /// Finds out which children ended. Usually one system call per child that did, however many there are.
    fn note_ended(&self, processes: &mut [&mut Process]) {
        while let Some(pid) = ended_child(libc::P_ALL, 0) {
            let known = processes.iter_mut().find(|p| p.pid() == pid && p.is_child());
            let gone = match known {
                // It is kept for its group's sake, and seen again and again.
                Some(process) if process.is_lingering() => false,
                Some(process) => {
                    process.main_ended();
                    !process.is_lingering()
                }
                // An orphan that was handed to us, unless a plugin started it, which then waits for it itself.
                None => self.is_orphan(pid) && reap(pid),
            };
            if !gone {
                // This one stays a zombie for now and hides the others from the question asked above.
                for process in processes.iter_mut().filter(|p| p.is_running()) {
                    if ended_child(libc::P_PID, process.pid()).is_some() {
                        process.main_ended();
                    }
                }
                return;
            }
        }
    }

    /// Returns whether a child that is not a main process is an orphan of a job.
    fn is_orphan(&self, pid: u32) -> bool {
        getpgid(Some(as_pid(pid))).is_ok_and(|group| group != self.own_group)
    }
}

impl Drop for Reactor {
    fn drop(&mut self) {
        signal_hook::low_level::unregister(self.signal);
    }
}

fn as_pid(pid: u32) -> Pid {
    // Process numbers are positive and far below i32::MAX.
    Pid::from_raw(pid.cast_signed())
}

/// A child that ended and was not waited for yet. It stays so.
fn ended_child(kind: libc::idtype_t, id: u32) -> Option<u32> {
    // SAFETY: all-zero is a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: `info` may be written; the flags keep the child waitable and the call from blocking.
    let result = unsafe {
        libc::waitid(
            kind,
            id,
            &raw mut info,
            libc::WEXITED | libc::WNOWAIT | libc::WNOHANG,
        )
    };
    // SAFETY: waitid filled in the fields of SIGCHLD, or left zeros when there is nothing to tell.
    let pid = unsafe { info.si_pid() };
    (result == 0 && pid > 0).then_some(pid.cast_unsigned())
}

/// Where the main process of a group stands.
#[derive(Debug)]
enum Stage {
    Running,
    /// It ended and is still a zombie; its group has the rest of the grace period.
    Lingering,
    /// It ended, and the group got its last signal.
    Ended(Exit),
}

/// A child with its process group.
pub(crate) struct Process {
    child: Child,
    /// Where the run has limits of its own.
    group: Option<Group>,
    stage: Stage,
    pipes: Pipes,
    read_from: Option<Instant>,
    capture: Arc<Mutex<Capture>>,
    leftovers: Leftovers,
    /// The group was asked to end and has time to do so.
    grace: bool,
    suspended: Option<Suspended>,
}

/// How the processes of a run are suspended.
enum Suspended {
    /// The control group is frozen.
    Frozen,
    /// The process group is stopped, and so are these.
    Stopped(Strays),
}

impl Process {
    /// Number of the main process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the main process has not ended.
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Running)
    }

    /// Whether the main process has not been waited for.
    pub(crate) fn is_child(&self) -> bool {
        !matches!(self.stage, Stage::Ended(_))
    }

    fn is_lingering(&self) -> bool {
        matches!(self.stage, Stage::Lingering)
    }

    /// How the main process ended, once its group has had its last signal.
    pub(crate) fn ended(&self) -> Option<&Exit> {
        match &self.stage {
            Stage::Ended(exit) => Some(exit),
            _ => None,
        }
    }

    /// Suspends all processes of the run.
    ///
    /// # Errors
    /// Why it cannot, in words.
    pub(crate) fn suspend(&mut self, origin: RunOrigin, birthmark: Birthmark) -> Result<(), &'static str> {
        if !self.is_running() {
            return Err("its process has ended");
        }
        if self.suspended.is_none() {
            let is_frozen = self.group.as_ref().is_some_and(Group::freeze);
            self.suspended = Some(match is_frozen {
                true => Suspended::Frozen,
                false => {
                    self.signal_group(Signal::SIGSTOP);
                    Suspended::Stopped(Strays::stop(origin, birthmark, self.pid()))
                }
            });
        }
        Ok(())
    }

    /// Has the processes continue, if they are suspended.
    pub(crate) fn resume(&mut self) {
        match self.suspended.take() {
            None => {}
            Some(Suspended::Frozen) => {
                if let Some(group) = &self.group {
                    group.thaw();
                }
            }
            Some(Suspended::Stopped(strays)) => {
                strays.resume();
                self.signal_group(Signal::SIGCONT);
            }
        }
    }

    /// Asks the group to end.
    pub(crate) fn terminate(&mut self) {
        self.grace = true;
        self.signal_group(Signal::SIGTERM);
        // A stopped process would see the signal only when somebody continues it.
        self.signal_group(Signal::SIGCONT);
        self.resume();
    }

    /// Sends the group a signal, if there is one of that number.
    pub(crate) fn signal(&self, signal: i32) {
        if let Ok(signal) = Signal::try_from(signal) {
            self.signal_group(signal);
        }
    }

    /// Ends the group at once.
    pub(crate) fn kill(&mut self) {
        self.grace = false;
        self.signal_group(Signal::SIGKILL);
        if let Some(group) = self.group.as_ref().filter(|_| self.is_child()) {
            group.kill();
        }
        // What is left behind on purpose must not stay suspended.
        self.resume();
        self.recheck();
    }

    /// Signals the group, and its leader wherever that is by now: it may have moved into another group, such as that of
    /// one of its children. Only while the leader was not waited for, running or not, so that the number means these.
    fn signal_group(&self, signal: Signal) {
        if !self.is_child() {
            return;
        }
        let leader = as_pid(self.pid());
        let _ = kill(Pid::from_raw(-leader.as_raw()), signal);
        // Not twice: a program may take a second SIGTERM for more urgent than the first.
        if getpgid(Some(leader)).is_ok_and(|group| group != leader) {
            let _ = kill(leader, signal);
        }
    }

    /// The main process ended: closes the matter unless the rest of its group still has time.
    fn main_ended(&mut self) {
        self.resume();
        self.stage = Stage::Lingering;
        self.recheck();
    }

    /// Ends the grace of a group whose leader ended, if it is over or no process is left to use it.
    pub(crate) fn recheck(&mut self) {
        if !self.is_lingering() {
            return;
        }
        let kill_rest = self.leftovers == Leftovers::Kill;
        if self.grace && kill_rest && Orphans::group_lives(self.pid()) {
            return;
        }
        if kill_rest {
            self.signal_group(Signal::SIGKILL);
        }
        self.stage = Stage::Ended(match self.child.wait() {
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, signal) => Exit::Signal(signal.unwrap_or_default()),
            },
            // Only if somebody else waited for our child, which is then gone for good.
            Err(error) => Exit::NotStarted(cannot_start("(unknown)", &error)),
        });
    }

    /// Which limit the run hit, if it did.
    pub(crate) fn limit_hit(&self) -> Option<String> {
        self.group.as_ref().and_then(Group::limit_hit)
    }

    /// Whether nothing is left of the group after its last signal; nor of the run's control group, which is killed for
    /// that.
    pub(crate) fn group_is_gone(&self) -> bool {
        if let Some(group) = self.group.as_ref().filter(|group| !group.is_empty()) {
            group.kill();
            return false;
        }
        match kill(Pid::from_raw(-as_pid(self.pid()).as_raw()), None) {
            Err(Errno::EPERM) => {
                // On Linux: members that became another user and that we may not signal.
                if cfg!(target_os = "linux") {
                    tracing::error!(
                        group = self.pid(),
                        "a job left processes of another user, which cannot be killed"
                    );
                }
                true
            }
            Err(_) => true,
            Ok(()) => false,
        }
    }

    /// Takes in what is still in the pipes and closes them.
    pub(crate) fn close(&mut self, reactor: &mut Reactor) {
        self.pipes.close(&self.capture, &mut reactor.buffers);
    }
}
