//! What tests of processes need on Windows: files as gates, dispatchers that are ended, Ctrl-C.

use std::os::windows::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use windows_sys::Win32::System::Console::{
    AttachConsole, CTRL_C_EVENT, FreeConsole, GenerateConsoleCtrlEvent, GetStdHandle, STD_ERROR_HANDLE,
    STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, SetConsoleCtrlHandler, SetStdHandle,
};
use windows_sys::Win32::System::Threading::CREATE_NO_WINDOW;

use super::{Node, Queue, wait_until};

/// A file for which jobs wait.
pub struct Gate(PathBuf);

impl Gate {
    /// Lets all jobs pass. (On Unix it is one, so tests open it as often as jobs come.)
    pub fn open(&self) {
        std::fs::write(&self.0, "").unwrap();
    }

    /// Lets all jobs pass.
    pub fn leave_open(&self) {
        self.open();
    }
}

impl Queue {
    /// A gate with that name in the queue's folder.
    pub fn gate(&self, name: &str) -> Gate {
        Gate(self.path(name))
    }

    /// Waits until this many jobs that wait at gates have reported that they run. Each has a file of its own: two that
    /// add to one file would keep each other out.
    pub fn wait_started(&self, count: usize) {
        wait_until(&format!("{count} jobs to start"), || {
            let entries = std::fs::read_dir(self.path("")).unwrap().flatten();
            let started = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("started."));
            started.count() >= count
        });
    }
}

impl Node {
    /// Ends the dispatcher alone, as `taskkill /F` does, and waits until it is gone.
    pub fn kill_dispatcher(&mut self) {
        self.end();
        self.wait_exit();
    }

    /// Presses Ctrl-C in the console of a node that [`own_console`] was used for.
    pub fn ctrl_c(&self) {
        const STREAMS: [u32; 3] = [STD_INPUT_HANDLE, STD_OUTPUT_HANDLE, STD_ERROR_HANDLE];
        // SAFETY: numbers, and a function that is there as long as the process. While this process is attached to the
        // node's console it hears the event itself, and takes no notice; its streams are then the console's, so they
        // are put back.
        unsafe {
            let streams = STREAMS.map(|stream| GetStdHandle(stream));
            FreeConsole();
            let attached = AttachConsole(self.pid().cast_unsigned());
            SetConsoleCtrlHandler(Some(take_no_notice), 1);
            let pressed = GenerateConsoleCtrlEvent(CTRL_C_EVENT, 0);
            FreeConsole();
            for (stream, handle) in STREAMS.into_iter().zip(streams) {
                SetStdHandle(stream, handle);
            }
            assert!(attached != 0 && pressed != 0, "the node has no console");
        }
    }
}

/// Gives a node its own hidden console.
pub fn own_console(command: &mut Command) {
    command.creation_flags(CREATE_NO_WINDOW);
}

unsafe extern "system" fn take_no_notice(_event: u32) -> i32 {
    1
}
