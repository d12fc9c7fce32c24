//! Copying a whole store into another, also from one database to the other.
//!
//! What is read is one moment; what is written is one transaction. Then everything is read back and compared. Long
//! outputs, which are files, stay where they are.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::nodes::{NodeRow, Wake};
use crate::connection::Db;
use crate::postgres::statements::InsertPayloads;
use crate::postgres::storable;
use crate::rows::{AttemptRow, JobRow};
use crate::schema::{attempts, jobs, nodes, outputs, payloads, settings};
use crate::sqlite::make;
use crate::{Location, OpenMode, Store, StoreError, counts, postgres, sqlite};

/// Jobs whose rows are in memory at a time.
const CHUNK: i64 = 200;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = payloads, treat_none_as_default_value = false)]
pub(super) struct PayloadRow {
    pub job_id: i64,
    pub payload: String,
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = outputs, treat_none_as_default_value = false)]
pub(super) struct OutputRow {
    pub job_id: i64,
    pub fence: i64,
    pub head: Vec<u8>,
    pub tail: Vec<u8>,
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = settings, treat_none_as_default_value = false)]
struct SettingRow {
    key: String,
    value: String,
}

/// How much was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Settings that were set.
    pub settings: u64,
    /// Nodes that were not there any more but had jobs; the next node on the copy rescues those.
    pub nodes: u64,
    /// Jobs.
    pub jobs: u64,
    /// Their ended attempts.
    pub attempts: u64,
    /// Attempts with output.
    pub outputs: u64,
}

/// Rows that belong together.
pub(super) struct Rows {
    pub jobs: Vec<JobRow>,
    pub payloads: Vec<PayloadRow>,
    pub attempts: Vec<AttemptRow>,
    pub outputs: Vec<OutputRow>,
}

macro_rules! insert {
    ($conn:expr, $table:expr, $rows:expr) => {
        for some in $rows.chunks(500) {
            match $conn {
                Db::Sqlite(conn) => diesel::insert_into($table).values(some).execute(conn)?,
                Db::Postgres(conn) => diesel::insert_into($table).values(some).execute(conn)?,
            };
        }
    };
}

impl Store {
    /// Copies everything into another store, which must be empty, and compares.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`]; [`StoreError::CopyDiffers`]: what was written is not what was read, and was taken back.
    pub fn copy_to(&mut self, to: &mut Store) -> Result<Copied, StoreError> {
        let from = self.conn()?;
        let copied = from.snapshot(|from| to.write(|to| copy_and_compare(from, to)))?;
        to.wake_all(Wake::Jobs);
        Ok(copied)
    }
}

impl Store {
    /// Copies everything to a place where there is no queue yet, or an empty one. A new file appears when the copy is
    /// complete and on the disk.
    ///
    /// # Errors
    /// As [`Store::open`] for the target and as [`Store::copy_to`].
    pub fn copy_to_location(&mut self, to: &Location) -> Result<Copied, StoreError> {
        match to {
            Location::Sqlite(file) if !file.exists() => self.copy_to_file(file),
            _ => self.copy_to(&mut Store::open(to, OpenMode::Create)?),
        }
    }

    /// The same to a new file.
    pub(crate) fn copy_to_file(&mut self, file: &Path) -> Result<Copied, StoreError> {
        make::database(file, |draft| {
            let mut to = Db::Sqlite(sqlite::open::establish(draft)?);
            let from = self.conn()?;
            from.snapshot(|from| to.write(|to| copy_and_compare(from, to)))
        })
    }
}

/// Copies within two transactions, which are the caller's.
fn copy_and_compare(from: &mut Db, to: &mut Db) -> Result<Copied, StoreError> {
    unlimited(to)?;
    if !is_empty(to)? {
        return Err(StoreError::NotEmpty);
    }
    let (copied, digest) = copy(from, to)?;
    if digest != self::digest(to)? {
        return Err(StoreError::CopyDiffers);
    }
    Ok(copied)
}

/// On PostgreSQL a payload's row has its job's queue, too.
fn insert_payloads(to: &mut Db, rows: Vec<PayloadRow>) -> Result<(), StoreError> {
    if let Db::Postgres(conn) = to {
        let (job_id, payload) = rows.into_iter().map(|row| (row.job_id, row.payload)).unzip();
        InsertPayloads { job_id, payload }.execute(conn)?;
        return Ok(());
    }
    insert!(to, payloads::table, rows);
    Ok(())
}

/// A large copy takes longer than statements otherwise may.
fn unlimited(conn: &mut Db) -> Result<(), StoreError> {
    if let Db::Postgres(conn) = conn {
        conn.batch_execute(
            "SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0",
        )?;
    }
    Ok(())
}

fn is_empty(conn: &mut Db) -> Result<bool, StoreError> {
    let jobs: Option<i64> = jobs::table.select(jobs::id).first(conn).optional()?;
    let nodes: Option<i64> = nodes::table.select(nodes::id).first(conn).optional()?;
    let settings: Option<String> = settings::table.select(settings::key).first(conn).optional()?;
    Ok(jobs.is_none() && nodes.is_none() && settings.is_none() && last_number(conn, "jobs")? == 0)
}

fn copy(from: &mut Db, to: &mut Db) -> Result<(Copied, u64), StoreError> {
    let mut hasher = DefaultHasher::new();
    let mut copied = Copied::default();
    let found = settings_of(from)?;
    found.iter().for_each(|row| hash(&mut hasher, row));
    insert!(to, settings::table, found);
    copied.settings = found.len() as u64;
    // To a node on the copy, the nodes of the original look dead. It shall rescue their jobs, but not kill processes
    // that may live on for the original.
    let mut found: Vec<NodeRow> = nodes::table
        .order(nodes::id)
        .select(NodeRow::as_select())
        .load(from)?;
    for node in &mut found {
        node.cookie = format!("copied-{}-{}", node.id, node.cookie);
        node.host = storable(&node.host);
    }
    insert!(to, nodes::table, found);
    copied.nodes = found.len() as u64;
    let mut after = i64::MIN;
    loop {
        let rows = read(from, after)?;
        let Some(last) = rows.jobs.last() else {
            break;
        };
        after = last.id;
        hash_rows(&mut hasher, &rows);
        insert!(to, jobs::table, rows.jobs);
        insert_payloads(to, rows.payloads)?;
        insert!(to, attempts::table, rows.attempts);
        insert!(to, outputs::table, rows.outputs);
        copied.jobs += rows.jobs.len() as u64;
        copied.attempts += rows.attempts.len() as u64;
        copied.outputs += rows.outputs.len() as u64;
    }
    // Numbers are never reused, not even those of jobs that were purged.
    for table in ["jobs", "nodes"] {
        let last = last_number(from, table)?;
        go_on_from(to, table, last)?;
    }
    match to {
        Db::Sqlite(conn) => conn.batch_execute(counts::RECOUNT)?,
        Db::Postgres(conn) => conn.batch_execute(counts::RECOUNT)?,
    }
    Ok((copied, hasher.finish()))
}

/// What a store holds, in a number.
fn digest(conn: &mut Db) -> Result<u64, StoreError> {
    let mut hasher = DefaultHasher::new();
    settings_of(conn)?.iter().for_each(|row| hash(&mut hasher, row));
    let mut after = i64::MIN;
    loop {
        let rows = read(conn, after)?;
        let Some(last) = rows.jobs.last() else {
            return Ok(hasher.finish());
        };
        after = last.id;
        hash_rows(&mut hasher, &rows);
    }
}

fn hash(hasher: &mut DefaultHasher, row: &impl Debug) {
    format!("{row:?}").hash(hasher);
}

fn hash_rows(hasher: &mut DefaultHasher, rows: &Rows) {
    rows.jobs.iter().for_each(|row| hash(hasher, row));
    rows.payloads.iter().for_each(|row| hash(hasher, row));
    rows.attempts.iter().for_each(|row| hash(hasher, row));
    rows.outputs.iter().for_each(|row| hash(hasher, row));
}

fn settings_of(conn: &mut Db) -> Result<Vec<SettingRow>, StoreError> {
    let query = settings::table
        .order(settings::key)
        .select(SettingRow::as_select());
    Ok(query.load(conn)?)
}

/// The next jobs by number, and all that belongs to them.
pub(super) fn read(conn: &mut Db, after: i64) -> Result<Rows, StoreError> {
    let jobs: Vec<JobRow> = jobs::table
        .filter(jobs::id.gt(after))
        .order(jobs::id)
        .limit(CHUNK)
        .select(JobRow::as_select())
        .load(conn)?;
    let last = jobs.last().map_or(after, |job| job.id);
    let payloads = payloads::table
        .filter(payloads::job_id.gt(after).and(payloads::job_id.le(last)))
        .order(payloads::job_id)
        .select(PayloadRow::as_select())
        .load(conn)?;
    let mut attempts: Vec<AttemptRow> = attempts::table
        .filter(attempts::job_id.gt(after).and(attempts::job_id.le(last)))
        .order((attempts::job_id, attempts::fence))
        .select(AttemptRow::as_select())
        .load(conn)?;
    for attempt in &mut attempts {
        let message = storable(&attempt.message);
        if message != attempt.message {
            // The checksum is over another text.
            (attempt.message, attempt.sum) = (message, None);
        }
    }
    let outputs = outputs::table
        .filter(outputs::job_id.gt(after).and(outputs::job_id.le(last)))
        .order((outputs::job_id, outputs::fence))
        .select(OutputRow::as_select())
        .load(conn)?;
    Ok(Rows {
        jobs,
        payloads,
        attempts,
        outputs,
    })
}

#[derive(QueryableByName)]
struct Last {
    #[diesel(sql_type = BigInt)]
    last: i64,
}

/// The newest number that the table has given.
fn last_number(conn: &mut Db, table: &str) -> Result<i64, StoreError> {
    match conn {
        Db::Sqlite(conn) => {
            let sql =
                format!("SELECT coalesce(max(seq), 0) AS last FROM sqlite_sequence WHERE name = '{table}'");
            Ok(diesel::sql_query(sql).get_result::<Last>(conn)?.last)
        }
        Db::Postgres(conn) => {
            let sql = format!("SELECT CASE WHEN is_called THEN last_value ELSE 0 END FROM {table}_id_seq");
            postgres::open::number(conn, &sql)
        }
    }
}

fn go_on_from(conn: &mut Db, table: &str, last: i64) -> Result<(), StoreError> {
    match conn {
        Db::Sqlite(conn) => conn.batch_execute(&format!(
            "DELETE FROM sqlite_sequence WHERE name = '{table}'; \
             INSERT INTO sqlite_sequence (name, seq) VALUES ('{table}', {last})"
        ))?,
        Db::Postgres(conn) if last > 0 => {
            postgres::open::number(conn, &format!("SELECT setval('{table}_id_seq', {last})"))?;
        }
        Db::Postgres(_) => {}
    }
    Ok(())
}
