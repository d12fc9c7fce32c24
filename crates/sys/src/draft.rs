//! Files that appear under their name whole and durable, or not at all.
//!
//! A [`Draft`] is written beside its target under a name of its own, synced, renamed, and its folder is synced. Whatever
//! interrupts this, a killed process or a power cut, the target is what it was before or the finished file. A draft of a
//! process that was killed stays; its name tells what it is ([`is_draft`]).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

pub(crate) const PREFIX: &str = ".queuectl-";
pub(crate) const SUFFIX: &str = ".unfinished";

/// A file that is not finished yet. Removed when dropped.
pub struct Draft {
    file: NamedTempFile,
    target: PathBuf,
}

impl Draft {
    /// Begins a file for `target`, in the same folder. Only its owner can read it.
    ///
    /// # Errors
    /// The folder cannot be written to.
    pub fn beside(target: &Path) -> io::Result<Draft> {
        let target = std::path::absolute(target)?;
        let mut builder = tempfile::Builder::new();
        let file = builder
            .prefix(PREFIX)
            .suffix(SUFFIX)
            .tempfile_in(folder_of(&target))
            // Without the draft's path, which says nothing to anybody.
            .map_err(|error| io::Error::from(error.kind()))?;
        Ok(Draft { file, target })
    }

    /// Where the draft is.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// The open file, to be written to.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Gives the file its name, in place of whatever has it now. Durable when this returns.
    ///
    /// # Errors
    /// The target is unchanged, unless only the last step failed: making the name durable.
    pub fn replace(self) -> io::Result<()> {
        self.file().sync_all()?;
        self.file.persist(&self.target)?;
        sync_folder(folder_of(&self.target))
    }

    /// The same without waiting for the disk: whole for every process, but perhaps not after a power cut. For notes that
    /// can be missing.
    ///
    /// # Errors
    /// The target is unchanged.
    pub fn replace_lightly(self) -> io::Result<()> {
        self.file.persist(&self.target)?;
        Ok(())
    }

    /// As [`Draft::replace`] where nothing may have the name yet.
    ///
    /// # Errors
    /// [`io::ErrorKind::AlreadyExists`] if something has the name, which stays as it is; otherwise as for
    /// [`Draft::replace`].
    pub fn create(self) -> io::Result<()> {
        self.file().sync_all()?;
        self.file.persist_noclobber(&self.target)?;
        sync_folder(folder_of(&self.target))
    }
}

/// Whether a file of that name was never finished.
pub fn is_draft(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.starts_with(PREFIX) && name.ends_with(SUFFIX)
}

/// Makes the names in a folder durable: files that were made, renamed or removed there.
///
/// # Errors
/// The disk failed. Folders that cannot be opened for reading, and file systems that cannot sync one, are no errors: there
/// is nothing more to be done.
#[cfg(unix)]
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    match File::open(folder).and_then(|folder| folder.sync_all()) {
        Err(error) if !matches!(error.kind(), InvalidInput | PermissionDenied | Unsupported) => Err(error),
        _ => Ok(()),
    }
}

/// Windows has no such call: NTFS writes names through its log.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}

fn folder_of(target: &Path) -> &Path {
    target.parent().unwrap_or(target)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_draft_has_its_name_only_when_it_is_finished() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        let draft = Draft::beside(&target).unwrap();
        draft.file().write_all(b"new").unwrap();
        assert!(!target.exists());
        assert!(is_draft(draft.path()) && !is_draft(&target));
        draft.create().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a"]);
        // One that is given up leaves nothing.
        drop(Draft::beside(&target).unwrap());
        assert_eq!(names(folder.path()), ["a"]);
    }

    #[test]
    fn only_replace_takes_a_name_that_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a");
        std::fs::write(&target, "old").unwrap();
        let refused = Draft::beside(&target).unwrap().create().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
        let draft = Draft::beside(&target).unwrap();
        draft.file().write_all(b"new").unwrap();
        draft.replace().unwrap();
        assert_eq!(std::fs::read(&target).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["a"]);
    }
}
