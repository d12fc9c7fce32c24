//! The log file of a node in the background.
//!
//! A node logs only to a file of its user. In a folder that others can write to, a name may be a trap of theirs: a link to
//! another file, a file that they can read, a pipe that blocks.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::exit::Usage;

/// Opens it for appending. A new file is readable by its owner only.
pub fn open(path: &Path) -> Result<File> {
    let file = open_at_once(path).with_context(|| format!("cannot open the log file {}", path.display()))?;
    let found = file
        .metadata()
        .with_context(|| format!("cannot look at the log file {}", path.display()))?;
    match refusal(path, &found) {
        None => Ok(file),
        Some(why) => {
            let message = format!("{} is not a log file: {why}", path.display());
            Err(Usage::new(message)
                .hint("choose another with --log-file FILE")
                .into())
        }
    }
}

#[cfg(unix)]
fn open_at_once(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    // Opening a pipe without a reader would block.
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let mut options = OpenOptions::new();
    options.append(true).create(true).mode(0o600).custom_flags(flags);
    options.open(path)
}

#[cfg(not(unix))]
fn open_at_once(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// Returns why the file must not be written to.
#[cfg(unix)]
fn refusal(path: &Path, found: &std::fs::Metadata) -> Option<String> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let user = nix::unistd::geteuid().as_raw();
    let foreign = |owner: u32| owner != 0 && owner != user;
    // Such as /dev/null.
    if found.file_type().is_char_device() {
        return None;
    }
    if !found.is_file() {
        return Some("it is a pipe or a device".to_owned());
    }
    if foreign(found.uid()) {
        return Some(format!(
            "it belongs to user {}, neither to root nor to you",
            found.uid()
        ));
    }
    let link = path.symlink_metadata().ok().filter(|named| named.is_symlink())?;
    let of = link.uid();
    foreign(of).then(|| format!("it is a link of user {of}, neither of root nor of you"))
}

#[cfg(not(unix))]
fn refusal(_path: &Path, found: &std::fs::Metadata) -> Option<String> {
    (!found.is_file()).then(|| "it is not a file".to_owned())
}
