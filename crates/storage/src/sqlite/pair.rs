//! Whether the log beside a file is the file's own.
//!
//! A backup that is moved over the file finds the log of the file that was there before, and SQLite would play that log
//! into it, which makes one damaged file of two good ones. So the folder beside the file notes which file and which log
//! belong together, by what the file system knows them by. A file that is new beside a log that is not gets a new log; the
//! old one is kept under another name, for what it holds is nowhere else.
//!
//! A file that is overwritten in place is still the same file. That is not seen here.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::StoreError;
use crate::os::companions;
use crate::state_dir::StateDir;

/// How a log is called that was another file's.
const REPLACED: &str = ".replaced";

/// What the file system knows a file by; none where it does not say.
pub fn mark(data: &Metadata) -> Option<String> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        // Numbers of files are used again, sometimes at once.
        let made = data.created().ok();
        let made = made.and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let made = made.map_or(0, |since| since.as_nanos());
        Some(format!("{}:{}:{made}", data.dev(), data.ino()))
    }
    #[cfg(not(unix))]
    {
        let _ = data;
        None
    }
}

fn mark_at(path: &Path) -> Option<String> {
    mark(&path.symlink_metadata().ok()?)
}

/// What is noted: the file's mark and the log's, each in a line.
type Pair = (String, String);

fn noted(state_dir: &StateDir) -> Option<Pair> {
    let text = state_dir.pair_note()?;
    let (file, log) = text.trim_end().split_once('\n')?;
    Some((file.to_owned(), log.to_owned()))
}

/// Whether there is a log that belongs to a file which is not this one. Also yields the note, if it was read.
fn look(file: &Path, log: &Path, state_dir: &StateDir) -> (bool, Option<Pair>) {
    if !log.metadata().is_ok_and(|log| log.len() > 0) {
        return (false, None);
    }
    let found = (mark_at(file), mark_at(log));
    let (Some(found_file), Some(found_log), Some(pair)) = (found.0, found.1, noted(state_dir)) else {
        return (false, None);
    };
    let is_foreign = found_log == pair.1 && found_file != pair.0;
    (is_foreign, Some(pair))
}

/// Puts the log away if it is another file's. To be called before SQLite sees the two. Returns the note, if it was read and
/// is true still.
pub fn put_foreign_log_away(file: &Path, state_dir: &StateDir) -> Result<Option<Pair>, StoreError> {
    let [log, index, _] = companions(file);
    let (is_foreign, note) = look(file, &log, state_dir);
    if !is_foreign {
        return Ok(note);
    }
    let _lock = state_dir.lock_creation()?;
    // Another process may have done it.
    if !look(file, &log, state_dir).0 {
        return Ok(None);
    }
    let mut away = log.clone().into_os_string();
    away.push(REPLACED);
    let away = PathBuf::from(away);
    std::fs::rename(&log, &away).map_err(StoreError::file("put away", &log))?;
    // A process that still has the log and its file open uses them without their names.
    let _ = std::fs::remove_file(index);
    tracing::warn!(
        "{} was replaced by another file; the log of the one before is {} now",
        file.display(),
        away.display()
    );
    Ok(None)
}

/// Notes which log is the file's, once it is in use. `known` is the note, if it was read just now. A note that cannot be made
/// protects from nothing, and harms nothing.
pub fn note(file: &Path, state_dir: &StateDir, known: Option<Pair>) {
    let [log, ..] = companions(file);
    let (Some(file), Some(log)) = (mark_at(file), mark_at(&log)) else {
        return;
    };
    let pair = (file, log);
    if known.or_else(|| noted(state_dir)).as_ref() == Some(&pair) {
        return;
    }
    if let Err(error) = state_dir.write_pair_note(&format!("{}\n{}\n", pair.0, pair.1)) {
        tracing::debug!("cannot write the note in {}: {error}", state_dir.path().display());
    }
}

/// How often a connection looks whether its files are still those of that name.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Notices that the file was removed or replaced, or its log: everything that is stored from then on is lost.
pub struct Watch {
    /// The paths, and what they were when the file was opened. Empty where files have no marks.
    files: Vec<(&'static str, PathBuf, String)>,
    next: Instant,
}

impl Watch {
    /// Watches a file that is about to be opened, so that one which goes away during the opening is missed, too.
    pub fn of_file(file: &Path) -> Watch {
        let mut watch = Watch {
            files: Vec::new(),
            next: Instant::now() + LOOK_EVERY,
        };
        watch.add("the file", file.to_owned());
        watch
    }

    /// Watches its log as well, which is there once the file is in use.
    pub fn add_log(&mut self, file: &Path) {
        let [log, ..] = companions(file);
        self.add("the file's log", log);
    }

    fn add(&mut self, what: &'static str, path: PathBuf) {
        if let Some(mark) = mark_at(&path) {
            self.files.push((what, path, mark));
        }
    }

    /// Looks, if it is time.
    ///
    /// # Errors
    /// [`StoreError::Replaced`].
    pub fn look(&mut self) -> Result<(), StoreError> {
        let now = Instant::now();
        if now < self.next {
            return Ok(());
        }
        self.next = now + LOOK_EVERY;
        for (what, path, known) in &self.files {
            let how = match path.symlink_metadata() {
                Ok(found) if mark(&found).as_ref() == Some(known) => continue,
                Ok(_) => "replaced",
                Err(error) if error.kind() == io::ErrorKind::NotFound => "removed",
                // A file system that is away for a moment says nothing of the file.
                Err(_) => continue,
            };
            // Every further use fails, too.
            self.next = now;
            return Err(StoreError::Replaced { what, how });
        }
        Ok(())
    }
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use diesel::connection::SimpleConnection;

    use super::*;
    use crate::sqlite::open::{open, pragma};
    use crate::{Location, OpenMode};

    /// Writes so much that it stays in the log, and goes without moving it into the file.
    fn fill(file: &Path, value: &str) {
        let (mut conn, _) = open(file, OpenMode::Create).unwrap();
        // So that there is a folder for the note, as every writer has it.
        let mut state_dir = StateDir::new(&Location::Sqlite(file.to_owned()));
        drop(state_dir.lock_for_writing(crate::state_dir::Lane::User));
        drop(open(file, OpenMode::Create).unwrap());
        let sql = format!("INSERT INTO settings (key, value) VALUES ('{value}', hex(zeroblob(9000)))");
        conn.batch_execute(&sql).unwrap();
    }

    fn keys(file: &Path) -> Vec<String> {
        drop(open(file, OpenMode::MustExist).unwrap());
        let conn = rusqlite::Connection::open(file).unwrap();
        let mut query = conn.prepare("SELECT key FROM settings ORDER BY key").unwrap();
        let rows = query.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn a_log_is_not_played_into_a_file_that_it_does_not_belong_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fill(&path("old.db"), "old");
        fill(&path("new.db"), "new");
        let (mut conn, _) = open(&path("new.db"), OpenMode::MustExist).unwrap();
        super::super::log::leave(&mut conn, true);
        drop(conn);
        assert!(companions(&path("old.db"))[0].metadata().unwrap().len() > 0);
        std::fs::rename(path("new.db"), path("old.db")).unwrap();
        assert_eq!(keys(&path("old.db")), [":store", "new"]);
        assert!(path("old.db-wal.replaced").exists());
        // Both moved to another folder together are still a pair, whatever the note says.
        fill(&path("old.db"), "newer");
        std::fs::create_dir(path("elsewhere")).unwrap();
        for name in ["old.db", "old.db-wal"] {
            std::fs::copy(path(name), path("elsewhere").join(name)).unwrap();
        }
        assert_eq!(keys(&path("elsewhere/old.db")), [":store", "new", "newer"]);
        assert_eq!(keys(&path("old.db")), [":store", "new", "newer"]);
        let (mut conn, _) = open(&path("old.db"), OpenMode::MustExist).unwrap();
        assert_eq!(
            pragma(&mut conn, "user_version").unwrap(),
            i64::from(crate::sqlite::open::SCHEMA_VERSION)
        );
    }

    #[test]
    fn a_file_that_goes_away_while_it_is_opened_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("queue.db");
        fill(&file, "kept");
        let mut watch = Watch::of_file(&file);
        watch.next = Instant::now();
        watch.look().unwrap();
        std::fs::remove_file(&file).unwrap();
        std::fs::remove_file(&companions(&file)[0]).unwrap();
        watch.add_log(&file);
        watch.next = Instant::now();
        let found = watch.look();
        assert!(
            matches!(
                found,
                Err(StoreError::Replaced {
                    what: "the file",
                    how: "removed"
                })
            ),
            "{found:?}"
        );
    }

    #[test]
    fn an_emptied_file_is_not_a_new_queue_and_a_new_empty_file_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("queue.db");
        std::fs::write(&file, "").unwrap();
        fill(&file, "kept");
        let log = std::fs::read(&companions(&file)[0]).unwrap();
        assert!(!log.is_empty());
        std::fs::write(&file, "").unwrap();
        for mode in [OpenMode::MustExist, OpenMode::Create] {
            let refused = open(&file, mode).err();
            assert!(matches!(refused, Some(StoreError::Emptied(_))), "{refused:?}");
        }
        assert_eq!(
            std::fs::read(&companions(&file)[0]).unwrap(),
            log,
            "nothing was touched"
        );
        std::fs::remove_dir_all(folder.path().join("queue.db.d")).unwrap();
        drop(open(&file, OpenMode::Create).unwrap());
    }
}
