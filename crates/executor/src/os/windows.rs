//! The Windows half: files get the permissions of their folder.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use windows_sys::Win32::System::Threading::{GetCurrentProcess, TerminateProcess};

/// Ends this process without telling any library: one of them may wait for the thread that hangs.
pub(crate) fn exit_at_once(status: u8) -> ! {
    // SAFETY: the handle always stands for this process.
    unsafe { TerminateProcess(GetCurrentProcess(), status.into()) };
    // Not reached; it says the same to the compiler.
    std::process::abort()
}

/// Whether a signal continues stopped processes; there is none here.
pub(crate) fn continues(_signal: i32) -> bool {
    false
}

/// The user's own data folder.
pub(crate) fn data_folder() -> Option<PathBuf> {
    env::var_os("LOCALAPPDATA")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
}

/// Opens a library.
///
/// # Safety
/// The library's initialisers run.
pub(crate) unsafe fn open_library(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: the caller vouches for the library.
    unsafe { libloading::Library::new(path) }
}

/// The absolute path of a program: a name is looked for in the folders of `search`, a path is taken from `base`.
pub(crate) fn find_program(program: &str, base: &Path, search: &OsStr) -> io::Result<PathBuf> {
    let endings = env::var("PATHEXT").unwrap_or_else(|_| ".COM;.EXE;.BAT;.CMD".to_owned());
    let complete = |path: PathBuf| -> Option<PathBuf> {
        if path.extension().is_some() && path.is_file() {
            return Some(path);
        }
        let with = |ending: &str| PathBuf::from(format!("{}{ending}", path.display()));
        endings
            .split(';')
            .filter(|ending| !ending.is_empty())
            .map(with)
            .find(|path| path.is_file())
    };
    let found = if program.contains(['/', '\\']) {
        complete(base.join(program))
    } else {
        // Unlike in the shell, the working folder is not searched: only what PATH names.
        let folders = env::split_paths(search).filter(|folder| folder.is_absolute());
        folders.map(|folder| folder.join(program)).find_map(complete)
    };
    found.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
}

/// Whether a program may be run: that it was found says all.
pub(crate) fn check_program(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// There is no limit here that would matter.
pub(crate) fn lacks_descriptors() -> bool {
    false
}

/// See [`lacks_descriptors`].
pub(crate) fn open_files_limit() -> Option<(u64, u64)> {
    None
}

/// See [`lacks_descriptors`].
pub(crate) fn set_open_files_limit(_soft: u64) -> bool {
    false
}

/// Whether the machine lacked something that it may have again later.
pub(crate) fn out_of_resources(error: &io::Error) -> bool {
    // ERROR_TOO_MANY_OPEN_FILES, _NOT_ENOUGH_MEMORY, _OUTOFMEMORY, _DISK_FULL, _COMMITMENT_LIMIT, _NOT_ENOUGH_QUOTA
    error
        .raw_os_error()
        .is_some_and(|code| [4, 8, 14, 112, 1455, 1816].contains(&code))
}

/// There are no signals here.
pub(crate) fn signal_name(_signal: i32) -> Option<&'static str> {
    None
}
