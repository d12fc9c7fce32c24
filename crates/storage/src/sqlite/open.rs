//! Opening an SQLite file: is it ours, is it safe, is its schema current.
//!
//! Checks come before changes, and one read of the file's header answers all of them for a current store. Nothing
//! is written to a file that fails a check.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer};
use diesel::sqlite::SqliteConnection;
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use queuectl_core::settings::Durability;
use queuectl_sys::is_draft;

use super::pair::{self, Watch};
use super::{log, make, number};
use crate::backend::OpenMode;
use crate::error::Problem;
use crate::migrations::NEWEST;
use crate::os::{companions, create_private_dir, free_companions};
use crate::state_dir::{StateDir, outputs};
use crate::{Location, StoreError, env};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations/sqlite");
/// "QCTL", big endian: marks a file as ours.
const APPLICATION_ID: i64 = 0x5143_544c;
/// The newest schema that this version knows; each migration sets `user_version`.
pub const SCHEMA_VERSION: i32 = NEWEST;
/// The first SQLite without the bug that could corrupt a WAL with several writers and checkpointers.
const SQLITE_MIN: i32 = 3_051_003;
/// Bytes of a path, so that the longest name that SQLite appends fits, too.
const PATH_MOST: usize = 504;
/// How long a statement waits for another program's lock, in ms.
const BUSY_TIMEOUT_MS: u32 = 30_000;

/// Opens a file, and watches it.
pub fn open(path: &Path, mode: OpenMode) -> Result<(SqliteConnection, Watch), StoreError> {
    if rusqlite::version_number() < SQLITE_MIN {
        return Err(StoreError::SqliteTooOld {
            found: rusqlite::version(),
        });
    }
    if is_draft(path) {
        return Err(StoreError::Unfinished);
    }
    check_length(path)?;
    let state_dir = StateDir::new(&Location::Sqlite(path.to_owned()));
    // In this order: a file that is just being made is not empty any more when it gets its folder.
    let had_folder = state_dir.exists();
    state_dir.check_links()?;
    match mode {
        OpenMode::Create => create(path, &state_dir)?,
        OpenMode::MustExist => must_exist(path)?,
    }
    let length = check_kind(path)?;
    check_companions(path)?;
    if length == 0 && had_folder {
        // SQLite would take it for a new database and remove its log.
        return Err(StoreError::Emptied(state_dir.path().to_owned()));
    }
    free_companions(path);
    let known = pair::put_foreign_log_away(path, &state_dir)?;
    let mut watch = Watch::of_file(path);
    let conn = establish(path)?;
    watch.add_log(path);
    pair::note(path, &state_dir, known);
    Ok((conn, watch))
}

/// Connects to a file that is there, makes its schema or brings it up to date, and sets the connection up.
pub fn establish(path: &Path) -> Result<SqliteConnection, StoreError> {
    if let Some(conn) = env::left_connection(path) {
        return Ok(conn);
    }
    log::set_up();
    let name = env::instead_of(path).unwrap_or_else(|| uri(path, "rw"));
    let mut conn = SqliteConnection::establish(&name).map_err(|error| match std::fs::File::open(path) {
        // SQLite says only that it could not; the operating system says why.
        Err(why) => StoreError::file("open", path)(why),
        Ok(_) => error.into(),
    })?;
    set_up(&mut conn)?;
    Ok(conn)
}

/// A store without a job that is in no file.
pub fn empty() -> Result<SqliteConnection, StoreError> {
    let mut conn = SqliteConnection::establish(":memory:")?;
    set_up(&mut conn)?;
    Ok(conn)
}

/// Connects to a current file to read from it. Neither the file nor its folder is written to, and no lock is waited for.
pub fn open_to_read(path: &Path) -> Result<SqliteConnection, StoreError> {
    check_length(path)?;
    must_exist(path)?;
    if check_kind(path)? == 0 {
        return Err(StoreError::Missing);
    }
    check_companions(path)?;
    // Without a log no connection is open, and SQLite would make a log and an index of it even to read.
    let is_closed = companions(path).into_iter().all(|companion| !companion.exists());
    let how = if is_closed { "ro&immutable=1" } else { "ro" };
    log::set_up();
    let mut conn = SqliteConnection::establish(&uri(path, how))?;
    conn.batch_execute("PRAGMA busy_timeout = 0; PRAGMA query_only = ON;")?;
    match is_current(&mut conn)? {
        true => Ok(conn),
        false => Err(StoreError::Missing),
    }
}

fn set_up(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    conn.batch_execute(&format!("PRAGMA busy_timeout = {BUSY_TIMEOUT_MS};"))?;
    // On macOS, fsync leaves data in the drive's cache, and only F_FULLFSYNC brings it to the disk; no other system has
    // that. It holds for checkpoints, too.
    conn.batch_execute("PRAGMA fullfsync = ON;")?;
    if !is_current(conn)? {
        migrate(conn)?;
    }
    conn.batch_execute("PRAGMA foreign_keys = ON;")?;
    // Temporary structures of large reports stay in memory; the page cache is bounded to 8 MiB.
    conn.batch_execute("PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192;")?;
    log::bound(conn)?;
    set_durability(conn, Durability::Full)
}

/// Returns the length of the file. Refuses anything but a regular file: opening a pipe would wait for its other end.
fn check_kind(path: &Path) -> Result<u64, StoreError> {
    let found = std::fs::metadata(path).map_err(StoreError::file("open", path))?;
    let source = match found {
        found if found.is_file() => return Ok(found.len()),
        found if found.is_dir() => io::Error::from(io::ErrorKind::IsADirectory),
        _ => io::Error::other("it is a pipe, a socket or a device, not a file"),
    };
    Err(StoreError::file("open", path)(source))
}

/// SQLite says of a longer path only that it could not open the file.
fn check_length(path: &Path) -> Result<(), StoreError> {
    if cfg!(unix) && path.as_os_str().len() > PATH_MOST {
        return Err(StoreError::LongPath { most: PATH_MOST });
    }
    Ok(())
}

/// The same of companions that are no files, as which it also takes links.
fn check_companions(path: &Path) -> Result<(), StoreError> {
    for companion in companions(path) {
        let kind = match companion.symlink_metadata() {
            Ok(found) if found.is_dir() => "it is a folder",
            Ok(found) if found.is_symlink() => "it is a link",
            Ok(found) if !found.is_file() => "it is a pipe, a socket or a device",
            _ => continue,
        };
        let source = io::Error::other(format!("{kind}, where SQLite keeps a file of its own; remove it"));
        return Err(StoreError::file("open", companion)(source));
    }
    Ok(())
}

/// Makes an empty queue if there is nothing at `path`. Commands and their output are private, so only the owner can
/// read the file.
/// A file that cannot be looked for is not one that is missing: a queue that is hidden from a user is not empty.
fn must_exist(path: &Path) -> Result<(), StoreError> {
    match path.try_exists() {
        Ok(true) => Ok(()),
        Err(error) if error.kind() != io::ErrorKind::NotADirectory => {
            Err(StoreError::file("look for", path)(error))
        }
        Ok(false) | Err(_) => Err(StoreError::Missing),
    }
}

fn create(path: &Path, state_dir: &StateDir) -> Result<(), StoreError> {
    if path.exists() {
        return Ok(());
    }
    if let Some(folder) = path.parent() {
        create_private_dir(folder).map_err(StoreError::file("create the folder", folder))?;
    }
    // Others may be about to make it, too, and each removes what was left beside a file that is gone.
    let _lock = state_dir.lock_creation()?;
    outputs::put_nameless_away(state_dir.path()).map_err(StoreError::file("use", state_dir.path()))?;
    match make::queue(path, |draft| establish(draft).map(drop)) {
        Err(StoreError::Exists(_)) => Ok(()),
        other => other,
    }
}

/// A `file:` URI, so that no character of the path has a meaning to SQLite and nothing is created by accident.
fn uri(path: &Path, mode: &str) -> String {
    let mut text = String::from("file:");
    if path.to_string_lossy().starts_with(['/', '\\']) {
        // No server: or what follows two slashes would be taken for one.
        text.push_str("//");
    }
    for byte in path.to_string_lossy().bytes() {
        match byte {
            b'\\' if cfg!(windows) => text.push('/'),
            b'?' | b'#' | b'%' | b' ' | 0x7f.. | 0..0x20 => text.push_str(&format!("%{byte:02X}")),
            _ => text.push(char::from(byte)),
        }
    }
    text + "?mode=" + mode
}

/// The version of the schema, which stays as it is; none if there is no store.
pub fn version(path: &Path) -> Result<Option<i32>, StoreError> {
    if !path.exists() {
        return Ok(None);
    }
    // Not read-only, unless the file is: the next process that opens it rolls back what a killed one was writing, and
    // must be able to.
    check_length(path)?;
    check_kind(path)?;
    log::set_up();
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE;
    let conn = rusqlite::Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(std::time::Duration::from_secs(30))?;
    let number = |name: &str| conn.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let version = i32::try_from(number("user_version")?).unwrap_or(i32::MAX);
    match (number("application_id")?, version) {
        (APPLICATION_ID, found) if found > SCHEMA_VERSION => Err(StoreError::NewerSchema {
            found,
            known: SCHEMA_VERSION,
        }),
        (APPLICATION_ID, found) => Ok(Some(found)),
        (0, 0) => Ok(None),
        _ => Err(StoreError::Foreign),
    }
}

/// Whether the schema is current; an error if the file is not ours or is newer. `false`: empty or older.
fn is_current(conn: &mut SqliteConnection) -> Result<bool, StoreError> {
    // Almost every file is, and its header says so by two numbers, for a fraction of the work. Migrations set both in one
    // transaction and only ever count up, so it does not matter that these are two reads.
    if header(conn, "PRAGMA application_id")? == APPLICATION_ID
        && header(conn, "PRAGMA user_version")? == i64::from(SCHEMA_VERSION)
    {
        return Ok(true);
    }
    let stamp = diesel::sql_query(STAMP).get_result::<Stamp>(conn)?;
    let found = i32::try_from(stamp.user_version).unwrap_or(i32::MAX);
    if stamp.application_id == APPLICATION_ID {
        if found > SCHEMA_VERSION {
            return Err(StoreError::NewerSchema {
                found,
                known: SCHEMA_VERSION,
            });
        }
        return Ok(found == SCHEMA_VERSION);
    }
    // Neither marked as ours nor empty: somebody else's.
    if stamp.application_id != 0 || found != 0 || stamp.objects != 0 {
        return Err(StoreError::Foreign);
    }
    Ok(false)
}

/// Reads a number in the file's header. It needs no schema, so this is the first read of a file that may be no database.
fn header(conn: &mut SqliteConnection, pragma: &str) -> Result<i64, StoreError> {
    let value = diesel::dsl::sql::<Integer>(pragma)
        .get_result::<i32>(conn)
        .map_err(StoreError::from);
    match value {
        Err(StoreError::Database {
            problem: Problem::Corrupt,
            detail,
        }) if detail.contains("not a database") => Err(StoreError::NotADatabase),
        other => Ok(other?.into()),
    }
}

/// Switches to the write-ahead log. For that, SQLite wants the file for itself and does not wait as it does otherwise:
/// others that look at a file which is just being made would have it fail.
fn enter_wal_mode(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let until = Instant::now() + Duration::from_millis(BUSY_TIMEOUT_MS.into());
    loop {
        match conn
            .batch_execute("PRAGMA journal_mode = WAL;")
            .map_err(StoreError::from)
        {
            Err(error) if error.problem() == Some(Problem::Busy) && Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(2));
            }
            other => return other,
        }
    }
}

/// Brings an empty or older schema up to date. Another process may be doing the same: the loser of the race finds
/// the schema current.
fn migrate(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    enter_wal_mode(conn)?;
    conn.immediate_transaction(|conn| {
        if is_current(conn)? {
            return Ok(());
        }
        let was_there = pragma(conn, "user_version")? > 0;
        match conn.run_pending_migrations(MIGRATIONS) {
            // One that was there is numbered when it first needs it, and with it what it has kept so far.
            Ok(_) if was_there => Ok(()),
            Ok(_) => number::make(conn),
            Err(error) => match error.downcast::<diesel::result::Error>() {
                Ok(error) => Err(StoreError::from(*error)),
                Err(error) => Err(StoreError::Migration(error.to_string())),
            },
        }
    })
}

pub fn set_durability(conn: &mut SqliteConnection, durability: Durability) -> Result<(), StoreError> {
    conn.batch_execute(match durability {
        Durability::Full => "PRAGMA synchronous = FULL;",
        Durability::Normal => "PRAGMA synchronous = NORMAL;",
    })?;
    Ok(())
}

/// Whose file this is, and of which version. One statement, and so one moment: another process may be making the
/// schema right now, and half of it would look like somebody else's.
const STAMP: &str = "SELECT (SELECT count(*) FROM sqlite_master) AS objects, \
                     (SELECT application_id FROM pragma_application_id) AS application_id, \
                     (SELECT user_version FROM pragma_user_version) AS user_version";

#[derive(QueryableByName)]
struct Stamp {
    #[diesel(sql_type = BigInt)]
    objects: i64,
    #[diesel(sql_type = BigInt)]
    application_id: i64,
    #[diesel(sql_type = BigInt)]
    user_version: i64,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    value: i64,
}

/// The value of a pragma that yields one integer.
pub fn pragma(conn: &mut SqliteConnection, name: &str) -> Result<i64, StoreError> {
    let sql = format!("SELECT {name} AS value FROM pragma_{name}");
    Ok(diesel::sql_query(sql).get_result::<Number>(conn)?.value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_commit_survives_is_what_was_chosen() {
        let folder = tempfile::tempdir().unwrap();
        let (mut conn, _) = open(&folder.path().join("queue.db"), OpenMode::Create).unwrap();
        let chosen = |conn: &mut SqliteConnection| {
            ["synchronous", "fullfsync"].map(|name| pragma(conn, name).unwrap())
        };
        assert_eq!(chosen(&mut conn), [2, 1]);
        set_durability(&mut conn, Durability::Normal).unwrap();
        assert_eq!(chosen(&mut conn), [1, 1]);
    }

    /// Somebody was killed while writing to a file that had no write-ahead log yet: his journal is still to be rolled back.
    #[test]
    fn a_version_is_found_behind_a_killed_writer() {
        let folder = tempfile::tempdir().unwrap();
        let (file, copy) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let journal = |path: &Path| std::path::PathBuf::from(format!("{}-journal", path.display()));
        let conn = rusqlite::Connection::open(&file).unwrap();
        conn.execute_batch(&format!(
            "PRAGMA journal_mode = delete; PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = 3;
             CREATE TABLE t (x); INSERT INTO t VALUES (zeroblob(100000));
             BEGIN; PRAGMA user_version = 4; UPDATE t SET x = randomblob(100000);"
        ))
        .unwrap();
        // Writes to the file before the end of the transaction, and so makes the journal one that counts.
        conn.cache_flush().unwrap();
        std::fs::copy(&file, &copy).unwrap();
        std::fs::copy(journal(&file), journal(&copy)).unwrap();
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let looked = rusqlite::Connection::open_with_flags(&copy, flags)
            .and_then(|conn| conn.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0)));
        let header = std::fs::read(journal(&copy)).unwrap()[..12].to_vec();
        assert!(
            looked.is_err(),
            "the control: there is something to be rolled back: {looked:?}, journal {header:?}"
        );
        assert_eq!(version(&copy).unwrap(), Some(3));
    }
}
