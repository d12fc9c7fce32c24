//! What differs between operating systems: private files and folders, and pipes to wake a node.

#[cfg(unix)]
pub use unix::*;
#[cfg(windows)]
pub use windows::*;

#[cfg(windows)]
mod windows;

use std::path::{Path, PathBuf};

/// What SQLite keeps beside a file: its write-ahead log, the index of that, and the journal that it has instead while
/// the file is new.
pub fn companions(file: &Path) -> [PathBuf; 3] {
    ["-wal", "-shm", "-journal"].map(|suffix| {
        let mut name = file.as_os_str().to_owned();
        name.push(suffix);
        PathBuf::from(name)
    })
}

#[cfg(unix)]
mod unix {
    use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
    use std::io::{self, Read, Write};
    use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
    use std::path::Path;

    use nix::errno::Errno;
    use nix::libc::{O_NOFOLLOW, O_NONBLOCK};
    use nix::sys::resource::{Resource, getrlimit};
    use nix::sys::statvfs::statvfs;
    use nix::unistd::{AccessFlags, access};
    use queuectl_sys::{Access, Folder};

    use super::companions;
    use crate::error::Problem;

    /// Less free space than this, and SQLite cannot even make its shared memory.
    const LEAST_FREE_BYTES: u64 = 64 * 1024;

    /// The most that SQLite makes a file longer by at a time: its shared memory grows in such parts.
    const AT_ONCE_BYTES: u64 = 32 * 1024;

    /// What about the file and its file system explains that SQLite could not read or write, if anything does.
    pub fn cause_of_io_error(path: &Path) -> Option<Problem> {
        let folder = path.parent()?;
        // As many as SQLite needs for the file, its log and its index.
        let open: Result<Vec<File>, io::Error> = (0..3).map(|_| File::open(folder)).collect();
        let lacking = |error: io::Error| {
            let codes = [Errno::EMFILE, Errno::ENFILE].map(|code| Some(code as i32));
            codes.contains(&error.raw_os_error())
        };
        if open.is_err_and(lacking) {
            return Some(Problem::Descriptors);
        }
        for place in [path, folder] {
            if let Err(Errno::EROFS | Errno::EACCES | Errno::EPERM) = access(place, AccessFlags::W_OK) {
                return Some(Problem::ReadOnly);
            }
        }
        if is_at_file_limit(path) {
            return Some(Problem::FileLimit);
        }
        let disk = statvfs(folder).ok()?;
        #[cfg_attr(
            target_os = "linux",
            expect(
                clippy::useless_conversion,
                reason = "the number of blocks has 32 bits elsewhere"
            )
        )]
        let blocks = u64::from(disk.blocks_available());
        let free = blocks.saturating_mul(disk.fragment_size());
        let no_files = disk.files() > 0 && disk.files_available() == 0;
        (free < LEAST_FREE_BYTES || no_files).then_some(Problem::DiskFull)
    }

    /// Whether the file or one of its companions could not grow by what SQLite writes at once.
    fn is_at_file_limit(path: &Path) -> bool {
        let limit = getrlimit(Resource::RLIMIT_FSIZE).map_or(u64::MAX, |(soft, _)| soft);
        let files = std::iter::once(path.to_owned()).chain(companions(path));
        let mut sizes = files.filter_map(|file| Some(file.metadata().ok()?.len()));
        sizes.any(|size| size.saturating_add(AT_ONCE_BYTES) > limit)
    }

    /// Creates or opens a file that is readable and writable for the owner only, if it is new.
    pub fn open_private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
        // In somebody else's folder a name may be a link to a file of ours.
        options.mode(0o600).custom_flags(O_NOFOLLOW).open(path)
    }

    /// Opens a file in a folder, readable and writable for the owner only, if it is new.
    pub fn open_in(folder: &Folder, name: &str, access: Access) -> io::Result<File> {
        folder.file(name, access)
    }

    /// Opens a folder, and makes what is missing of it, for the owner only.
    pub fn make_folder(path: &Path, steps: usize) -> io::Result<Folder> {
        Folder::make(path, steps)
    }

    /// Gives SQLite's companions of a file the file's mode, as they have it when SQLite makes them: the file may have been
    /// shared with a group since then, or it was read-only when somebody looked.
    pub fn free_companions(path: &Path) {
        let Some(file) = plain(path).filter(|file| file.mode() & 0o200 != 0) else {
            return;
        };
        for companion in companions(path) {
            let differs = plain(&companion).is_some_and(|found| {
                found.uid() == file.uid() && found.mode() & 0o777 != file.mode() & 0o777
            });
            if differs {
                // Who may not do it will hear what stands in the way. Not by name: that may be a link by now.
                let mut options = OpenOptions::new();
                options.read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK);
                let _ = options
                    .open(&companion)
                    .and_then(|open| open.set_permissions(Permissions::from_mode(file.mode() & 0o777)));
            }
        }
    }

    /// What is known of a file that is no link and has no other name.
    fn plain(path: &Path) -> Option<Metadata> {
        let found = std::fs::symlink_metadata(path).ok()?;
        (found.is_file() && found.nlink() == 1).then_some(found)
    }

    /// Makes the folder and its parents, for the owner only; those that exist stay as they are.
    pub fn create_private_dir(path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(path)
    }

    /// The receiving end of a wake-up: a named pipe, for unlike a socket its path may have any length.
    pub struct WakePipe(File);

    impl WakePipe {
        pub fn create(folder: &Folder, name: &str) -> io::Result<WakePipe> {
            folder.make_pipe(name).map(WakePipe)
        }

        /// Waits for a wake-up; several that came meanwhile are one.
        pub fn wait(&mut self) -> io::Result<()> {
            self.0.read(&mut [0; 4096]).map(drop)
        }
    }

    /// Wakes the node that waits at a pipe. A full pipe has wake-ups enough; a pipe without reader has no node to wake.
    pub fn wake(folder: &Folder, name: &str) {
        if let Some(mut pipe) = folder.pipe(name) {
            let _ = pipe.write(&[1]);
        }
    }
}
