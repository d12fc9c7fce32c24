//! Compiled code on disk, so that a module is compiled once and not by every worker process.
//!
//! Compiled code is machine code that this process will run, so nothing is read that somebody else could have written:
//! the folder and the file must belong to this user and be writable by no other user, symbolic links are not followed,
//! and the file must say for which module it is and have the right checksum. The checksum is against damage and
//! mix-ups; it is the owner and the mode that keep others out. Where owner and mode are not to be had, nothing is kept
//! on disk.

use std::path::PathBuf;

/// Begins every file; the number grows when the form changes.
const HEADER: &[u8] = b"queuectl wasm code 1\n";
/// Most bytes of files in the folder; then the oldest go.
const FOLDER_BYTES: u64 = 1 << 30;
const ENDING: &str = "code";

/// The folder.
pub struct Disk {
    folder: PathBuf,
}

/// What there was.
#[derive(Debug, PartialEq, Eq)]
pub enum Found {
    /// Code that no other user can have written.
    Trusted(Vec<u8>),
    /// No such file.
    Nothing,
}

impl Disk {
    /// A folder, which is made when it is first written to. None where files have no owner.
    pub fn new(folder: PathBuf) -> Option<Disk> {
        cfg!(unix).then_some(Disk { folder })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(unix)]
mod files {
    use std::fs::{self, DirBuilder, File, Metadata};
    use std::io::{self, Read as _, Write as _};
    use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
    use std::path::Path;

    use nix::errno::Errno;
    use nix::fcntl::{OFlag, open, openat};
    use nix::sys::stat::Mode;
    use sha2::{Digest as _, Sha256};

    use super::{Disk, ENDING, FOLDER_BYTES, Found, HEADER, hex};

    /// Bytes before the code: header, key, checksum.
    const BEFORE: usize = HEADER.len() + 32 + 32;

    impl Disk {
        /// The code with that key.
        ///
        /// # Errors
        /// Why what is there is not to be used.
        pub fn read(&self, key: &[u8; 32]) -> Result<Found, String> {
            let path = self.folder.join(name(key));
            let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
            let folder = match open(&self.folder, flags | OFlag::O_DIRECTORY, Mode::empty()) {
                Ok(folder) => File::from(folder),
                Err(Errno::ENOENT) => return Ok(Found::Nothing),
                Err(error) => return Err(format!("{}: {}", self.folder.display(), error.desc())),
            };
            let broken = |error: io::Error| format!("{}: {error}", path.display());
            private(&folder.metadata().map_err(broken)?, &self.folder)?;
            // Through the folder that was looked at, whatever has been put in its place meanwhile.
            let mut file = match openat(&folder, name(key).as_str(), flags, Mode::empty()) {
                Ok(file) => File::from(file),
                Err(Errno::ENOENT) => return Ok(Found::Nothing),
                Err(error) => return Err(format!("{}: {}", path.display(), error.desc())),
            };
            let metadata = file.metadata().map_err(broken)?;
            if !metadata.is_file() {
                return Err(format!("{} is not a file", path.display()));
            }
            private(&metadata, &path)?;
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).map_err(broken)?;
            match bytes.split_at_checked(BEFORE) {
                Some((before, code)) if before == prefix(key, code) => {}
                _ => return Err(format!("{} is damaged", path.display())),
            }
            Ok(Found::Trusted(bytes.split_off(BEFORE)))
        }

        /// Keeps code, in place of what is there.
        pub fn write(&self, key: &[u8; 32], code: &[u8]) -> io::Result<()> {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.folder)?;
            // Made for its owner alone, and moved into place when it is complete.
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(&prefix(key, code))?;
            file.write_all(code)?;
            file.persist(self.folder.join(name(key)))?;
            self.prune(FOLDER_BYTES)
        }

        /// Removes the oldest files until the others fit. Also temporary ones that a process which died left behind.
        pub(super) fn prune(&self, most: u64) -> io::Result<()> {
            let mut files = Vec::new();
            for entry in fs::read_dir(&self.folder)? {
                let entry = entry?;
                // Another process may have removed it.
                if let Ok(metadata) = entry.metadata()
                    && metadata.is_file()
                {
                    files.push((metadata.modified()?, metadata.len(), entry.path()));
                }
            }
            files.sort();
            let mut sum: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
            for (_, bytes, path) in files {
                if sum <= most {
                    break;
                }
                let _ = fs::remove_file(path);
                sum -= bytes;
            }
            Ok(())
        }
    }

    fn name(key: &[u8; 32]) -> String {
        format!("{}.{ENDING}", hex(key))
    }

    /// What stands before the code.
    fn prefix(key: &[u8; 32], code: &[u8]) -> Vec<u8> {
        [HEADER, key, &Sha256::digest(code)].concat()
    }

    /// Whether only this user can have written it.
    fn private(metadata: &Metadata, path: &Path) -> Result<(), String> {
        if metadata.uid() != nix::unistd::geteuid().as_raw() {
            return Err(format!("{} belongs to somebody else", path.display()));
        }
        if metadata.mode() & 0o022 != 0 {
            return Err(format!(
                "others may write to {}; take that right away with chmod go-w, or set wasm.cache_dir to another folder",
                path.display()
            ));
        }
        Ok(())
    }
}

#[cfg(not(unix))]
impl Disk {
    /// There is no folder here.
    pub fn read(&self, _key: &[u8; 32]) -> Result<Found, String> {
        Ok(Found::Nothing)
    }

    /// There is no folder here.
    pub fn write(&self, _key: &[u8; 32], _code: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(all(test, unix))]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    use std::path::Path;

    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn filled() -> (tempfile::TempDir, Disk, PathBuf) {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("a/b");
        let disk = Disk::new(folder.clone()).unwrap();
        assert_eq!(disk.read(&KEY), Ok(Found::Nothing));
        disk.write(&KEY, b"code").unwrap();
        assert_eq!(disk.read(&KEY), Ok(Found::Trusted(b"code".to_vec())));
        let file = folder.join(format!("{}.{ENDING}", hex(&KEY)));
        (home, disk, file)
    }

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn refused(disk: &Disk, why: &str) {
        let said = disk.read(&KEY).unwrap_err();
        assert!(said.contains(why), "{said}");
    }

    #[test]
    fn what_is_written_is_private() {
        let (_home, disk, file) = filled();
        assert_eq!((mode(&file), mode(&disk.folder)), (0o600, 0o700));
    }

    #[test]
    fn what_others_could_write_is_refused() {
        let (_home, disk, file) = filled();
        for (path, good, bad) in [(&file, 0o600, 0o620), (&disk.folder, 0o700, 0o702)] {
            fs::set_permissions(path, Permissions::from_mode(bad)).unwrap();
            refused(&disk, "others may write to");
            fs::set_permissions(path, Permissions::from_mode(good)).unwrap();
            assert!(disk.read(&KEY).is_ok());
        }
    }

    #[test]
    fn links_are_not_followed() {
        let (_home, disk, file) = filled();
        let aside = file.with_extension("aside");
        fs::rename(&file, &aside).unwrap();
        symlink(&aside, &file).unwrap();
        refused(&disk, &file.display().to_string());
        disk.write(&KEY, b"new").unwrap();
        assert_eq!(disk.read(&KEY), Ok(Found::Trusted(b"new".to_vec())));
        assert!(
            fs::read(&aside).unwrap().ends_with(b"code"),
            "the link was replaced, not followed"
        );
    }

    #[test]
    fn damaged_and_mixed_up_files_are_refused() {
        let (_home, disk, file) = filled();
        let whole = fs::read(&file).unwrap();
        for bytes in [&whole[..whole.len() - 1], &[], &[&whole[..], b"x"].concat()] {
            fs::write(&file, bytes).unwrap();
            refused(&disk, "is damaged");
        }
        let other = [8; 32];
        disk.write(&other, b"other").unwrap();
        fs::rename(file.with_file_name(format!("{}.{ENDING}", hex(&other))), &file).unwrap();
        refused(&disk, "is damaged");
    }

    #[test]
    fn the_oldest_go_first() {
        let (_home, disk, file) = filled();
        let bytes = fs::metadata(&file).unwrap().len();
        let old = fs::File::options().write(true).open(&file).unwrap();
        old.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        disk.write(&[8; 32], b"code").unwrap();
        disk.prune(bytes).unwrap();
        assert_eq!(disk.read(&KEY), Ok(Found::Nothing));
        assert_eq!(disk.read(&[8; 32]), Ok(Found::Trusted(b"code".to_vec())));
    }
}
