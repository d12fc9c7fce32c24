//! Paths, where folders cannot be used by descriptor.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Access;
use crate::Draft;

/// A folder.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
}

impl Folder {
    /// A folder that is there.
    ///
    /// # Errors
    /// There is none.
    pub fn open(path: &Path, _steps: usize) -> io::Result<Folder> {
        match fs::metadata(path)?.is_dir() {
            true => Ok(Folder {
                path: path.to_owned(),
            }),
            false => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        }
    }

    /// The same, and makes what is missing.
    ///
    /// # Errors
    /// A folder cannot be made.
    pub fn make(path: &Path, steps: usize) -> io::Result<Folder> {
        fs::create_dir_all(path)?;
        Folder::open(path, steps)
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Access lists say who may use a folder.
    pub fn is_own(&self) -> bool {
        true
    }

    /// Opens a file in it.
    ///
    /// # Errors
    /// There is none, or it cannot be used.
    pub fn file(&self, name: &str, access: Access) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(access != Access::Read);
        options.create(matches!(access, Access::Make | Access::MakeEmpty));
        options.truncate(access == Access::MakeEmpty);
        options.open(self.path.join(name))
    }

    /// Windows keeps the name of a file that is open.
    pub fn holds(&self, _file: &File, name: &str) -> bool {
        self.has(name)
    }

    /// Whether there is something of this name.
    pub fn has(&self, name: &str) -> bool {
        self.path.join(name).symlink_metadata().is_ok()
    }

    /// Removes a file.
    ///
    /// # Errors
    /// There is none, or it cannot be removed.
    pub fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// There is none, or it is not empty, or it cannot be removed.
    pub fn remove_folder(&self, name: &str) -> io::Result<()> {
        fs::remove_dir(self.path.join(name))
    }

    /// Removes a file, or a folder with all that is in it.
    ///
    /// # Errors
    /// There is none, or something in it cannot be removed.
    pub fn remove_all(&self, name: &str) -> io::Result<()> {
        let path = self.path.join(name);
        match path.symlink_metadata()?.is_dir() {
            true => fs::remove_dir_all(path),
            false => fs::remove_file(path),
        }
    }

    /// Gives a file or folder in it another name, in place of what has that.
    ///
    /// # Errors
    /// Nothing has been changed.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    /// What is in it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        fs::read_dir(&self.path)?
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect()
    }

    /// Gives a new file this name once it has its content. Durable when this returns.
    ///
    /// # Errors
    /// What has the name is unchanged.
    pub fn replace(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.draft(name, content)?.replace()
    }

    /// The same without waiting for the disk.
    ///
    /// # Errors
    /// What has the name is unchanged.
    pub fn replace_lightly(&self, name: &str, content: &[u8]) -> io::Result<()> {
        self.draft(name, content)?.replace_lightly()
    }

    fn draft(&self, name: &str, content: &[u8]) -> io::Result<Draft> {
        let draft = Draft::beside(&self.path.join(name))?;
        draft.file().write_all(content)?;
        Ok(draft)
    }
}
