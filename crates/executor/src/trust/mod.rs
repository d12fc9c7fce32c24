//! Who, beside root and the user, could have changed what is about to be run: the code of a plugin, or a file with jobs.
//!
//! The caller decides what follows.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::path::Path;

#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

/// Who may be able to change a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// The user, and root or the administrators.
    User,
    /// Also groups, or on Windows anybody but everybody, whom the file's owner has let in.
    Group,
}

/// Somebody else could have changed a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{cause}; {fix}")]
pub struct Distrust {
    /// What is wrong.
    pub cause: String,
    /// What to do.
    pub fix: String,
}

/// Whether only those could have put anything into a file or folder, or put another one in its place: neither it
/// nor any folder or link on the way to it belongs to another user or can be written to by others. On Windows only the
/// file and its folder are looked at.
///
/// # Errors
/// The first thing that somebody else can change, or that cannot be looked at.
pub fn check(path: &Path, writers: Writers) -> Result<(), Distrust> {
    platform::check_file(path, writers)
}

/// The same, with [`Writers::Group`], for a log that belongs to a file and is created again by its users. On Unix it may be
/// another user's if both the file and the folder were given to the group that it has, too: members write to the file
/// itself.
///
/// # Errors
/// The first thing that somebody else can change, or that cannot be looked at.
pub fn check_log(log: &Path, file: &Path) -> Result<(), Distrust> {
    platform::check_log(log, file)
}
