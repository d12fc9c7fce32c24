//! The small unix functions: files, folders, programs, libraries. Children are in `process`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{AccessFlags, access};

/// The user's own data folder, where queues are by default, too: the same on macOS as elsewhere.
pub(crate) fn data_folder() -> Option<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let home = env::var_os("HOME").and_then(absolute);
    env::var_os("XDG_DATA_HOME")
        .and_then(absolute)
        .or_else(|| home.map(|home| home.join(".local/share")))
}

/// Whether a signal continues stopped processes.
pub(crate) fn continues(signal: i32) -> bool {
    signal == libc::SIGCONT
}

/// Ends this process without any of the functions that are registered for its end: one of them may wait for the thread
/// that hangs.
pub(crate) fn exit_at_once(status: u8) -> ! {
    // SAFETY: it takes a number and does not return.
    unsafe { libc::_exit(status.into()) }
}

/// Opens a library with all symbols resolved at once and none offered to others.
///
/// # Safety
/// The library's initialisers run.
pub(crate) unsafe fn open_library(path: &Path) -> Result<libloading::Library, libloading::Error> {
    // SAFETY: the caller vouches for the library.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map(Into::into)
}

/// The absolute path of a program: a name is looked for in the folders of `search`, a path is taken from `base`.
pub(crate) fn find_program(program: &str, base: &Path, search: &OsStr) -> io::Result<PathBuf> {
    if program.contains('/') {
        return Ok(base.join(program));
    }
    let mut denied = false;
    for folder in env::split_paths(search) {
        // An empty entry is the working directory, by POSIX; joining makes it so.
        let path = base.join(folder).join(program);
        match access(&path, AccessFlags::X_OK) {
            Ok(()) if path.is_file() => return Ok(path),
            Err(Errno::EACCES) => denied |= path.is_file(),
            _ => {}
        }
    }
    Err(if denied { Errno::EACCES } else { Errno::ENOENT }.into())
}

/// Whether a program may be run.
pub(crate) fn check_program(path: &Path) -> io::Result<()> {
    access(path, AccessFlags::X_OK)?;
    match path.metadata()?.is_dir() {
        true => Err(Errno::EACCES.into()),
        false => Ok(()),
    }
}

/// Whether the machine lacked something that it may have again later.
pub(crate) fn out_of_resources(error: &io::Error) -> bool {
    let codes = [
        Errno::EAGAIN,
        Errno::EMFILE,
        Errno::ENFILE,
        Errno::ENOMEM,
        Errno::ENOSPC,
    ];
    error
        .raw_os_error()
        .is_some_and(|code| codes.contains(&Errno::from_raw(code)))
}

/// Whether this process cannot open anything more.
pub(crate) fn lacks_descriptors() -> bool {
    io::pipe().is_err_and(|error| out_of_resources(&error))
}

/// The soft and the hard limit of open files.
pub(crate) fn open_files_limit() -> Option<(u64, u64)> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    // macOS allows no more, whatever its hard limit says.
    let most = if cfg!(target_os = "macos") {
        hard.min(10_240)
    } else {
        hard
    };
    Some((soft, most.max(soft)))
}

/// Sets the soft limit of open files. Returns whether that worked.
pub(crate) fn set_open_files_limit(soft: u64) -> bool {
    let hard = getrlimit(Resource::RLIMIT_NOFILE).map(|(_, hard)| hard);
    hard.and_then(|hard| setrlimit(Resource::RLIMIT_NOFILE, soft, hard))
        .is_ok()
}

/// The name of a signal, such as `SIGKILL`.
pub(crate) fn signal_name(signal: i32) -> Option<&'static str> {
    Signal::try_from(signal).ok().map(Signal::as_str)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn programs_are_found_in_the_search_path_only() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("tool");
        std::fs::write(&program, "").unwrap();
        let base = Path::new("/");
        // Root may run every file that has an execute bit; this one has none.
        let denied = find_program("tool", base, folder.path().as_os_str()).unwrap_err();
        assert_eq!(denied.raw_os_error(), Some(libc::EACCES));
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(
            find_program("tool", base, folder.path().as_os_str()).unwrap(),
            program
        );
        let missing = find_program("tool", base, OsStr::new("/nonexistent")).unwrap_err();
        assert_eq!(missing.raw_os_error(), Some(libc::ENOENT));
        assert_eq!(
            find_program("./x", Path::new("/srv"), OsStr::new("")).unwrap(),
            Path::new("/srv/./x")
        );
    }
}
