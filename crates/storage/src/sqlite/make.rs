//! Making database files: each appears under its name whole and durable, or not at all.
//!
//! A half-made file would look like an empty queue, or like a damaged one. So it is filled under a name that says that it
//! is not finished, and that nothing opens.

use std::fs::OpenOptions;
use std::io;
use std::path::{Path, PathBuf};

use queuectl_sys::Draft;

use crate::StoreError;
use crate::os::{companions, open_private};

/// Makes a database where there is none: `fill` writes it to the path that it gets, and has closed it when it returns.
///
/// # Errors
/// [`StoreError::Exists`] if there is something at `target`; whatever `fill` says. Nothing is left behind then.
pub fn database<T>(
    target: &Path,
    fill: impl FnOnce(&Path) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    with(target, fill, |_| Ok(()))
}

/// The same with an empty log beside it, so that both names are durable at once, and no user of the log has to sync the
/// folder for it.
///
/// # Errors
/// As [`database`]. The caller keeps other processes from making it meanwhile.
pub fn queue<T>(target: &Path, fill: impl FnOnce(&Path) -> Result<T, StoreError>) -> Result<T, StoreError> {
    with(target, fill, |[log, ..]| {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        open_private(&mut options, log)
            .map(drop)
            .map_err(StoreError::file("create", log))
    })
}

fn with<T>(
    target: &Path,
    fill: impl FnOnce(&Path) -> Result<T, StoreError>,
    make_companions: impl FnOnce(&[PathBuf; 3]) -> Result<(), StoreError>,
) -> Result<T, StoreError> {
    let exists = || StoreError::Exists(target.to_owned());
    if target.symlink_metadata().is_ok() {
        return Err(exists());
    }
    let draft = Draft::beside(target).map_err(StoreError::file("create", target))?;
    let filled = fill(draft.path()).and_then(|value| Ok((value, empty_log(draft.path())?)));
    remove_companions(draft.path())?;
    let (value, ()) = filled?;
    // Left over from a file that had this name: SQLite would take its changes for ours.
    remove_companions(target)?;
    make_companions(&companions(target))?;
    match draft.create() {
        Ok(()) => Ok(value),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists()),
        Err(error) => Err(StoreError::file("create", target)(error)),
    }
}

/// Moves what is in the write-ahead log to the file itself.
fn empty_log(file: &Path) -> Result<(), StoreError> {
    let conn = rusqlite::Connection::open(file)?;
    // The file is synced as a whole before anybody sees it.
    conn.execute_batch("PRAGMA synchronous = OFF; PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

fn remove_companions(file: &Path) -> Result<(), StoreError> {
    for path in companions(file) {
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::file("remove", path)(error));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn fill(draft: &Path) -> Result<(), StoreError> {
        let conn = rusqlite::Connection::open(draft)?;
        Ok(conn.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE t (x); INSERT INTO t VALUES (7)")?)
    }

    #[test]
    fn a_database_appears_whole_and_alone() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("new.db");
        // Of a file of this name that is gone.
        for stale in companions(&target) {
            std::fs::write(stale, "stale").unwrap();
        }
        database(&target, |draft| {
            assert!(!target.exists(), "not before it is whole");
            fill(draft)
        })
        .unwrap();
        assert_eq!(names(folder.path()), ["new.db"]);
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let conn = rusqlite::Connection::open_with_flags(&target, flags).unwrap();
        let found: i64 = conn.query_row("SELECT x FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(found, 7);
    }

    #[test]
    fn what_fails_leaves_nothing_and_what_exists_stays() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("new.db");
        let failed = database(&target, |draft| {
            fill(draft).and(Err::<(), _>(StoreError::NotEmpty))
        });
        assert!(matches!(failed, Err(StoreError::NotEmpty)));
        assert!(names(folder.path()).is_empty());
        // Somebody else's file that came first, before the copy and while it was made.
        let taken = database(&target, |draft| {
            std::fs::write(&target, "other").unwrap();
            fill(draft)
        });
        assert!(matches!(taken, Err(StoreError::Exists(path)) if path == target));
        assert!(matches!(database(&target, fill), Err(StoreError::Exists(_))));
        assert_eq!(std::fs::read_to_string(&target).unwrap(), "other");
        assert_eq!(names(folder.path()), ["new.db"]);
    }
}
