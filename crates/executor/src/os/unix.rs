//! The small unix functions: files, folders, programs, libraries. Processes are in `process_unix`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use nix::errno::Errno;
use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{AccessFlags, Gid, Group, Uid, User, access, geteuid};

use crate::spawn::SpawnRequest;
use crate::trust::{Distrust, Writers};

/// The user's own data folder, where queues are by default, too: the same on macOS as elsewhere.
pub(crate) fn data_folder() -> Option<PathBuf> {
    let absolute = |path: OsString| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let home = env::var_os("HOME").and_then(absolute);
    env::var_os("XDG_DATA_HOME")
        .and_then(absolute)
        .or_else(|| home.map(|home| home.join(".local/share")))
}

/// Creates or empties a file that only its owner may read. Follows no symbolic link.
pub(crate) fn create_private_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(libc::O_NOFOLLOW)
        .open(path)
}

/// Creates the folders that are missing, for their owner only.
pub(crate) fn create_private_folders(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
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

/// See [`crate::trust::check`].
pub(crate) fn check_trust(path: &Path, writers: Writers) -> Result<(), Distrust> {
    check(path, writers, false)
}

/// See [`crate::trust::check_log`].
pub(crate) fn check_log_trust(log: &Path, file: &Path) -> Result<(), Distrust> {
    check(log, Writers::Group, is_of_members(log, file).unwrap_or(false))
}

/// Whether a log is one that members of a group keep beside a file that they may write to.
fn is_of_members(log: &Path, file: &Path) -> io::Result<bool> {
    let log = log.symlink_metadata()?;
    let folder = file.parent().map(Path::metadata).transpose()?;
    let file = file.metadata()?;
    // In a folder with the sticky bit, members could not exchange what is there, only add to it.
    let may = |found: &Metadata| found.mode() & 0o1022 == 0o020 && found.gid() == log.gid();
    Ok(log.is_file() && is_trusted(file.uid()) && may(&file) && folder.is_some_and(|folder| may(&folder)))
}

/// Whether a user may change everything in any case.
fn is_trusted(user: u32) -> bool {
    user == 0 || user == geteuid().as_raw()
}

/// Whether a group is nobody's but that user's, as many systems make one for each user: then its rights are theirs.
fn is_private(user: u32, group: u32) -> bool {
    let user = User::from_uid(Uid::from_raw(user)).ok().flatten();
    let group = Group::from_gid(Gid::from_raw(group)).ok().flatten();
    user.zip(group).is_some_and(|(user, group)| {
        user.gid == group.gid
            && user.name == group.name
            && group.mem.iter().all(|member| *member == user.name)
    })
}

/// What is wrong with a path, all of it, and what mends it.
#[derive(Default)]
struct Wrongs {
    causes: Vec<String>,
    /// Commands, and the files that they are for.
    fixes: Vec<(String, Vec<String>)>,
}

impl Wrongs {
    fn add(&mut self, cause: String, command: String, file: &Path) {
        if self.causes.contains(&cause) {
            return;
        }
        self.causes.push(cause);
        let file = format!("'{}'", file.display());
        match self.fixes.iter_mut().find(|(known, _)| *known == command) {
            Some((_, files)) => files.push(file),
            None => self.fixes.push((command, vec![file])),
        }
    }

    fn verdict(self) -> Result<(), Distrust> {
        if self.causes.is_empty() {
            return Ok(());
        }
        let commands = self.fixes.iter();
        let commands: Vec<String> = commands
            .map(|(command, files)| format!("{command} {}", files.join(" ")))
            .collect();
        Err(Distrust {
            cause: self.causes.join(", "),
            fix: format!("fix with: {}", commands.join("; ")),
        })
    }
}

/// The check; of the path itself, another user's may do.
fn check(path: &Path, writers: Writers, anybodys: bool) -> Result<(), Distrust> {
    check_with(path, writers, anybodys, is_private)
}

fn check_with(
    path: &Path,
    writers: Writers,
    anybodys: bool,
    is_private: impl Fn(u32, u32) -> bool,
) -> Result<(), Distrust> {
    let look = |error: io::Error| Distrust {
        cause: crate::outcome::os_text(&error),
        fix: "check that it exists and may be read".to_owned(),
    };
    let mut wrongs = Wrongs::default();
    let foreign = |wrongs: &mut Wrongs, file: &Path, owner: u32| {
        let cause = format!(
            "{} belongs to user {owner}, neither to root nor to you",
            file.display()
        );
        wrongs.add(cause, format!("chown -h {}", geteuid()), file);
    };
    let (others, change) = match writers {
        Writers::User => (0o022, "chmod go-w"),
        Writers::Group => (0o002, "chmod o-w"),
    };
    let real = path.canonicalize().map_err(look)?;
    // The path as it is written counts as well: whoever can change a link on the way chooses the file.
    for link in path.ancestors().filter(|part| part.is_symlink()) {
        let owner = link.symlink_metadata().map_err(look)?.uid();
        if !is_trusted(owner) {
            foreign(&mut wrongs, link, owner);
        }
    }
    for part in real
        .ancestors()
        .chain(path.ancestors().skip(1))
        .filter(|part| !part.as_os_str().is_empty())
    {
        let found = part.metadata().map_err(look)?;
        let trusted = is_trusted(found.uid()) || anybodys && part == real;
        if !trusted {
            foreign(&mut wrongs, part, found.uid());
        }
        let mode = found.permissions().mode();
        let sticky_folder = found.is_dir() && mode & u32::from(libc::S_ISVTX as u16) != 0;
        let of_group = mode & others == 0o020 && is_private(found.uid(), found.gid());
        if mode & others != 0 && !sticky_folder && !of_group {
            let who = if mode & 0o002 != 0 {
                "everybody"
            } else {
                "its group"
            };
            let cause = format!("{} is writable by {who}", part.display());
            wrongs.add(cause, change.to_owned(), part);
        }
    }
    wrongs.verdict()
}

/// Gives the command its arguments, and the name it is called by.
pub(crate) fn arguments(command: &mut Command, request: &SpawnRequest) {
    command
        .arg0(&request.argv[0])
        .args(&request.argv[1..])
        .process_group(0);
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

/// Sets the soft limit of open files. Says whether that worked.
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
    use super::*;

    #[test]
    fn programs_are_found_in_the_search_path_only() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("tool");
        std::fs::write(&program, "").unwrap();
        let base = Path::new("/");
        // Everybody may run everything as root that anybody may run; here nobody may.
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

    #[test]
    fn what_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lib");
        std::fs::write(&file, "").unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let shared = |_, _| false;
        let refused = |writers| check_with(&file, writers, false, shared).map_err(|why| why.to_string());
        assert_eq!(refused(Writers::User), Ok(()));
        mode(&file, 0o664);
        assert!(
            refused(Writers::User)
                .unwrap_err()
                .contains("writable by its group")
        );
        assert_eq!(refused(Writers::Group), Ok(()));
        mode(&file, 0o644);
        mode(folder.path(), 0o777);
        assert!(refused(Writers::User).unwrap_err().contains("chmod go-w"));
        assert!(refused(Writers::Group).unwrap_err().contains("chmod o-w"));
    }

    #[test]
    fn a_group_of_ones_own_is_as_good_as_oneself_and_all_that_is_wrong_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("lib");
        std::fs::write(&file, "").unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&file, 0o664);
        mode(folder.path(), 0o775);
        let checked = |private: bool| {
            check_with(&file, Writers::User, false, |_, _| private).map_err(|why| (why.cause, why.fix))
        };
        assert_eq!(checked(true), Ok(()));
        let (cause, fix) = checked(false).unwrap_err();
        assert_eq!(cause.matches("is writable by its group").count(), 2, "{cause}");
        let (file_shown, folder_shown) = (file.display(), folder.path().display());
        assert_eq!(
            fix,
            format!("fix with: chmod go-w '{file_shown}' '{folder_shown}'")
        );
        mode(&file, 0o666);
        assert!(checked(true).unwrap_err().0.contains("writable by everybody"));
        mode(folder.path(), 0o755);
    }
}
