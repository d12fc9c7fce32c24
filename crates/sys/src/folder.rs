//! A folder that may belong to somebody else, used by descriptor: each name on the way to it is looked at when it is used, so
//! that a link which is put in a folder's place at any moment is not followed.
//!
//! Only the last names of a path are looked at: the caller says how many. Links of root and of this user are followed,
//! those of others are refused. A file is never opened by way of a link. Windows has paths only, since a link has no owner
//! there that could be asked for. Hard links are not looked for: where strangers may make them, systems refuse them.

#[cfg(not(unix))]
mod portable;
#[cfg(unix)]
mod unix;

use std::fs::File;
use std::io;
use std::path::Path;

#[cfg(not(unix))]
pub use portable::Folder;
#[cfg(unix)]
pub use unix::Folder;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// To read what is there.
    Read,
    /// To read and write what is there.
    Write,
    /// To read and write what is there, or a new file that only its owner can read.
    Make,
    /// The same, emptied.
    MakeEmpty,
}

/// What is wrong with a link that is not followed.
#[cfg(unix)]
const FOREIGN_LINK: &str =
    "it is a link of another user, neither of root nor of you; put a folder in its place";

/// Opens a file in the folder of its path, the last `steps` names of which are looked at.
///
/// # Errors
/// As [`Folder::open`] and [`Folder::file`].
pub fn open_file(path: &Path, steps: usize, access: Access) -> io::Result<File> {
    let (folder, name) = split(path)?;
    Folder::open(folder, steps)?.file(name, access)
}

/// Removes a file in the same way.
///
/// # Errors
/// As [`Folder::open`] and [`Folder::remove`].
pub fn remove_file(path: &Path, steps: usize) -> io::Result<()> {
    let (folder, name) = split(path)?;
    Folder::open(folder, steps)?.remove(name)
}

fn split(path: &Path) -> io::Result<(&Path, &str)> {
    let name = path.file_name().and_then(|name| name.to_str());
    path.parent()
        .zip(name)
        .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}
