//! Processes on Windows: a Job Object for each run's tree, a thread for each stream that reads and one that waits.
//!
//! Nothing tells in which order two pipes were written to: what a run prints to both at about the same time may change places.
//!
//! A process is started suspended and put into its Job Object before it runs, so nothing it starts is outside; no
//! process of such an object may break away from it. The object of a run that may leave nothing behind is closed with the
//! worker process, which ends what is in it.

use std::io::{self, PipeReader, Read};
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, OwnedHandle};
use std::os::windows::process::CommandExt;
use std::process::{Child, Command};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use queuectl_core::settings::Leftovers;
use queuectl_core::{OutputStream, TerminalSize};
use windows_sys::Win32::System::Console::{CTRL_BREAK_EVENT, GenerateConsoleCtrlEvent};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JobObjectBasicAccountingInformation, JobObjectExtendedLimitInformation, QueryInformationJobObject,
    SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::Threading::{INFINITE, WaitForSingleObject};

use super::confine_windows::{CREATION_FLAGS, Confinement};
use super::{Birthmark, RunOrigin, SpawnError};
use crate::capture::Capture;
use crate::outcome::Exit;

#[link(name = "ntdll")]
unsafe extern "system" {
    /// Lets all threads of a process run. The documented calls want its first thread, which std keeps to itself.
    fn NtResumeProcess(process: std::os::windows::raw::HANDLE) -> i32;
}

/// One read.
const READ_BYTES: usize = 64 * 1024;

/// Gives the command its arguments, and a process group of its own for Ctrl-Break.
pub(crate) fn arguments(command: &mut Command, argv: &[String], raw_last: bool, _has_session: bool) {
    let words = &argv[1..];
    match words.split_last() {
        Some((last, first)) if raw_last => command.args(first).raw_arg(last),
        _ => command.args(words),
    };
    command.creation_flags(CREATION_FLAGS);
}

/// There are no signals here.
pub(crate) fn leave_child_signals() -> io::Result<()> {
    Ok(())
}

/// A flag that can be waited for.
#[derive(Default)]
struct Wakeup {
    signalled: Mutex<bool>,
    changed: Condvar,
}

impl Wakeup {
    fn signal_all(&self) {
        *self.signalled.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }
}

/// Wakes the reactor from another thread.
pub(crate) struct Waker(Arc<Wakeup>);

impl Waker {
    pub(crate) fn wake(&self) {
        self.0.signal_all();
    }
}

/// Waits until a child ends, somebody wakes us, or time is up. Output is read by threads.
pub(crate) struct Reactor(Arc<Wakeup>);

impl Reactor {
    pub(crate) fn new() -> io::Result<(Reactor, Waker)> {
        let wakeup = Arc::new(Wakeup::default());
        Ok((Reactor(Arc::clone(&wakeup)), Waker(wakeup)))
    }

    /// The calling thread will wait from now on: all the same here.
    pub(crate) fn bind_to_thread(&self) {}

    /// Waits at most `timeout`, then notes which children ended.
    pub(crate) fn wait<'a>(
        &mut self,
        processes: impl Iterator<Item = &'a mut Process>,
        timeout: Option<Duration>,
    ) {
        let mut signalled = self.0.signalled.lock().unwrap_or_else(PoisonError::into_inner);
        if !*signalled {
            let timeout = timeout.unwrap_or(Duration::from_secs(3600));
            let (guard, _) = self
                .0
                .changed
                .wait_timeout(signalled, timeout)
                .unwrap_or_else(PoisonError::into_inner);
            signalled = guard;
        }
        *signalled = false;
        drop(signalled);
        processes.for_each(Process::note_ended);
    }

    /// Starts `command` with everything it prints going to `capture`.
    pub(crate) fn spawn(
        &self,
        mut command: Command,
        confinement: Option<Confinement>,
        capture: Arc<Mutex<Capture>>,
        leftovers: Leftovers,
        _terminal: Option<TerminalSize>,
    ) -> Result<Process, SpawnError> {
        let job = job_object(leftovers, confinement.as_ref())?;
        let (stdout, stdout_writer) = io::pipe()?;
        let (stderr, stderr_writer) = io::pipe()?;
        command.stdout(stdout_writer).stderr(stderr_writer);
        let mut child = command.spawn()?;
        // The command holds the writing ends; while it lives the pipe has no end.
        drop(command);
        let wakeup = Arc::clone(&self.0);
        let started = enter_and_run(&job, &child).and_then(|()| {
            let handle = child.as_handle().try_clone_to_owned()?;
            thread::Builder::new().name("wait".to_owned()).spawn(move || {
                // SAFETY: the handle is open and this thread's own.
                unsafe { WaitForSingleObject(handle.as_raw_handle(), INFINITE) };
                wakeup.signal_all();
            })?;
            let read = |stream, pipe| {
                let capture = Arc::clone(&capture);
                thread::Builder::new()
                    .name(format!("read {stream}"))
                    .spawn(move || read_all(stream, pipe, &capture))
            };
            Ok([
                read(OutputStream::Stdout, stdout)?,
                read(OutputStream::Stderr, stderr)?,
            ])
        });
        match started {
            Ok(readers) => Ok(Process {
                child,
                job,
                exit: None,
                readers: readers.into(),
                leftovers,
            }),
            Err(error) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error.into())
            }
        }
    }
}

/// Puts a suspended process into its Job Object, and lets it run.
fn enter_and_run(job: &OwnedHandle, child: &Child) -> io::Result<()> {
    // SAFETY: both handles are open.
    if unsafe { AssignProcessToJobObject(job.as_raw_handle(), child.as_raw_handle()) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is open, and may do everything with the process.
    match unsafe { NtResumeProcess(child.as_raw_handle()) } {
        0.. => Ok(()),
        status => Err(io::Error::other(format!(
            "its process does not run: NTSTATUS {status:#010x}"
        ))),
    }
}

fn job_object(leftovers: Leftovers, confinement: Option<&Confinement>) -> io::Result<OwnedHandle> {
    // SAFETY: no attributes and no name.
    let handle = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
    if handle.is_null() {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the handle is new and has no other owner.
    let job = unsafe { OwnedHandle::from_raw_handle(handle) };
    let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
    if leftovers == Leftovers::Kill {
        limits.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    }
    if let Some(confinement) = confinement {
        confinement.extend(&mut limits)?;
    }
    if limits.BasicLimitInformation.LimitFlags != 0 {
        // SAFETY: the handle is open, and the struct is the one this class of information wants.
        let set = unsafe {
            SetInformationJobObject(
                job.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast(),
                size_of_val(&limits) as u32,
            )
        };
        if set == 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(job)
}

fn read_all(stream: OutputStream, mut pipe: PipeReader, capture: &Mutex<Capture>) {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => capture
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(stream, &buffer[..n]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// A child with everything it starts.
pub(crate) struct Process {
    child: Child,
    job: OwnedHandle,
    exit: Option<Exit>,
    readers: Vec<JoinHandle<()>>,
    leftovers: Leftovers,
}

impl Process {
    /// Number of the main process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether the main process has not ended.
    pub(crate) fn is_running(&self) -> bool {
        self.exit.is_none()
    }

    /// The same: there are no zombies here.
    pub(crate) fn is_child(&self) -> bool {
        self.is_running()
    }

    /// How the main process ended.
    pub(crate) fn ended(&self) -> Option<&Exit> {
        self.exit.as_ref()
    }

    fn note_ended(&mut self) {
        if self.exit.is_none()
            && let Ok(Some(status)) = self.child.try_wait()
        {
            self.exit = Some(Exit::Code(status.code().unwrap_or(1)));
        }
    }

    /// Asks the tree to end, by Ctrl-Break. Where that cannot be said, because there is no console, no process would use the
    /// grace period: then it ends at once.
    pub(crate) fn terminate(&mut self) {
        // SAFETY: two numbers; the process was made the leader of a process group of that number.
        if self.is_running() && unsafe { GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, self.pid()) } == 0 {
            self.kill();
        }
    }

    /// There are no signals here. SIGKILL and SIGTERM end the tree, as they would elsewhere.
    pub(crate) fn signal(&self, signal: i32) {
        if matches!(signal, 9 | 15) {
            // SAFETY: the handle is open.
            unsafe { TerminateJobObject(self.job.as_raw_handle(), 1) };
        }
    }

    /// Not offered by this system: it has no documented way to suspend processes.
    pub(crate) fn suspend(&mut self, _origin: RunOrigin, _birthmark: Birthmark) -> Result<(), &'static str> {
        Err("Windows has no documented way to suspend processes")
    }

    /// Nothing is ever suspended here.
    pub(crate) fn resume(&mut self) {}

    /// Ends the tree at once.
    pub(crate) fn kill(&mut self) {
        // SAFETY: the handle is open.
        unsafe { TerminateJobObject(self.job.as_raw_handle(), 1) };
        if self.is_running() {
            // Also where the process could not be put into the Job Object.
            let _ = self.child.kill();
        }
    }

    /// Nothing here waits for its group.
    pub(crate) fn recheck(&mut self) {}

    /// Which limit the run hit: a process is told by failing calls here, and nothing counts them.
    pub(crate) fn limit_hit(&self) -> Option<String> {
        None
    }

    /// Whether nothing is left of the tree, which is killed for that.
    pub(crate) fn group_is_gone(&self) -> bool {
        // SAFETY: the handle is open.
        unsafe { TerminateJobObject(self.job.as_raw_handle(), 1) };
        let mut counts = JOBOBJECT_BASIC_ACCOUNTING_INFORMATION::default();
        // SAFETY: the handle is open, and the struct is the one this class of information wants.
        let told = unsafe {
            QueryInformationJobObject(
                self.job.as_raw_handle(),
                JobObjectBasicAccountingInformation,
                (&raw mut counts).cast(),
                size_of_val(&counts) as u32,
                std::ptr::null_mut(),
            )
        };
        told == 0 || counts.ActiveProcesses == 0
    }

    /// Takes in the rest of the output, where it is known to have an end.
    pub(crate) fn close(&mut self, _reactor: &mut Reactor) {
        for reader in self.readers.drain(..) {
            if self.leftovers == Leftovers::Kill {
                let _ = reader.join();
            }
        }
    }
}
