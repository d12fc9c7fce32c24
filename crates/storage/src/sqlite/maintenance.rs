//! Looking after the file itself: integrity check, online backup, compaction. This is where rusqlite does what Diesel does
//! not offer.

use std::path::Path;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::sqlite::SqliteConnection;
use rusqlite::OpenFlags;
use rusqlite::backup::{Backup, StepResult};

use super::{make, number};
use crate::backend::{CheckReport, Db, Verify};
use crate::error::Problem;
use crate::os::companions;
use crate::outcome::GROUPS_WRONG;
use crate::schema::NUMBER_KEY;
use crate::{StoreError, counts, env, limits};

/// Longest wait for another program's lock.
const BUSY_MOST: Duration = Duration::from_secs(30);

/// A connection of rusqlite, which only reads.
pub fn second_connection(file: &Path) -> Result<rusqlite::Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = match env::instead_of(file) {
        Some(name) => rusqlite::Connection::open_with_flags(name, flags | OpenFlags::SQLITE_OPEN_URI)?,
        None => rusqlite::Connection::open_with_flags(file, flags)?,
    };
    conn.busy_timeout(BUSY_MOST)?;
    Ok(conn)
}

/// Checks the file's structure, its indexes, the links between its rows, and with `verify` their checksums.
pub fn check(
    conn: &mut Db,
    second: &rusqlite::Connection,
    verify: Verify,
) -> Result<CheckReport, StoreError> {
    let mut damage = damage(second)?;
    match conn.snapshot(verify) {
        Ok(altered) => damage.extend(altered),
        // The structure's damage says it already.
        Err(_) if !damage.is_empty() => {}
        // A value that cannot be read at all.
        Err(StoreError::Database {
            problem: Problem::Corrupt | Problem::Other,
            detail,
        }) => damage.push(detail),
        Err(error) => return Err(error),
    }
    // Neither links between rows nor numbers can be trusted, or even read, in a damaged file.
    let count = |sql: &str| match second.query_row(sql, [], |row| row.get::<_, i64>(0)) {
        Err(_) if !damage.is_empty() => Ok(0),
        other => other.map(|value| u64::try_from(value).unwrap_or(0)),
    };
    Ok(CheckReport {
        dangling: count("SELECT count(*) FROM pragma_foreign_key_check")?
            + count(
                "SELECT count(*) FROM jobs WHERE NOT EXISTS (SELECT 1 FROM payloads WHERE job_id = jobs.id)",
            )?
            + count("SELECT count(*) FROM edges WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = child)")?
            + count(
                "SELECT count(*) FROM job_hooks WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = job_id)",
            )?
            + count(
                "SELECT count(*) FROM job_labels WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE id = job_id)",
            )?,
        miscounted: count(counts::WRONG)?,
        misplaced: count(limits::WRONG)?,
        misgrouped: count(GROUPS_WRONG)?,
        pages: count("PRAGMA page_count")?,
        free_pages: count("PRAGMA freelist_count")?,
        damage,
    })
}

/// The size of the file with its write-ahead log.
pub fn bytes(file: &Path) -> u64 {
    let [log, ..] = companions(file);
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
    length(file) + length(&log)
}

/// Copies the database to a new file. The copy is one consistent moment; it appears when it is complete and on the disk.
pub fn backup(from: &rusqlite::Connection, target: &Path) -> Result<(), StoreError> {
    make::database(target, |draft| {
        let mut to = rusqlite::Connection::open(draft)?;
        // No other process opens the draft before it is synced as a whole.
        to.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
        copy_pages(from, &mut to)?;
        // To a node on the copy, the nodes of the original look dead. It must rescue their jobs, but not kill the
        // processes that still run for the original: marks that no process carries see to that.
        Ok(to.execute_batch(&format!(
            "UPDATE nodes SET cookie = 'copied-' || lower(hex(randomblob(16)));
             UPDATE settings SET value = {} WHERE key = '{NUMBER_KEY}'",
            number::FRESH,
        ))?)
    })
}

/// Rewrites the file without free pages, which gives their space back to the file system.
pub fn compact(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    conn.batch_execute("VACUUM")?;
    // The new content is in the write-ahead log; this is what moves it over, and cuts the file.
    conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

/// Copies all pages in one step, and so in one read transaction: what is stored meanwhile would have a copy in several steps
/// begin again, on a busy queue without end.
fn copy_pages(from: &rusqlite::Connection, to: &mut rusqlite::Connection) -> Result<(), StoreError> {
    let backup = Backup::new(from, to)?;
    let until = Instant::now() + BUSY_MOST;
    loop {
        match backup.step(-1)? {
            StepResult::Done => return Ok(()),
            _ if Instant::now() < until => std::thread::sleep(Duration::from_millis(2)),
            _ => {
                return Err(StoreError::Database {
                    problem: Problem::Busy,
                    detail: "database is locked".to_owned(),
                });
            }
        }
    }
}

/// What is wrong with the file's structure. Damage that keeps the check from going on is damage, too.
fn damage(conn: &rusqlite::Connection) -> Result<Vec<String>, StoreError> {
    let mut damage = Vec::new();
    let mut look = || -> Result<(), rusqlite::Error> {
        let mut statement = conn.prepare("PRAGMA integrity_check(100)")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            damage.push(row.get::<_, String>(0)?);
        }
        Ok(())
    };
    match look().map_err(StoreError::from) {
        Ok(()) => {}
        Err(StoreError::Database {
            problem: Problem::Corrupt,
            detail,
        }) => damage.push(detail),
        Err(error) => return Err(error),
    }
    damage.retain(|line| line != "ok");
    Ok(damage)
}
