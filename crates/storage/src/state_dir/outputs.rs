//! The files of long outputs, in a folder with a note of the store that they belong to.
//!
//! Each store has a number, which is in the database itself, so that what is kept beside the database is not taken for a
//! part of another one. A backup gets a number of its own, since the jobs that run on it are not those of the original.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use queuectl_sys::Draft;

use crate::os::create_private_dir;

/// The folder of long outputs, and the note in it.
const FOLDER: &str = "output";
const NOTE: &str = "store";

/// The files of long outputs of one store.
#[derive(Debug, Clone)]
pub struct Outputs {
    folder: PathBuf,
}

impl Outputs {
    /// Those of a store without a number.
    pub(crate) fn nameless(state_dir: &Path) -> Outputs {
        Outputs {
            folder: state_dir.join(FOLDER),
        }
    }

    /// Those of the store with that number, if the folder is its own; else those that were put away, if there are any.
    pub(crate) fn find(state_dir: &Path, number: &str) -> Outputs {
        let folder = state_dir.join(FOLDER);
        match owner(&folder) {
            Some(other) if other != number => Outputs {
                folder: away(state_dir, number),
            },
            _ => Outputs { folder },
        }
    }

    /// The same, and puts away what was another store's. The caller sees to it that nobody else does meanwhile.
    pub(crate) fn claim(state_dir: &Path, number: &str) -> io::Result<Outputs> {
        let folder = state_dir.join(FOLDER);
        match owner(&folder) {
            Some(owner) if owner == number => return Ok(Outputs { folder }),
            Some(other) => std::fs::rename(&folder, away(state_dir, &other))?,
            None => {}
        }
        let own = away(state_dir, number);
        if own.exists() && !folder.exists() {
            std::fs::rename(own, &folder)?;
        }
        create_private_dir(&folder)?;
        let draft = Draft::beside(&folder.join(NOTE))?;
        writeln!(draft.file(), "{number}")?;
        draft.replace_lightly()?;
        Ok(Outputs { folder })
    }

    /// The folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file that keeps the output of one attempt, if it is too long for the database.
    pub fn file(&self, job: i64, fence: i64) -> PathBuf {
        self.folder.join(job.to_string()).join(format!("{fence}.log"))
    }

    /// The jobs that have long outputs.
    pub(crate) fn jobs(&self) -> Vec<i64> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
            .collect()
    }

    /// Removes the long outputs of a job.
    pub(crate) fn remove(&self, job: i64) {
        // Most jobs have none. A folder that cannot be removed now is harmless: job numbers are never reused.
        let _ = std::fs::remove_dir_all(self.folder.join(job.to_string()));
    }
}

/// Whose outputs are in the folder; none if nothing says it, as before there were numbers.
fn owner(folder: &Path) -> Option<String> {
    let note = std::fs::read_to_string(folder.join(NOTE)).ok()?;
    let number = note.trim_end();
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| number.to_owned())
}

/// Where outputs of a store are while another store is at its place.
fn away(state_dir: &Path, number: &str) -> PathBuf {
    state_dir.join(format!("{FOLDER}-{number}"))
}

/// Puts away outputs that nothing says the owner of, since a new store is made here.
pub(crate) fn put_nameless_away(state_dir: &Path) -> io::Result<()> {
    let folder = state_dir.join(FOLDER);
    if folder.exists() && owner(&folder).is_none() {
        let _ = std::fs::remove_dir_all(away(state_dir, "unknown"));
        std::fs::rename(folder, away(state_dir, "unknown"))?;
    }
    Ok(())
}

/// Removes what stores left behind that were here before.
pub(crate) fn remove_put_away(state_dir: &Path) {
    for entry in std::fs::read_dir(state_dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let is_away = name.to_str().and_then(|name| name.strip_prefix(FOLDER));
        if is_away.is_some_and(|rest| rest.starts_with('-')) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}
