//! Looking after the file itself: integrity check and online backup. This is where rusqlite does what Diesel does
//! not offer.

use std::path::Path;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use queuectl_core::{JobId, JobRef};
use rusqlite::OpenFlags;
use rusqlite::backup::{Backup, StepResult};

use super::number;
use super::show::find;
use super::verify::verify;
use crate::connection::Db;
use crate::error::Problem;
use crate::schema::jobs;
use crate::sqlite::make;
use crate::sqlite::state_dir::Lane;
use crate::{Location, Store, StoreError, counts, postgres};

/// Longest wait for another program's lock.
const BUSY_MOST: Duration = Duration::from_secs(30);

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// What is wrong with the file's structure, and which jobs and attempts are not what was stored; empty if nothing is.
    pub damage: Vec<String>,
    /// Rows that point at rows that are not there.
    pub dangling: u64,
    /// Pairs of queue and state whose kept count is not that of the jobs.
    pub miscounted: u64,
    /// The file's pages.
    pub pages: u64,
    /// Pages that are free for reuse.
    pub free_pages: u64,
}

/// Files that are looked at to say how large the folder beside a store is.
const FOLDER_FILES: u32 = 100_000;

impl Store {
    /// Checks the file's structure, its indexes, the links between its rows and their checksums. Reads the whole file.
    ///
    /// # Errors
    /// [`StoreError::Database`] if it cannot be read for another reason than damage.
    pub fn check(&mut self) -> Result<CheckReport, StoreError> {
        if let Db::Postgres(conn) = self.conn()? {
            let mut report = postgres::check::check(conn)?;
            report.damage = self.conn()?.snapshot(verify)?;
            return Ok(report);
        }
        let conn = self.second_connection()?;
        let mut damage = damage(&conn)?;
        match self.conn()?.snapshot(verify) {
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
        let count = |sql: &str| match conn.query_row(sql, [], |row| row.get::<_, i64>(0)) {
            Err(_) if !damage.is_empty() => Ok(0),
            other => other.map(|value| u64::try_from(value).unwrap_or(0)),
        };
        Ok(CheckReport {
            dangling: count("SELECT count(*) FROM pragma_foreign_key_check")?
                + count(
                    "SELECT count(*) FROM jobs WHERE NOT EXISTS (SELECT 1 FROM payloads WHERE job_id = jobs.id)",
                )?,
            miscounted: count(counts::WRONG)?,
            pages: count("PRAGMA page_count")?,
            free_pages: count("PRAGMA freelist_count")?,
            damage,
        })
    }

    /// How much the files in the folder take that belongs to the store on this machine: long outputs and logs. Of very many
    /// files, the first 100,000 count.
    pub fn folder_bytes(&self) -> u64 {
        let mut folders = vec![self.location().state_dir()];
        let (mut bytes, mut seen) = (0, 0);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                seen += 1;
                if seen > FOLDER_FILES {
                    return bytes;
                }
                // A link is not followed.
                match entry.metadata() {
                    Ok(data) if data.is_dir() => folders.push(entry.path()),
                    Ok(data) => bytes += data.len(),
                    Err(_) => {}
                }
            }
        }
        bytes
    }

    /// How much the store takes on the disk.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn bytes(&mut self) -> Result<u64, StoreError> {
        if let Db::Postgres(conn) = self.conn()? {
            return postgres::check::bytes(conn);
        }
        // With its write-ahead log.
        let Some(file) = self.location().file() else {
            return Ok(0);
        };
        let mut log = file.as_os_str().to_owned();
        log.push("-wal");
        let length = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.len());
        Ok(length(file) + length(Path::new(&log)))
    }

    /// Copies the store to a new file while nodes go on working. The copy is one consistent moment; it appears when it is
    /// complete and on the disk.
    ///
    /// # Errors
    /// [`StoreError::Exists`] if the target exists already.
    pub fn backup(&mut self, target: &Path) -> Result<(), StoreError> {
        if self.location().file().is_none() {
            return self.copy_to_file(target).map(drop);
        }
        let from = self.second_connection()?;
        make::database(target, |draft| {
            let mut to = rusqlite::Connection::open(draft)?;
            // Nobody sees the draft before it is synced as a whole.
            to.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
            copy_pages(&from, &mut to)?;
            // To a node on the copy, the nodes of the original look dead. It shall rescue their jobs, but not kill the
            // processes that live on for the original: marks that no process carries see to that.
            Ok(to.execute_batch(&format!(
                "UPDATE nodes SET cookie = 'copied-' || lower(hex(randomblob(16)));
                 UPDATE settings SET value = {} WHERE key = '{}'",
                number::FRESH,
                number::KEY
            ))?)
        })
    }

    /// Writes the file anew without free pages, which gives their space back to the file system; counts the jobs
    /// anew, and removes outputs of jobs that are gone. Nobody else can write meanwhile, and the disk must have room for a second copy.
    ///
    /// # Errors
    /// [`StoreError::NodesLive`] while a node runs, for its jobs' outcomes would wait for too long.
    pub fn compact(&mut self) -> Result<(), StoreError> {
        if self.nodes_with_lives()?.iter().any(|(_, lives)| *lives) {
            return Err(StoreError::NodesLive);
        }
        // Left over from a purge that was killed between its commit and the removal of the files.
        let outputs = self.own_outputs()?;
        number::remove_put_away(&self.location().state_dir());
        for job in outputs.jobs() {
            let id = JobRef::Number(JobId(job));
            if matches!(find(self.conn()?, &id), Err(StoreError::NoSuchJob(_))) {
                outputs.remove(job);
            }
        }
        self.write(|conn| {
            if let Db::Postgres(conn) = conn {
                // Whoever stores a job now waits, so that none is forgotten.
                conn.batch_execute("SET LOCAL statement_timeout = 0; LOCK TABLE jobs IN SHARE MODE")?;
            }
            Ok(conn.batch_execute(counts::RECOUNT)?)
        })?;
        let _lock = self.state_dir.lock_for_writing(Lane::User);
        match self.conn()? {
            Db::Sqlite(conn) => {
                conn.batch_execute("VACUUM")?;
                // The new content is in the write-ahead log; this is what moves it over, and cuts the file.
                conn.batch_execute("PRAGMA wal_checkpoint(TRUNCATE)")?;
            }
            Db::Postgres(conn) => postgres::check::compact(conn)?,
        }
        Ok(())
    }

    /// What a node does now and then. On a server: folds what was added to the counts, and removes long outputs on this
    /// machine of jobs that are gone, for a node of another machine may have removed those. On SQLite nothing.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn tidy_up(&mut self) -> Result<(), StoreError> {
        if let Location::Sqlite(_) = self.location() {
            return Ok(());
        }
        self.write(counts::forget_empty)?;
        let outputs = self.outputs()?;
        for some in outputs.jobs().chunks(500) {
            let query = jobs::table.filter(jobs::id.eq_any(some)).select(jobs::id);
            let there: Vec<i64> = query.load(self.conn()?)?;
            for gone in some.iter().filter(|id| !there.contains(id)) {
                outputs.remove(*gone);
            }
        }
        Ok(())
    }

    fn second_connection(&self) -> Result<rusqlite::Connection, StoreError> {
        let file = self.location().file().ok_or(StoreError::NoFile)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = rusqlite::Connection::open_with_flags(file, flags)?;
        conn.busy_timeout(BUSY_MOST)?;
        Ok(conn)
    }
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
