//! The Unix half: `openat` and its relatives, without following links.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use rustix::fs::{self, AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::{Access, FOREIGN_LINK};
use crate::draft::{PREFIX, SUFFIX};

/// A folder to step through. Where a system can, it need not be readable.
#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
const STEP: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

const FOR_OWNER: Mode = Mode::RUSR.union(Mode::WUSR);
/// Folders within folders that are removed; ours have two.
const DEPTH_MOST: usize = 8;
/// Names that are tried for an unfinished file.
const TRIES: usize = 16;

/// An open folder.
#[derive(Debug)]
pub struct Folder {
    descriptor: OwnedFd,
    path: PathBuf,
}

impl Folder {
    /// Opens a folder. The last `steps` names of its path are looked at, one after the other.
    ///
    /// # Errors
    /// One of the names is a link of another user, or there is no such folder, or it cannot be used.
    pub fn open(path: &Path, steps: usize) -> io::Result<Folder> {
        Folder::walk(path, steps, false)
    }

    /// The same, and makes what is missing, for this user only.
    ///
    /// # Errors
    /// As [`Folder::open`], or a folder cannot be made.
    pub fn make(path: &Path, steps: usize) -> io::Result<Folder> {
        Folder::walk(path, steps, true)
    }

    fn walk(path: &Path, steps: usize, make: bool) -> io::Result<Folder> {
        let mut base = path;
        let mut names = Vec::new();
        while names.len() < steps
            && let (Some(parent), Some(name)) = (base.parent(), base.file_name())
        {
            names.push(name);
            base = parent;
        }
        let mut descriptor = match open_base(base) {
            Err(error) if make && error.kind() == io::ErrorKind::NotFound => {
                std::fs::DirBuilder::new()
                    .recursive(true)
                    .mode(0o700)
                    .create(base)?;
                open_base(base)?
            }
            other => other?,
        };
        for name in names.into_iter().rev() {
            descriptor = step(&descriptor, name, make)?;
        }
        let path = path.to_owned();
        Ok(Folder { descriptor, path })
    }

    /// The path by which it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it belongs to this user.
    pub fn is_own(&self) -> bool {
        fs::fstat(&self.descriptor).is_ok_and(|found| found.st_uid == geteuid().as_raw())
    }

    /// Opens a file in it.
    ///
    /// # Errors
    /// There is none, or it is a link, or it cannot be used.
    pub fn file(&self, name: &str, access: Access) -> io::Result<File> {
        let flags = match access {
            // A pipe at which somebody waits for a writer must not hold this up.
            Access::Read => OFlags::RDONLY | OFlags::NONBLOCK,
            Access::Write => OFlags::RDWR,
            Access::Make => OFlags::RDWR | OFlags::CREATE,
            Access::MakeEmpty => OFlags::RDWR | OFlags::CREATE | OFlags::TRUNC,
        };
        self.open_as(name, flags)
    }

    fn open_as(&self, name: &str, flags: OFlags) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(fs::openat(&self.descriptor, name, flags, FOR_OWNER)?.into())
    }

    /// Whether an open file is the one that has this name.
    pub fn holds(&self, file: &File, name: &str) -> bool {
        let named = fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW);
        matches!(
            (fs::fstat(file), named),
            (Ok(open), Ok(named)) if (open.st_dev, open.st_ino) == (named.st_dev, named.st_ino)
        )
    }

    /// Whether there is something of this name.
    pub fn has(&self, name: &str) -> bool {
        fs::statat(&self.descriptor, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
    }

    /// Removes a file.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.descriptor, name, AtFlags::empty())?)
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// There is none, or it is not empty, or it cannot be removed.
    pub fn remove_folder(&self, name: &str) -> io::Result<()> {
        Ok(fs::unlinkat(&self.descriptor, name, AtFlags::REMOVEDIR)?)
    }

    /// Removes a file, or a folder with all that is in it. A link goes, and not what it leads to.
    ///
    /// # Errors
    /// There is none, or something in it cannot be removed.
    pub fn remove_all(&self, name: &str) -> io::Result<()> {
        Ok(remove_all(&self.descriptor, name.as_bytes(), DEPTH_MOST)?)
    }

    /// Gives a file or folder in it another name, in place of what has that.
    ///
    /// # Errors
    /// Nothing has been changed.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(fs::renameat(&self.descriptor, from, &self.descriptor, to)?)
    }

    /// What is in it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        let names = names(&self.descriptor)?;
        Ok(names.into_iter().map(OsString::from_vec).collect())
    }

    /// Gives a new file this name once it has its content, in place of what has the name now. Durable when this returns.
    ///
    /// # Errors
    /// What has the name is unchanged, unless only the last step failed: making the name durable.
    pub fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.put(name, content, true)?;
        self.sync()
    }

    /// The same without waiting for the disk, as [`Draft::replace_lightly`](crate::Draft::replace_lightly).
    ///
    /// # Errors
    /// What has the name is unchanged.
    pub fn replace_lightly(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.put(name, content, false)
    }

    fn put(&self, name: &str, content: &[u8], durable: bool) -> io::Result<()> {
        let (draft, mut file) = self.draft()?;
        let written = file
            .write_all(content)
            .and_then(|()| if durable { file.sync_all() } else { Ok(()) })
            .and_then(|()| self.rename(&draft, name));
        if written.is_err() {
            let _ = self.remove(&draft);
        }
        written
    }

    /// A new file of a name that nothing had.
    fn draft(&self) -> io::Result<(String, File)> {
        let mut tries = 0;
        loop {
            let random = RandomState::new().build_hasher().finish();
            let name = format!("{PREFIX}{random:016x}{SUFFIX}");
            tries += 1;
            match self.open_as(&name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => {}
                Ok(file) => return Ok((name, file)),
                // Without the system's number, as of any draft.
                Err(error) => return Err(error.kind().into()),
            }
        }
    }

    /// Makes the names in it durable, as [`sync_folder`](crate::sync_folder).
    ///
    /// # Errors
    /// The disk failed.
    pub fn sync(&self) -> io::Result<()> {
        use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
        let synced = read_only(&self.descriptor).and_then(fs::fsync);
        match synced.map_err(io::Error::from) {
            Err(error) if !matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) => {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Makes a named pipe in place of what has the name, and opens it for reading. It is also open for writing, so that
    /// reading never meets its end.
    ///
    /// # Errors
    /// It cannot be made, or something else has taken its place.
    pub fn make_pipe(&self, name: &str) -> io::Result<File> {
        match self.remove(name) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        #[cfg(not(target_vendor = "apple"))]
        fs::mknodat(&self.descriptor, name, FileType::Fifo, FOR_OWNER, 0)?;
        // There is no such call: at worst an empty pipe is made elsewhere, and not used.
        #[cfg(target_vendor = "apple")]
        nix::unistd::mkfifo(
            &self.path.join(name),
            nix::sys::stat::Mode::from_bits_truncate(0o600),
        )?;
        let pipe = self.open_as(name, OFlags::RDWR)?;
        match pipe.metadata()?.file_type().is_fifo() {
            true => Ok(pipe),
            false => Err(io::Error::from(io::ErrorKind::AlreadyExists)),
        }
    }

    /// Opens a named pipe for writing, which does not wait; none if there is none, or nothing reads it.
    pub fn pipe(&self, name: &str) -> Option<File> {
        let pipe = self.open_as(name, OFlags::WRONLY | OFlags::NONBLOCK).ok()?;
        pipe.metadata()
            .is_ok_and(|found| found.file_type().is_fifo())
            .then_some(pipe)
    }
}

fn open_base(base: &Path) -> io::Result<OwnedFd> {
    let base = if base.as_os_str().is_empty() {
        Path::new(".")
    } else {
        base
    };
    Ok(fs::openat(CWD, base, STEP, Mode::empty())?)
}

/// Opens a folder in a folder.
fn step(parent: &OwnedFd, name: &OsStr, make: bool) -> io::Result<OwnedFd> {
    let open = || fs::openat(parent, name, STEP | OFlags::NOFOLLOW, Mode::empty());
    match open() {
        Err(Errno::NOENT) if make => {
            match fs::mkdirat(parent, name, Mode::RWXU) {
                // Another process made it.
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            step(parent, name, false)
        }
        // Systems differ in what they say of a link.
        Err(Errno::NOTDIR | Errno::LOOP | Errno::MLINK) => follow(parent, name),
        other => Ok(other?),
    }
}

/// Follows a link of this user or of root.
fn follow(parent: &OwnedFd, name: &OsStr) -> io::Result<OwnedFd> {
    let (owner, target) = read_link(parent, name)?;
    if owner != 0 && owner != geteuid().as_raw() {
        return Err(io::Error::other(FOREIGN_LINK));
    }
    Ok(fs::openat(parent, target, STEP, Mode::empty())?)
}

/// Whose a link is, and where it leads: both of the same one.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn read_link(parent: &OwnedFd, name: &OsStr) -> io::Result<(u32, OsString)> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let link = fs::openat(parent, name, flags, Mode::empty())?;
    let owner = owner_of_link(&fs::fstat(&link)?)?;
    let target = fs::readlinkat(&link, "", Vec::new())?;
    Ok((owner, OsString::from_vec(target.into_bytes())))
}

/// The same where a link cannot be opened: it must not have been exchanged meanwhile.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn read_link(parent: &OwnedFd, name: &OsStr) -> io::Result<(u32, OsString)> {
    let look = || fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW);
    let before = look()?;
    let owner = owner_of_link(&before)?;
    let target = fs::readlinkat(parent, name, Vec::new())?;
    let after = look()?;
    let known = |found: &Stat| (found.st_dev, found.st_ino, found.st_ctime, found.st_ctime_nsec);
    match known(&before) == known(&after) {
        true => Ok((owner, OsString::from_vec(target.into_bytes()))),
        false => Err(io::Error::other("it is being exchanged")),
    }
}

fn owner_of_link(found: &Stat) -> io::Result<u32> {
    match FileType::from_raw_mode(found.st_mode) {
        FileType::Symlink => Ok(found.st_uid),
        _ => Err(io::Error::from(io::ErrorKind::NotADirectory)),
    }
}

/// The folder once more, to be read.
fn read_only(folder: &OwnedFd) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    fs::openat(folder, ".", flags, Mode::empty())
}

fn names(folder: &OwnedFd) -> rustix::io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::new(read_only(folder)?)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

fn remove_all(folder: &OwnedFd, name: &[u8], depth: usize) -> rustix::io::Result<()> {
    let name = OsStr::from_bytes(name);
    match fs::unlinkat(folder, name, AtFlags::empty()) {
        // What systems say of a folder.
        Err(Errno::ISDIR | Errno::PERM) => {}
        other => return other,
    }
    if depth == 0 {
        return Err(Errno::NOTEMPTY);
    }
    let inner = fs::openat(folder, name, STEP | OFlags::NOFOLLOW, Mode::empty())?;
    for name in names(&inner)? {
        match remove_all(&inner, &name, depth - 1) {
            // Another process does the same.
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    fs::unlinkat(folder, name, AtFlags::REMOVEDIR)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{lchown, symlink};

    use super::*;

    /// `base/folder` with a file in it, opened by one step.
    fn folder(base: &Path) -> Folder {
        let folder = Folder::make(&base.join("folder"), 1).unwrap();
        folder.replace("a", b"kept").unwrap();
        folder
    }

    fn listed(folder: &Path) -> Vec<OsString> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    }

    #[test]
    fn files_are_made_read_renamed_and_removed() {
        let base = tempfile::tempdir().unwrap();
        let folder = folder(base.path());
        let read = |name| std::io::read_to_string(folder.file(name, Access::Read)?);
        assert_eq!(read("a").unwrap(), "kept");
        folder.replace_lightly("a", b"new").unwrap();
        folder.rename("a", "b").unwrap();
        assert_eq!(read("b").unwrap(), "new");
        assert_eq!(read("a").unwrap_err().kind(), io::ErrorKind::NotFound);
        let open = folder.file("b", Access::Make).unwrap();
        assert!(folder.holds(&open, "b"));
        folder.file("b", Access::MakeEmpty).unwrap();
        assert_eq!(read("b").unwrap(), "");
        folder.replace("b", b"other").unwrap();
        assert!(!folder.holds(&open, "b"), "another file has the name");
        assert_eq!(folder.names().unwrap(), ["b"]);
        folder.remove("b").unwrap();
        assert!(folder.names().unwrap().is_empty());
    }

    #[test]
    fn a_folder_goes_with_all_that_is_in_it_and_a_link_goes_alone() {
        let base = tempfile::tempdir().unwrap();
        let outside = base.path().join("outside");
        std::fs::create_dir_all(outside.join("inner")).unwrap();
        let folder = folder(base.path());
        std::fs::create_dir_all(folder.path().join("7/inner")).unwrap();
        std::fs::write(folder.path().join("7/inner/file"), "x").unwrap();
        symlink(&outside, folder.path().join("7/inner/link")).unwrap();
        symlink(&outside, folder.path().join("8")).unwrap();
        for name in ["7", "8"] {
            folder.remove_all(name).unwrap();
        }
        assert_eq!(folder.names().unwrap(), ["a"]);
        assert_eq!(listed(&outside), ["inner"]);
    }

    #[test]
    fn files_are_not_opened_by_way_of_links() {
        let base = tempfile::tempdir().unwrap();
        let folder = folder(base.path());
        symlink(base.path().join("new"), folder.path().join("link")).unwrap();
        for access in [Access::Read, Access::Write, Access::Make, Access::MakeEmpty] {
            assert!(folder.file("link", access).is_err(), "{access:?}");
        }
        assert!(folder.pipe("link").is_none());
        assert_eq!(listed(base.path()), ["folder"]);
    }

    /// Also a link that is put there while the folder is open or after it was made.
    #[test]
    fn only_links_of_root_and_of_this_user_are_followed() {
        let test = "folder::only_links_of_root_and_of_this_user_are_followed";
        if !geteuid().is_root() {
            // Not `testkit::skipped`, which depends on this crate.
            eprintln!("skipped: {test}: only root can make another user's link");
            return;
        }
        let base = tempfile::tempdir().unwrap();
        let (path, mine) = (base.path().join("folder"), base.path().join("mine"));
        std::fs::create_dir(&mine).unwrap();
        let before = folder(base.path());
        std::fs::rename(&path, base.path().join("moved")).unwrap();
        symlink(&mine, &path).unwrap();
        // The control: one's own.
        Folder::make(&path.join("inner"), 2)
            .unwrap()
            .replace("a", b"")
            .unwrap();
        assert_eq!(listed(&mine.join("inner")), ["a"]);

        lchown(&path, Some(65534), None).unwrap();
        let refused = Folder::make(&path.join("other"), 2).unwrap_err();
        assert!(
            refused.to_string().contains("a link of another user"),
            "{refused}"
        );
        assert!(Folder::open(&path, 1).is_err());
        before.replace("b", b"").unwrap();
        assert_eq!(listed(&mine), ["inner"]);
        assert_eq!(before.names().unwrap().len(), 2, "it goes on where it is");
        // Names above those that are looked at are followed, as by every program.
        assert!(Folder::open(&path.join("inner"), 1).is_ok());
    }

    #[test]
    fn a_pipe_is_made_and_found() {
        let base = tempfile::tempdir().unwrap();
        let folder = folder(base.path());
        assert!(folder.pipe("a").is_none(), "a file");
        assert!(folder.pipe("none").is_none());
        let mut reader = folder.make_pipe("a").unwrap();
        folder.pipe("a").unwrap().write_all(&[1]).unwrap();
        assert_eq!(std::io::Read::read(&mut reader, &mut [0; 9]).unwrap(), 1);
        drop(reader);
        assert!(folder.pipe("a").is_none(), "nothing reads it");
    }
}
