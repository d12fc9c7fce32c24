//! The number by which a store is told from any other that may come to be at the same place.
//!
//! It is stored in the database itself, so that what is kept beside the database is not taken for a part of another one: the
//! folder with the long outputs has a note whose it is. A backup gets a number of its own, for the jobs that run on it are not
//! those of the original.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use diesel::prelude::*;
use queuectl_sys::Draft;

use crate::connection::Db;
use crate::schema::settings;
use crate::{Store, StoreError, postgres};

/// Where SQLite has it: among the settings, under a name that no setting has.
pub(crate) const KEY: &str = ":store";
/// SQL for a new one.
pub(crate) const FRESH: &str = "lower(hex(randomblob(8)))";

/// The folder of long outputs, and the note in it.
const FOLDER: &str = "output";
const NOTE: &str = "store";

/// The files of long outputs of one store.
#[derive(Debug, Clone)]
pub struct Outputs {
    folder: PathBuf,
}

impl Outputs {
    /// Those of the store with that number, if the folder is its own; else those that were put away, if there are any.
    fn find(state_dir: &Path, number: &str) -> Outputs {
        let folder = state_dir.join(FOLDER);
        match owner(&folder) {
            Some(other) if other != number => Outputs {
                folder: away(state_dir, number),
            },
            _ => Outputs { folder },
        }
    }

    /// The same, and puts away what was another store's. The caller sees to it that nobody else does meanwhile.
    fn claim(state_dir: &Path, number: &str) -> io::Result<Outputs> {
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
        crate::sqlite::os::create_private_dir(&folder)?;
        let draft = Draft::beside(&folder.join(NOTE))?;
        writeln!(draft.file(), "{number}")?;
        draft.replace_lightly()?;
        Ok(Outputs { folder })
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

impl Store {
    /// Where this store keeps long outputs on this machine.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn outputs(&mut self) -> Result<Outputs, StoreError> {
        if let Some(outputs) = &self.outputs {
            return Ok(outputs.clone());
        }
        let state_dir = self.location().state_dir();
        Ok(match self.number()? {
            Some(number) => Outputs::find(&state_dir, &number),
            None => Outputs {
                folder: state_dir.join(FOLDER),
            },
        })
    }

    /// The same for whoever writes or removes outputs: the folder is this store's own from then on.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::File`].
    pub fn own_outputs(&mut self) -> Result<Outputs, StoreError> {
        if let Some(outputs) = &self.outputs {
            return Ok(outputs.clone());
        }
        let number = match self.number()? {
            Some(number) => number,
            None => self.write(number_it)?,
        };
        let state_dir = self.location().state_dir();
        let lock = self.state_dir.lock_creation()?;
        let outputs =
            Outputs::claim(&state_dir, &number).map_err(StoreError::file("use", state_dir.join(FOLDER)))?;
        drop(lock);
        self.outputs = Some(outputs.clone());
        Ok(outputs)
    }

    fn number(&mut self) -> Result<Option<String>, StoreError> {
        match self.conn()? {
            Db::Postgres(conn) => {
                let number = postgres::open::number(conn, "SELECT identity FROM store")?;
                Ok(Some(format!("{:016x}", number.unsigned_abs())))
            }
            Db::Sqlite(_) => stored(self.conn()?),
        }
    }

    /// Removes the long outputs of jobs that are gone. What cannot be removed is harmless.
    pub(crate) fn remove_outputs(&mut self, jobs: &[i64]) {
        match self.outputs() {
            Ok(outputs) => jobs.iter().for_each(|job| outputs.remove(*job)),
            Err(error) => tracing::debug!("long outputs were not removed: {error}"),
        }
    }
}

fn stored(conn: &mut Db) -> Result<Option<String>, StoreError> {
    Ok(settings::table
        .find(KEY)
        .select(settings::value)
        .first(conn)
        .optional()?)
}

/// For a file that was made by a version without numbers.
fn number_it(conn: &mut Db) -> Result<String, StoreError> {
    if let Db::Sqlite(conn) = conn {
        diesel::connection::SimpleConnection::batch_execute(conn, &insert())?;
    }
    Ok(stored(conn)?.unwrap_or_default())
}

/// Gives a store a number that has none.
pub(crate) fn insert() -> String {
    format!("INSERT INTO settings (key, value) VALUES ('{KEY}', {FRESH}) ON CONFLICT DO NOTHING")
}
