//! The files of long outputs, in a folder with a note of the store that they belong to.
//!
//! Each store has a number, which is in the database itself, so that what is kept beside the database is not taken for a
//! part of another one. A backup gets a number of its own, since the jobs that run on it are not those of the original.

use std::io;
use std::path::{Path, PathBuf};

use queuectl_sys::{Access, Folder};

use super::{IN_STATE_DIR, STATE_DIR};
use crate::os;

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
                folder: state_dir.join(away(number)),
            },
            _ => Outputs { folder },
        }
    }

    /// The same, and puts away what was another store's. The caller makes sure that no other process does so meanwhile.
    pub(crate) fn claim(state_dir: &Path, number: &str) -> io::Result<Outputs> {
        let folder = state_dir.join(FOLDER);
        let beside = os::make_folder(state_dir, STATE_DIR)?;
        match owner(&folder) {
            Some(owner) if owner == number => return Ok(Outputs { folder }),
            Some(other) => beside.rename(FOLDER, &away(&other))?,
            None => {}
        }
        let own = away(number);
        if beside.has(&own) && !beside.has(FOLDER) {
            beside.rename(&own, FOLDER)?;
        }
        os::make_folder(&folder, IN_STATE_DIR)?.replace_lightly(NOTE, format!("{number}\n").as_bytes())?;
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
        let names = Folder::open(&self.folder, IN_STATE_DIR).and_then(|folder| folder.names());
        let names = names.unwrap_or_default();
        names
            .iter()
            .filter_map(|name| name.to_str()?.parse().ok())
            .collect()
    }

    /// Removes the long outputs of jobs.
    pub(crate) fn remove(&self, jobs: &[i64]) {
        let Ok(folder) = Folder::open(&self.folder, IN_STATE_DIR) else {
            return;
        };
        for job in jobs {
            // Most jobs have none. A folder that cannot be removed now is harmless: job numbers are never reused.
            let _ = folder.remove_all(&job.to_string());
        }
    }
}

/// Whose outputs are in the folder; none if nothing says it, as before there were numbers.
fn owner(folder: &Path) -> Option<String> {
    let note = Folder::open(folder, IN_STATE_DIR)
        .ok()?
        .file(NOTE, Access::Read)
        .ok()?;
    let note = io::read_to_string(note).ok()?;
    let number = note.trim_end();
    (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| number.to_owned())
}

/// How the folder of a store's outputs is called while another store is at its place.
fn away(number: &str) -> String {
    format!("{FOLDER}-{number}")
}

/// Puts away outputs that nothing says the owner of, since a new store is made here.
pub(crate) fn put_nameless_away(state_dir: &Path) -> io::Result<()> {
    let beside = Folder::open(state_dir, STATE_DIR)?;
    if beside.has(FOLDER) && owner(&state_dir.join(FOLDER)).is_none() {
        let _ = beside.remove_all(&away("unknown"));
        beside.rename(FOLDER, &away("unknown"))?;
    }
    Ok(())
}

/// Removes what stores left behind that were here before.
pub(crate) fn remove_put_away(state_dir: &Path) {
    let Ok(beside) = Folder::open(state_dir, STATE_DIR) else {
        return;
    };
    for name in beside.names().unwrap_or_default() {
        let name = name.to_str();
        let is_away = name.and_then(|name| name.strip_prefix(FOLDER));
        if let (Some(name), true) = (name, is_away.is_some_and(|rest| rest.starts_with('-'))) {
            let _ = beside.remove_all(name);
        }
    }
}
