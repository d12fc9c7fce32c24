//! The ends of claims on SQLite: what becomes of running jobs, if their fencing tokens still hold.
//!
//! Much of what a statement costs is its own and not its rows': binding the values, opening each index of the table. So
//! records that differ in nothing but the job are applied by one statement. What it leaves, for whatever reason, goes the
//! way of a single record, where that is looked into.

use std::borrow::Cow;
use std::collections::HashSet;

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use queuectl_core::{Gates, NodeId, Timestamp, Transition};

use super::statements::{GatesOf, Release, ReleaseMany};
use crate::limits::{self, Keys, json};
use crate::types::cycle::{MaybeBusy, Record, WasBusy, cancelled_instead};
use crate::types::text::Words;
use crate::{StoreError, env, outcome};

/// Fewer records than this are applied one by one.
const FEW: usize = 4;

/// The statement that applies a change, to which jobs.
macro_rules! release {
    ($statement:ident { $which:ident: $jobs:expr }, $record:expr, $change:expr, $without:expr, $now:expr) => {
        $statement {
            state: $change.to().code(),
            attempts: i32::try_from($change.attempts()).unwrap_or(i32::MAX),
            system_failures: i32::try_from($change.system_failures()).unwrap_or(i32::MAX),
            due_at: $change.due_at().map(|due| due.0),
            finished_at: $change.to().is_final().then_some($now.0),
            cancel_requested: false,
            updated_at: $now.0,
            $which: $jobs,
            fence: $record.fence,
            node_id: $record.node.0,
            cancel_at_most: $change.to().is_final(),
            without: $without.gates,
            no_hooks: $without.no_hooks,
            events: $without.events,
        }
    };
}

/// What a job must be without for a record to be applied at once: gates, and hooks for the event.
#[derive(Debug, Clone, Copy)]
struct Without {
    gates: i32,
    no_hooks: bool,
    events: i16,
}

impl Without {
    /// Nothing keeps the record from being applied.
    const NOTHING: Without = Without {
        gates: 0,
        no_hooks: true,
        events: 0,
    };

    /// Gates but the one that the record is known to have.
    fn others(record: &Record, no_hooks: bool) -> Without {
        Without {
            gates: !known_gates(record).code(),
            no_hooks,
            events: outcome::events(record.change.from(), record.change.to()),
        }
    }
}

/// Which limits a job names does not change while it runs.
fn known_gates(record: &Record) -> Gates {
    match record.is_limited {
        true => Gates::LIMITS,
        false => Gates::NONE,
    }
}

/// Whether the attempt found nothing busy, as far as the record and its limits tell.
fn may_be_plain(record: &Record) -> bool {
    match record.busy {
        MaybeBusy::No => true,
        MaybeBusy::ByStatus => !record.is_limited,
        MaybeBusy::Until(_) => false,
    }
}

/// A record that was applied.
pub struct Applied<'a> {
    pub record: Cow<'a, Record>,
    pub change: Transition,
    pub gates: Gates,
    pub busy: Option<WasBusy>,
}

impl<'a> Applied<'a> {
    /// As it was given.
    pub fn at_once(record: &'a Record) -> Applied<'a> {
        Applied {
            record: Cow::Borrowed(record),
            change: record.change,
            gates: known_gates(record),
            busy: None,
        }
    }
}

/// What records have in common that one statement can apply.
type Alike = (Transition, i64, NodeId, bool);

/// Applies records that are alike. Yields for each whether it was.
pub fn together(
    conn: &mut SqliteConnection,
    records: &[Record],
    no_hooks: bool,
    now: Timestamp,
) -> Result<Vec<bool>, StoreError> {
    let mut applied = vec![false; records.len()];
    if records.len() < FEW || !env::fences_outcomes() {
        return Ok(applied);
    }
    let mut groups: Vec<(Alike, Vec<usize>)> = Vec::new();
    for (at, record) in records
        .iter()
        .enumerate()
        .filter(|(_, record)| may_be_plain(record))
    {
        let alike = (record.change, record.fence, record.node, record.is_limited);
        match groups.iter_mut().find(|(of, _)| *of == alike) {
            Some((_, group)) => group.push(at),
            None => groups.push((alike, vec![at])),
        }
    }
    for (_, group) in groups.iter().filter(|(_, group)| group.len() >= FEW) {
        let jobs: Vec<i64> = group.iter().map(|at| records[*at].job.0).collect();
        let mut done = release_many(conn, &records[group[0]], &jobs, no_hooks, now)?;
        for at in group {
            // A record that was given twice counts once.
            applied[*at] = done.remove(&records[*at].job.0);
        }
    }
    Ok(applied)
}

/// Applies the record to each of the jobs. Yields those to which it was.
fn release_many(
    conn: &mut SqliteConnection,
    record: &Record,
    jobs: &[i64],
    no_hooks: bool,
    now: Timestamp,
) -> Result<HashSet<i64>, StoreError> {
    let (change, without) = (record.change, Without::others(record, no_hooks));
    let statement = release!(ReleaseMany { jobs: json!(jobs) }, record, change, without, now);
    let done: Vec<(i64,)> = statement.load(conn)?;
    Ok(done.into_iter().map(|(job,)| job).collect())
}

/// Applies a record; none if its token no longer holds. A plain job costs one statement, and so does one that has no gate
/// but that of limits.
pub fn release<'a>(
    conn: &mut SqliteConnection,
    record: &'a Record,
    no_hooks: bool,
    keys: &mut Keys,
    now: Timestamp,
) -> Result<Option<Applied<'a>>, StoreError> {
    let mut done = Applied::at_once(record);
    let may_be_plain = may_be_plain(record);
    let others = Without::others(record, no_hooks);
    if !(may_be_plain && apply(conn, record, record.change, others, now)?) {
        let found = GatesOf {
            id: record.job.0,
            fence: record.fence,
            node_id: record.node.0,
        };
        let Some((gates, limits)) = found.get_result::<(i32, Option<Words>)>(conn).optional()? else {
            return Ok(None);
        };
        done.gates = Gates::from_code(gates);
        if record.busy != MaybeBusy::No {
            let limits = limits.as_ref().map(|words| words.text.as_str());
            let mut changed = record.clone();
            if let Some(until) = limits::busy(conn, keys, &mut changed, done.gates, limits)? {
                let (job, fence) = (record.job, record.fence);
                done.busy = Some(WasBusy { job, fence, until });
            }
            done.change = changed.change;
            done.record = Cow::Owned(changed);
        }
        let is_over =
            done.gates.is_empty() && may_be_plain || outcome::is_superseded(done.gates, &done.change);
        if is_over || !apply(conn, record, done.change, Without::NOTHING, now)? {
            match cancelled_instead(done.change) {
                Some(cancel) if apply(conn, record, cancel, Without::NOTHING, now)? => done.change = cancel,
                _ => return Ok(None),
            }
        }
    }
    Ok(Some(done))
}

fn apply(
    conn: &mut SqliteConnection,
    record: &Record,
    change: Transition,
    without: Without,
    now: Timestamp,
) -> Result<bool, StoreError> {
    if let Some(applied) = env::apply_unfenced(conn, record, change, now) {
        return applied;
    }
    let one = release!(Release { id: record.job.0 }, record, change, without, now);
    let changed = one.execute(conn)?;
    Ok(changed == 1)
}
