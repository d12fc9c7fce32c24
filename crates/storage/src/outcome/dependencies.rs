//! Dependencies: what the end of a job does to those that wait for it.
//!
//! The transaction that ends a job settles its edges. A job whose edges are all met goes on; one of whose edges cannot be met
//! any more is cancelled, or held. If the parent is retried and succeeds, what was cancelled or held for it goes on after
//! all. Cancelled jobs are themselves the ends of their own edges, and so on: level by level, all jobs of a level by the same
//! few statements, so that a long chain takes no stack and a wide one no statement for each job. What becomes of each is
//! decided in `verdict.rs`.

use std::collections::{BTreeMap, HashMap, HashSet};

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::Bool;
use queuectl_core::gates::block;
use queuectl_core::{BlockedBy, Gates, JobId, JobRef, Refused, State, Timestamp, Waits};

use super::apply::{apply_blocking, standing};
use super::verdict::{Child, Step, Verdict, verdict};
use super::{Change, EdgeRows, Mechanism};
use crate::StoreError;
use crate::backend::statements::{ForgetEdges, Reopen, Unmet as UnmetOf, Waive};
use crate::backend::{Db, on_any};
use crate::counts::Deltas;
use crate::env::{self, Guard};
use crate::rows::JobRow;
use crate::schema::jobs;
use crate::states::sql as states;

/// The gates that are looked at here.
const OWN: Gates = Gates::DEPENDANTS.with(Gates::DEPENDS);

/// Jobs of one statement.
const CHUNK: usize = 1000;

pub const MECHANISM: Mechanism = Mechanism {
    gates: OWN,
    follow,
    forget,
};

/// Settles the edges of a job that ended; one that was retried waits again where it has to.
fn follow(db: &mut Db, change: &Change, now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    if change.gates.has(Gates::DEPENDS) && change.from.is_final() && change.to == State::Pending {
        wait_again(db, change.job, now, deltas)?;
    }
    settle_all_after(db, vec![*change], now, deltas)
}

/// Settles the edges of jobs that ended, and of those that end with them.
fn settle_all_after(
    db: &mut Db,
    mut changes: Vec<Change>,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    loop {
        let mut ended: BTreeMap<State, Vec<i64>> = BTreeMap::new();
        for change in changes.iter().filter(|change| settles(change)) {
            ended.entry(change.to).or_default().push(change.job);
        }
        if ended.is_empty() {
            return Ok(());
        }
        changes.clear();
        for (outcome, parents) in ended {
            for parents in parents.chunks(CHUNK) {
                let children = settle_edges(db, parents, outcome)?;
                changes.extend(settle_some(db, &children, now, deltas)?);
            }
        }
    }
}

fn settles(change: &Change) -> bool {
    change.gates.has(Gates::DEPENDANTS) && change.to.is_final() && env::settles_dependencies()
}

/// An edge outlives its parent, not its child.
fn forget(db: &mut Db, job: i64) -> Result<(), StoreError> {
    ForgetEdges { child: job }.execute(db)?;
    Ok(())
}

/// Locks the jobs that wait for any of those that ended in a transaction, in one order: two transactions that end several
/// parents of the same jobs do not wait for each other.
pub fn lock_children(db: &mut Db, changes: &[Change]) -> Result<(), StoreError> {
    let parents: Vec<i64> = changes
        .iter()
        .filter(|change| settles(change))
        .map(|change| change.job)
        .collect();
    // Those of a single one are locked in order anyway.
    if parents.len() > 1 && env::locks_children() {
        on_any!(db, conn => {
            let children = conn.children_of(&parents)?;
            conn.lock_rows(&children)
        })?;
    }
    Ok(())
}

/// Settles the edges from jobs that ended. Returns the jobs at their ends, which no other transaction changes until this one
/// has ended: of two parents that end at the same time, the second finds what the first has done.
fn settle_edges(db: &mut Db, parents: &[i64], outcome: State) -> Result<Vec<i64>, StoreError> {
    on_any!(db, conn => {
        let children = conn.children_of(parents)?;
        if !children.is_empty() {
            if env::locks_children() {
                conn.lock_rows(&children)?;
            }
            conn.settle_edges(parents, outcome)?;
        }
        Ok(children)
    })
}

/// Has jobs go on, or gives them up, as their edges say, and does all that follows.
pub fn settle(db: &mut Db, jobs: &[i64], now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    let changes = settle_some(db, jobs, now, deltas)?;
    settle_all_after(db, changes, now, deltas)
}

/// Has jobs go on, or gives them up, as their edges say. What follows by other mechanisms is done; what follows from the
/// changes that are returned is not.
fn settle_some(
    db: &mut Db,
    jobs: &[i64],
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<Vec<Change>, StoreError> {
    let mut changes = Vec::new();
    for some in jobs.chunks(CHUNK) {
        changes.extend(settle_chunk(db, some, now, deltas)?);
    }
    let others = changes.iter().map(|change| Change {
        gates: change.gates.without(OWN),
        ..*change
    });
    let others: Vec<Change> = others.filter(|change| !change.gates.is_empty()).collect();
    if !others.is_empty() {
        super::follow_within(db, &others, now, deltas)?;
    }
    Ok(changes)
}

fn settle_chunk(
    db: &mut Db,
    jobs: &[i64],
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<Vec<Change>, StoreError> {
    let mut children = on_any!(db, conn => conn.children(jobs))?;
    if env::is_disabled(Guard::Order) {
        children.iter_mut().for_each(|child| child.open = 0);
    }
    let mut alike: BTreeMap<Vec<Step>, Vec<&Child>> = BTreeMap::new();
    let mut revived_keys = HashSet::new();
    for child in &children {
        if let Some(key) = child.unique_key.as_ref().filter(|_| child.would_be_revived())
            && (is_key_taken(db, key)? || !revived_keys.insert(key))
        {
            // It stays cancelled: another job has its unique key.
            continue;
        }
        let decided = verdict(child, now).map_err(|refused| refused_of(child.id, refused))?;
        match decided {
            Verdict::Stays => {}
            Verdict::Takes(steps) => alike.entry(steps).or_default().push(child),
            Verdict::StaysFor(parent) => set_unmet(db, child.id, Some(parent), now)?,
        }
    }
    let mut changes = Vec::new();
    for (steps, children) in alike {
        let (Some(first), Some(last)) = (steps.first(), steps.last()) else {
            continue;
        };
        let mut left: HashMap<i64, &Child> = children.into_iter().map(|child| (child.id, child)).collect();
        for step in &steps {
            left = take(db, step, left, now, deltas)?;
        }
        if first.from != last.to {
            changes.extend(left.into_values().map(|child| Change {
                job: child.id,
                gates: child.gates,
                from: first.from,
                to: last.to,
            }));
        }
    }
    changes.sort_unstable_by_key(|change| change.job);
    Ok(changes)
}

/// Takes a step with jobs. Returns those that still stood where it begins.
fn take<'a>(
    db: &mut Db,
    step: &Step,
    mut children: HashMap<i64, &'a Child>,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<HashMap<i64, &'a Child>, StoreError> {
    let mut jobs: Vec<i64> = children.keys().copied().collect();
    jobs.sort_unstable();
    let taken = on_any!(db, conn => conn.take(step, &jobs, now))?;
    let mut took = HashMap::with_capacity(taken.len());
    for (job, queue) in taken {
        took.extend(children.remove_entry(&job));
        if step.from != step.to {
            deltas.entered(&queue.text, step.from, -1);
            deltas.entered(&queue.text, step.to, 1);
        }
    }
    Ok(took)
}

/// A running job cannot stand here, nor one that does not have that reason.
fn refused_of(job: i64, refused: Refused) -> StoreError {
    StoreError::Refused {
        job: job.to_string(),
        refused,
    }
}

/// Says for which job another was cancelled or held.
pub fn set_unmet(db: &mut Db, job: i64, unmet: Option<i64>, now: Timestamp) -> Result<(), StoreError> {
    let row = diesel::update(jobs::table.find(job));
    row.set((jobs::unmet.eq(unmet), jobs::updated_at.eq(now.0)))
        .execute(db)?;
    Ok(())
}

/// Whether a job that has not ended has this unique key.
fn is_key_taken(db: &mut Db, key: &str) -> Result<bool, StoreError> {
    let holder: Option<i64> = jobs::table
        .filter(jobs::unique_key.is_not_null())
        .filter(jobs::unique_key.eq(key))
        .filter(sql::<Bool>(states!("state <= {failed} AND follows IS NULL")))
        .select(jobs::id)
        .first(db)
        .optional()?;
    Ok(holder.is_some())
}

/// A job that an operator retries or releases waits again for parents that were retried, too. Those that have ended, or are
/// gone, it goes on without: that is what the operator asks for. So are those that it did not wait for while it was held.
pub fn wait_again(db: &mut Db, job: i64, now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    let unmet: Vec<(i64,)> = UnmetOf { child: job }.load(db)?;
    for (parent,) in unmet {
        db.dialect().lock_job(&JobRef::Number(JobId(parent)))?;
        let state: Option<i16> = jobs::table
            .find(parent)
            .select(jobs::state)
            .first(db)
            .optional()?;
        let has_ended = state.and_then(State::from_code).is_none_or(State::is_final);
        match has_ended {
            true => Waive { child: job, parent }.execute(db)?,
            false => Reopen { child: job, parent }.execute(db)?,
        };
    }
    let stands = on_any!(db, conn => conn.children(&[job]))?;
    if stands.iter().all(|child| child.open == 0) {
        return Ok(());
    }
    let row: JobRow = jobs::table.find(job).select(JobRow::as_select()).first(db)?;
    let waits = Waits::from_code(row.waits);
    let blocked =
        block(standing(&row)?, waits, BlockedBy::Dependency).map_err(|refused| refused_of(job, refused))?;
    apply_blocking(db, &row, &blocked, now, deltas)?;
    Ok(())
}
