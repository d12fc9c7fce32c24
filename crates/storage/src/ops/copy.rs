//! Copying a whole store into another, also from one database to the other.
//!
//! What is read is one moment; what is written is one transaction. Then everything is read back and compared. Long
//! outputs, which are files, stay where they are.

use std::collections::hash_map::DefaultHasher;
use std::fmt::Debug;
use std::hash::{Hash, Hasher};
use std::path::Path;

use diesel::connection::SimpleConnection;
use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;

use super::groups::copy as of_groups;
use super::schedules::copy::{self as of_schedules, Rows as ScheduleRows};
use super::settings::follow_ledger_setting;
use super::{copy_hooks, copy_labels, copy_limits, copy_reports, tokens};
use crate::backend::{Db, OpenMode, insert_rows};
use crate::labels::LabelRow;
use crate::outcome::EdgeRow;
use crate::rows::{AttemptRow, JobRow, NodeRow, OutputRow, PayloadRow};
use crate::schema::{
    NUMBER_KEY, attempts, edges, jobs, nodes, outputs, payloads, queues, schedules, settings,
};
use crate::sqlite::{make, open};
use crate::types::nodes::Wake;
use crate::types::text::storable;
use crate::{Location, Store, StoreError, counts};

/// Jobs and attempts whose rows are in memory at a time, and bytes of what they run or printed.
const CHUNK: i64 = 200;
const ATTEMPTS: i64 = 1000;
const CHUNK_BYTES: i64 = 16 * 1024 * 1024;

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = settings, treat_none_as_default_value = false)]
struct SettingRow {
    key: String,
    value: String,
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = queues, treat_none_as_default_value = false)]
struct QueueRow {
    name: String,
    paused_at: Option<i64>,
    paused_until: Option<i64>,
    paused_by: Option<String>,
    pause_reason: Option<String>,
}

/// How much was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Copied {
    /// Settings that were set.
    pub settings: u64,
    /// Schedules, with their ticks.
    pub schedules: u64,
    /// Nodes that were not there any more but had jobs; the next node on the copy rescues those.
    pub nodes: u64,
    /// Jobs.
    pub jobs: u64,
    /// Their ended attempts.
    pub attempts: u64,
    /// Attempts with output.
    pub outputs: u64,
}

/// Jobs and what they run.
pub(super) struct Rows {
    pub jobs: Vec<JobRow>,
    pub payloads: Vec<PayloadRow>,
}

/// An attempt: its job and its fencing token.
pub(super) type Key = (i64, i64);

/// Rows of attempts behind one and up to another, in words that every index can be used for.
macro_rules! between {
    ($table:ident, $after:expr, $to:expr) => {
        ($table::job_id.ge($after.0))
            .and($table::job_id.gt($after.0).or($table::fence.gt($after.1)))
            .and($table::job_id.le($to.0))
            .and($table::job_id.lt($to.0).or($table::fence.le($to.1)))
    };
}

impl Store {
    /// Copies everything into another store, which must be empty, and compares.
    ///
    /// # Errors
    /// [`StoreError::NotEmpty`]; [`StoreError::CopyDiffers`]: what was written is not what was read, and was taken back.
    pub fn copy_to(&mut self, to: &mut Store) -> Result<Copied, StoreError> {
        self.copy_to_store(to, |_| {})
    }

    fn copy_to_store(
        &mut self,
        to: &mut Store,
        mut after_jobs: impl FnMut(u64),
    ) -> Result<Copied, StoreError> {
        let from = self.conn()?;
        let copied = from.snapshot(|from| to.write(|to| copy_and_compare(from, to, &mut after_jobs)))?;
        to.wake_all(Wake::Jobs);
        Ok(copied)
    }
}

impl Store {
    /// Copies everything to a place where there is no queue yet, or an empty one. `after_jobs` is told how many jobs are copied. A new file appears when the copy is
    /// complete and on the disk.
    ///
    /// # Errors
    /// As [`Store::open`] for the target and as [`Store::copy_to`].
    pub fn copy_to_location(
        &mut self,
        to: &Location,
        after_jobs: impl FnMut(u64),
    ) -> Result<Copied, StoreError> {
        match to {
            Location::Sqlite(file) if !file.exists() => self.copy_to_file(file, after_jobs),
            _ => self.copy_to_store(&mut Store::open(to, OpenMode::Create)?, after_jobs),
        }
    }

    /// The same to a new file.
    pub(crate) fn copy_to_file(
        &mut self,
        file: &Path,
        mut after_jobs: impl FnMut(u64),
    ) -> Result<Copied, StoreError> {
        make::database(file, |draft| {
            let mut to = Db::from(open::establish(draft)?);
            let from = self.conn()?;
            from.snapshot(|from| to.write(|to| copy_and_compare(from, to, &mut after_jobs)))
        })
    }
}

/// Copies within two transactions, which are the caller's.
fn copy_and_compare(
    from: &mut Db,
    to: &mut Db,
    after_jobs: &mut dyn FnMut(u64),
) -> Result<Copied, StoreError> {
    to.dialect().lift_time_limits()?;
    if !is_empty(to)? {
        return Err(StoreError::NotEmpty);
    }
    let (copied, digest) = copy(from, to, after_jobs)?;
    if digest.finish() != Digest::of(to)?.finish() {
        return Err(StoreError::CopyDiffers);
    }
    Ok(copied)
}

fn is_empty(conn: &mut Db) -> Result<bool, StoreError> {
    let jobs: Option<i64> = jobs::table.select(jobs::id).first(conn).optional()?;
    let nodes: Option<i64> = nodes::table.select(nodes::id).first(conn).optional()?;
    let has_settings = !settings_of(conn)?.is_empty() || !queues_of(conn)?.is_empty();
    let schedules: i64 = schedules::table.count().get_result(conn)?;
    Ok(jobs.is_none()
        && nodes.is_none()
        && schedules == 0
        && copy_limits::is_empty(conn)?
        && of_groups::is_empty(conn)?
        && copy_hooks::is_empty(conn)?
        && tokens::all(conn)?.is_empty()
        && !has_settings
        && conn.dialect().last_number("jobs")? == 0)
}

fn copy(from: &mut Db, to: &mut Db, after_jobs: &mut dyn FnMut(u64)) -> Result<(Copied, Digest), StoreError> {
    let mut digest = Digest::default();
    let mut copied = Copied::default();
    let found = settings_of(from)?;
    digest.add_settings(&found);
    insert_rows!(to, settings::table, found);
    copied.settings = found.len() as u64;
    let found = queues_of(from)?;
    digest.add_queues(&found);
    insert_rows!(to, queues::table, found);
    of_schedules::read(from, |rows| {
        digest.add_schedules(&rows);
        if let ScheduleRows::Schedules(rows) = &rows {
            copied.schedules += rows.len() as u64;
        }
        of_schedules::write(to, rows)
    })?;
    copy_limits::read(from, |rows| {
        digest.add_limits(&rows);
        copy_limits::insert(to, &rows)
    })?;
    of_groups::read(from, |rows| {
        digest.add_groups(&rows);
        of_groups::insert(to, &rows)
    })?;
    copy_hooks::read(from, |rows| {
        digest.add_hooks(&rows);
        copy_hooks::insert(to, &rows)
    })?;
    copy_labels::read(from, |rows| {
        digest.add_labels(&rows);
        copy_labels::insert(to, &rows)
    })?;
    let found = tokens::all(from)?;
    hash(&mut digest.tokens, &found);
    tokens::insert(to, &found)?;
    // To a node on the copy, the nodes of the original look dead. It must rescue their jobs, but not kill processes
    // that may still run for the original.
    let mut found: Vec<NodeRow> = nodes::table
        .order(nodes::id)
        .select(NodeRow::as_select())
        .load(from)?;
    for node in &mut found {
        node.cookie = format!("copied-{}-{}", node.id, node.cookie);
        node.host = storable(&node.host);
    }
    insert_rows!(to, nodes::table, found);
    copied.nodes = found.len() as u64;
    let mut after = i64::MIN;
    loop {
        let rows = read(from, after)?;
        let Some(last) = rows.jobs.last().map(|job| job.id) else {
            break;
        };
        digest.add_rows(&rows);
        copied.jobs += rows.jobs.len() as u64;
        insert_rows!(to, jobs::table, rows.jobs);
        let payloads = rows.payloads.into_iter();
        let (of, payloads) = payloads.map(|row| (row.job_id, row.payload)).unzip();
        to.dialect().insert_payloads(of, payloads)?;
        let (mut at, end) = ((after, i64::MAX), (last, i64::MAX));
        while let Some(attempts) = next_attempts(from, &mut at, end)? {
            digest.add_attempts(&attempts);
            copied.attempts += attempts.len() as u64;
            insert_rows!(to, attempts::table, attempts);
        }
        at = (after, i64::MAX);
        while let Some(edges) = next_edges(from, &mut at, end)? {
            digest.add_edges(&edges);
            insert_rows!(to, edges::table, edges);
        }
        at = (after, i64::MAX);
        while let Some(outputs) = next_outputs(from, &mut at, end)? {
            digest.add_outputs(&outputs);
            copied.outputs += outputs.len() as u64;
            insert_rows!(to, outputs::table, outputs);
        }
        after = last;
        after_jobs(copied.jobs);
    }
    copy_reports::read(from, |rows| {
        hash(&mut digest.reports, &rows);
        copy_reports::insert(to, &rows)
    })?;
    // Numbers are never reused, not even those of jobs that were purged.
    for table in ["jobs", "nodes", "job_groups"] {
        let last = from.dialect().last_number(table)?;
        to.dialect().go_on_from(table, last)?;
    }
    to.batch_execute(counts::RECOUNT)?;
    // That they were copied is no event of the jobs.
    follow_ledger_setting(to)?;
    Ok((copied, digest))
}

/// What a store holds, in a number for each table: it does not matter how much of them was read at a time.
#[derive(Default)]
struct Digest {
    settings: DefaultHasher,
    queues: DefaultHasher,
    schedules: DefaultHasher,
    limits: DefaultHasher,
    groups: DefaultHasher,
    hooks: DefaultHasher,
    labels: DefaultHasher,
    tokens: DefaultHasher,
    jobs: DefaultHasher,
    payloads: DefaultHasher,
    attempts: DefaultHasher,
    outputs: DefaultHasher,
    edges: DefaultHasher,
    reports: DefaultHasher,
}

impl Digest {
    fn of(conn: &mut Db) -> Result<Digest, StoreError> {
        let mut digest = Digest::default();
        digest.add_settings(&settings_of(conn)?);
        digest.add_queues(&queues_of(conn)?);
        of_schedules::read(conn, |rows| {
            digest.add_schedules(&rows);
            Ok(())
        })?;
        copy_limits::read(conn, |rows| {
            digest.add_limits(&rows);
            Ok(())
        })?;
        of_groups::read(conn, |rows| {
            digest.add_groups(&rows);
            Ok(())
        })?;
        copy_hooks::read(conn, |rows| {
            digest.add_hooks(&rows);
            Ok(())
        })?;
        copy_reports::read(conn, |rows| {
            hash(&mut digest.reports, &rows);
            Ok(())
        })?;
        copy_labels::read(conn, |rows| {
            digest.add_labels(&rows);
            Ok(())
        })?;
        hash(&mut digest.tokens, &tokens::all(conn)?);
        let mut after = i64::MIN;
        loop {
            let rows = read(conn, after)?;
            let Some(last) = rows.jobs.last().map(|job| job.id) else {
                return Ok(digest);
            };
            digest.add_rows(&rows);
            let (mut at, end) = ((after, i64::MAX), (last, i64::MAX));
            while let Some(attempts) = next_attempts(conn, &mut at, end)? {
                digest.add_attempts(&attempts);
            }
            at = (after, i64::MAX);
            while let Some(edges) = next_edges(conn, &mut at, end)? {
                digest.add_edges(&edges);
            }
            at = (after, i64::MAX);
            while let Some(outputs) = next_outputs(conn, &mut at, end)? {
                digest.add_outputs(&outputs);
            }
            after = last;
        }
    }

    fn add_settings(&mut self, rows: &[SettingRow]) {
        hash(&mut self.settings, rows);
    }

    fn add_queues(&mut self, rows: &[QueueRow]) {
        hash(&mut self.queues, rows);
    }

    fn add_schedules(&mut self, rows: &ScheduleRows) {
        match rows {
            ScheduleRows::Schedules(rows) => hash(&mut self.schedules, rows),
            ScheduleRows::Ticks(rows) => hash(&mut self.schedules, rows),
        }
    }

    fn add_limits(&mut self, rows: &copy_limits::Rows) {
        hash(&mut self.limits, std::slice::from_ref(rows));
    }

    fn add_groups(&mut self, rows: &of_groups::Rows) {
        hash(&mut self.groups, std::slice::from_ref(rows));
    }

    fn add_hooks(&mut self, rows: &copy_hooks::Rows) {
        hash(&mut self.hooks, std::slice::from_ref(rows));
    }

    fn add_labels(&mut self, rows: &[LabelRow]) {
        hash(&mut self.labels, rows);
    }

    fn add_rows(&mut self, rows: &Rows) {
        hash(&mut self.jobs, &rows.jobs);
        hash(&mut self.payloads, &rows.payloads);
    }

    fn add_attempts(&mut self, rows: &[AttemptRow]) {
        hash(&mut self.attempts, rows);
    }

    fn add_outputs(&mut self, rows: &[OutputRow]) {
        hash(&mut self.outputs, rows);
    }

    fn add_edges(&mut self, rows: &[EdgeRow]) {
        hash(&mut self.edges, rows);
    }

    fn finish(&self) -> [u64; 14] {
        [
            &self.settings,
            &self.queues,
            &self.schedules,
            &self.limits,
            &self.groups,
            &self.hooks,
            &self.labels,
            &self.tokens,
            &self.jobs,
            &self.payloads,
            &self.attempts,
            &self.outputs,
            &self.edges,
            &self.reports,
        ]
        .map(Hasher::finish)
    }
}

fn hash(hasher: &mut DefaultHasher, rows: &[impl Debug]) {
    rows.iter().for_each(|row| format!("{row:?}").hash(hasher));
}

fn settings_of(conn: &mut Db) -> Result<Vec<SettingRow>, StoreError> {
    // The copy has a number of its own.
    let query = settings::table
        .filter(settings::key.ne(NUMBER_KEY))
        .order(settings::key)
        .select(SettingRow::as_select());
    Ok(query.load(conn)?)
}

fn queues_of(conn: &mut Db) -> Result<Vec<QueueRow>, StoreError> {
    let query = queues::table.order(queues::name).select(QueueRow::as_select());
    Ok(query.load(conn)?)
}

/// The next jobs by number, and what they run.
pub(super) fn read(conn: &mut Db, after: i64) -> Result<Rows, StoreError> {
    let mut jobs: Vec<JobRow> = jobs::table
        .filter(jobs::id.gt(after))
        .order(jobs::id)
        .limit(CHUNK)
        .select(JobRow::as_select())
        .load(conn)?;
    let ids: Vec<i64> = jobs.iter().map(|job| job.id).collect();
    let sizes: Vec<(i64, i64)> = payloads::table
        .filter(payloads::job_id.eq_any(&ids))
        .order(payloads::job_id)
        .select((
            payloads::job_id,
            sql::<BigInt>("CAST(octet_length(payload) AS BIGINT)"),
        ))
        .load(conn)?;
    if let Some(last) = last_that_fits(&sizes) {
        jobs.retain(|job| job.id <= last);
    }
    let last = jobs.last().map_or(after, |job| job.id);
    let payloads = payloads::table
        .filter(payloads::job_id.gt(after).and(payloads::job_id.le(last)))
        .order(payloads::job_id)
        .select(PayloadRow::as_select())
        .load(conn)?;
    Ok(Rows { jobs, payloads })
}

/// The last of the first rows that are no more than may be read at a time, if that is not all of them.
fn last_that_fits<K: Copy>(sizes: &[(K, i64)]) -> Option<K> {
    let mut bytes = 0;
    let fits = sizes.iter().take_while(|(_, size)| {
        bytes += size;
        bytes <= CHUNK_BYTES
    });
    let fits = fits.count().max(1);
    (fits < sizes.len()).then(|| sizes[fits - 1].0)
}

/// The next attempts up to and with that one. None if there are no more.
pub(super) fn next_attempts(
    conn: &mut Db,
    at: &mut Key,
    end: Key,
) -> Result<Option<Vec<AttemptRow>>, StoreError> {
    let mut found: Vec<AttemptRow> = attempts::table
        .filter(between!(attempts, *at, end))
        .order((attempts::job_id, attempts::fence))
        .limit(ATTEMPTS)
        .select(AttemptRow::as_select())
        .load(conn)?;
    for attempt in &mut found {
        let message = storable(&attempt.message);
        if message != attempt.message {
            // The checksum is over another text.
            (attempt.message, attempt.sum) = (message, None);
        }
    }
    *at = found.last().map_or(end, |row| (row.job_id, row.fence));
    Ok(Some(found).filter(|found| !found.is_empty()))
}

/// The next edges to jobs, up to and with that one. None if there are no more.
fn next_edges(conn: &mut Db, at: &mut Key, end: Key) -> Result<Option<Vec<EdgeRow>>, StoreError> {
    let behind = edges::child
        .ge(at.0)
        .and(edges::child.gt(at.0).or(edges::parent.gt(at.1)))
        .and(edges::child.le(end.0));
    let found: Vec<EdgeRow> = edges::table
        .filter(behind)
        .order((edges::child, edges::parent))
        .limit(ATTEMPTS)
        .select(EdgeRow::as_select())
        .load(conn)?;
    *at = found.last().map_or(end, |row| (row.child, row.parent));
    Ok(Some(found).filter(|found| !found.is_empty()))
}

/// What the next attempts up to and with that one printed. None if there is no more.
pub(super) fn next_outputs(
    conn: &mut Db,
    at: &mut Key,
    end: Key,
) -> Result<Option<Vec<OutputRow>>, StoreError> {
    let sizes: Vec<(i64, i64, i64)> = outputs::table
        .filter(between!(outputs, *at, end))
        .order((outputs::job_id, outputs::fence))
        .limit(ATTEMPTS)
        .select((
            outputs::job_id,
            outputs::fence,
            sql::<BigInt>(
                "CAST(octet_length(head) AS BIGINT) + octet_length(tail) + COALESCE(octet_length(marks), 0)",
            ),
        ))
        .load(conn)?;
    let sizes: Vec<(Key, i64)> = sizes
        .into_iter()
        .map(|(job, fence, size)| ((job, fence), size))
        .collect();
    let Some((last, _)) = sizes.last() else {
        return Ok(None);
    };
    let last = last_that_fits(&sizes).unwrap_or(*last);
    let found = outputs::table
        .filter(between!(outputs, *at, last))
        .order((outputs::job_id, outputs::fence))
        .select(OutputRow::as_select())
        .load(conn)?;
    *at = last;
    Ok(Some(found))
}
