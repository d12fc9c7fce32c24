//! The Unix half: modes and owners of a file and of all folders and links on the way to it.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use nix::libc;
use nix::unistd::{Gid, Group, Uid, User, geteuid};

use super::{Distrust, Writers};

/// See [`crate::trust::check`].
pub(super) fn check_file(path: &Path, writers: Writers) -> Result<(), Distrust> {
    check(path, writers, false)
}

/// See [`crate::trust::check_log`].
pub(super) fn check_log(log: &Path, file: &Path) -> Result<(), Distrust> {
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

/// Whether a group has only that user in it, as many systems make one for each user: then its rights are the user's.
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
        cause: crate::os::error_text(&error),
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
    // The path as it is written counts as well: a link on the way decides which file is meant.
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

#[cfg(test)]
mod tests {
    use super::*;

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
