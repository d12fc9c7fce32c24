//! The Windows half: console events, a Job Object for each worker process, standard handles.
//!
//! The dispatcher has the only handles of the Job Objects, and with its end, however it comes, the system closes them and
//! ends all that is in them. No process in them may break away.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::windows::io::{AsHandle, AsRawHandle, FromRawHandle, IntoRawHandle, OwnedHandle};
use std::process::{Child, Command, ExitStatus};
use std::sync::mpsc::{self, Sender};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use windows_sys::Win32::Globalization::CP_UTF8;
use windows_sys::Win32::System::Console::{
    CTRL_BREAK_EVENT, CTRL_C_EVENT, STD_INPUT_HANDLE, SetConsoleCP, SetConsoleCtrlHandler,
    SetConsoleOutputCP, SetStdHandle,
};
use windows_sys::Win32::System::JobObjects::{
    AssignProcessToJobObject, CreateJobObjectW, JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE,
    JOBOBJECT_BASIC_ACCOUNTING_INFORMATION, JOBOBJECT_EXTENDED_LIMIT_INFORMATION,
    JobObjectBasicAccountingInformation, JobObjectExtendedLimitInformation, QueryInformationJobObject,
    SetInformationJobObject, TerminateJobObject,
};
use windows_sys::Win32::System::SystemInformation::GetTickCount64;

/// The number by which the executor knows a signal. Windows has none, but a process can be ended.
pub fn signal_number(name: &str) -> Option<i32> {
    match name {
        "SIGKILL" => Some(9),
        "SIGTERM" => Some(15),
        _ => None,
    }
}

/// The clock that runs since the machine was started, also while it sleeps.
pub fn since_start() -> Duration {
    // SAFETY: takes nothing and cannot fail.
    Duration::from_millis(unsafe { GetTickCount64() })
}

/// A file that is made has the rights of its folder.
pub fn for_owner_only(_: &mut OpenOptions) {}

/// Writes over the beginning of a file, in one call.
pub fn write_at_start(file: &File, bytes: &[u8]) -> io::Result<()> {
    match std::os::windows::fs::FileExt::seek_write(file, bytes, 0)? {
        written if written == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

/// Longest wait for processes that were terminated to be gone.
const END_MOST: Duration = Duration::from_secs(10);

unsafe extern "C" {
    /// Of the C runtime: makes one descriptor a copy of another.
    fn _dup2(from: i32, to: i32) -> i32;
}

/// This program, to be started again.
pub fn own_program() -> io::Result<Command> {
    std::env::current_exe().map(Command::new)
}

/// The program's file names its processes.
pub fn name_process() {}

/// Worker processes are in a group of their own, which receives no Ctrl-C.
pub fn outlive_stop_signals() -> io::Result<()> {
    Ok(())
}

/// Whom the console's handler tells; there is one handler per process.
static PRESSED: Mutex<Option<Sender<()>>> = Mutex::new(None);

/// Calls `stop` from a thread of its own for every Ctrl-C and Ctrl-Break, and when the console is closed or the user
/// logs off; then the system waits a few seconds and no longer.
pub fn on_stop_signal(mut stop: impl FnMut() + Send + 'static) -> io::Result<()> {
    let (pressed, inbox) = mpsc::channel();
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            while inbox.recv().is_ok() {
                stop();
            }
        })?;
    // Who listened before does so no longer: its thread ends.
    if listener().replace(pressed).is_some() {
        return Ok(());
    }
    // SAFETY: the function has the form that is asked for, and is there as long as the process.
    if unsafe { SetConsoleCtrlHandler(Some(on_console_event), 1) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

fn listener() -> MutexGuard<'static, Option<Sender<()>>> {
    PRESSED.lock().unwrap_or_else(PoisonError::into_inner)
}

unsafe extern "system" fn on_console_event(event: u32) -> i32 {
    if let Some(pressed) = &*listener() {
        let _ = pressed.send(());
    }
    if event != CTRL_C_EVENT && event != CTRL_BREAK_EVENT {
        // When this returns, the process is ended; until then it has the time that the system gives.
        std::thread::sleep(Duration::from_secs(60));
    }
    1
}

/// What a helper process runs is in Job Objects of its own, which end with it; it is killed by who has its handle.
pub fn kill_child_group(_: u32) {}

/// A worker process with all that it starts.
pub struct Tree(OwnedHandle);

impl Tree {
    /// The tree of a child that has started nothing yet: worker processes do so only when they are told to.
    pub fn of(child: &Child) -> io::Result<Tree> {
        // SAFETY: no attributes and no name.
        let handle = unsafe { CreateJobObjectW(std::ptr::null(), std::ptr::null()) };
        if handle.is_null() {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the handle is new and has no other owner.
        let tree = Tree(unsafe { OwnedHandle::from_raw_handle(handle) });
        tree.limit(JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE)?;
        // SAFETY: both handles are open.
        if unsafe { AssignProcessToJobObject(tree.0.as_raw_handle(), child.as_raw_handle()) } == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(tree)
    }

    fn limit(&self, flags: u32) -> io::Result<()> {
        let mut limits = JOBOBJECT_EXTENDED_LIMIT_INFORMATION::default();
        limits.BasicLimitInformation.LimitFlags = flags;
        // SAFETY: the handle is open, and the struct is the one this class of information wants.
        let set = unsafe {
            SetInformationJobObject(
                self.0.as_raw_handle(),
                JobObjectExtendedLimitInformation,
                (&raw const limits).cast(),
                size_of_val(&limits) as u32,
            )
        };
        if set == 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// Kills the process and all that it started.
    pub fn kill(&self) {
        // SAFETY: the handle is open.
        unsafe { TerminateJobObject(self.0.as_raw_handle(), 1) };
    }

    /// Kills what a process left behind that has ended, and waits until it is gone.
    pub fn kill_rest(&self) {
        let until = Instant::now() + END_MOST;
        self.kill();
        while self.lives() {
            if Instant::now() >= until {
                tracing::error!("processes that a worker left behind do not end");
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn lives(&self) -> bool {
        let mut counts = JOBOBJECT_BASIC_ACCOUNTING_INFORMATION::default();
        // SAFETY: the handle is open, and the struct is the one this class of information wants.
        let told = unsafe {
            QueryInformationJobObject(
                self.0.as_raw_handle(),
                JobObjectBasicAccountingInformation,
                (&raw mut counts).cast(),
                size_of_val(&counts) as u32,
                std::ptr::null_mut(),
            )
        };
        told != 0 && counts.ActiveProcesses > 0
    }

    /// What is left may stay when this process ends.
    pub fn let_go(&self) {
        if let Err(error) = self.limit(0) {
            tracing::warn!(%error, "what jobs left behind on purpose ends with this node");
        }
    }
}

/// Has the console, if there is one, take and give UTF-8, which jobs then print into their pipes as well.
pub fn utf8_console() {
    // SAFETY: they take a number, and fail without a console.
    unsafe {
        SetConsoleCP(CP_UTF8);
        SetConsoleOutputCP(CP_UTF8);
    }
}

/// How a process ended, in words.
pub fn describe(status: ExitStatus) -> String {
    status
        .code()
        .map_or_else(|| "ended".to_owned(), |code| format!("exit status {code}"))
}

/// Moves standard input and output to private handles, and leaves null devices in their place: a plugin that prints
/// reaches the log, not the dispatcher.
pub fn take_standard_streams() -> io::Result<(File, File)> {
    let own = |handle: io::Result<OwnedHandle>| handle.map(File::from);
    let input = own(io::stdin().as_handle().try_clone_to_owned())?;
    let output = own(io::stdout().as_handle().try_clone_to_owned())?;
    let nothing = File::open("NUL")?.into_raw_handle();
    // SAFETY: the handle is open, and given away for good.
    if unsafe { SetStdHandle(STD_INPUT_HANDLE, nothing) } == 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: two numbers. It also sets the standard handle, and closes the old one, whose copy is ours.
    if unsafe { _dup2(2, 1) } != 0 {
        return Err(io::Error::other(
            "standard output cannot be led to standard error",
        ));
    }
    Ok((input, output))
}

/// The user's name.
pub fn user_name() -> Option<String> {
    std::env::var("USERNAME").ok()
}

/// The machine's name.
pub fn host_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_else(|_| "unknown".into())
}
