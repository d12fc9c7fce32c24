//! Groups: what the end of a member does to its groups, and their callbacks.
//!
//! Members are rows, and whether one has not ended is a question to an index: no counter can be wrong. The transaction that
//! ends a member says so in its row, and at its end settles each group that it touched: it locks the group, and if that is
//! closed and none of its members is left open, it stores the callback and the time. The lock has the second of two
//! transactions see what the first did, and the time keeps any later one from doing it again: a callback is stored exactly
//! once, after the last end, or not at all if the transaction is rolled back.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, SmallInt, Text};
use queuectl_core::group::{Group, Progress, callback_job};
use queuectl_core::{
    Event, Gates, GroupName, JobId, JobSpec, State, Timestamp, Transition, Waits, transition,
};

use super::start::start;
use super::{Change, Mechanism, apply, follow_within, standing};
use crate::StoreError;
use crate::backend::statements::{NoteOther, statements};
use crate::backend::{AnySql, Db, GroupNeed};
use crate::counts::Deltas;
use crate::env::{self, Guard};
use crate::rows::JobRow;
use crate::schema::{job_groups, jobs};
use crate::states::sql;
use crate::types::readable::count;
use crate::types::text::{MaybeWords, Words, storable};

pub const MECHANISM: Mechanism = Mechanism {
    gates: Gates::MEMBER,
    follow,
    // Its row says how it ended.
    forget: |_, _| Ok(()),
};

/// Members that one transaction cancels of a group that is stopped. Nodes cancel the others in further steps.
const CANCEL_STEP: i64 = 500;

statements! { AnySql, Db;
    /// Says of a job how it ended, or that it runs again. Yields its groups.
    SetOutcome { outcome: Option<i16> as Nullable<SmallInt>, job_id: i64 as BigInt } -> (BigInt,) {
        "UPDATE group_members SET outcome = ? WHERE job_id = ? RETURNING group_id"
    }

    /// A member that has not ended: the newest, which is found at once if they end in their order.
    OpenMember { group_id: i64 as BigInt } -> (BigInt,) {
        "SELECT job_id FROM group_members WHERE group_id = ? AND outcome IS NULL ORDER BY job_id DESC LIMIT 1"
    }

    /// How many members are dead, as far as it matters.
    DeadMembers { group_id: i64 as BigInt, most: i64 as BigInt } -> (BigInt,) {
        "SELECT count(*) FROM (SELECT 1 FROM group_members WHERE group_id = ? AND outcome >= 6 AND outcome = {dead} \
         LIMIT ? + 0) AS dead"
    }

    /// How many members ended in each way, and how many have not.
    Members { group_id: i64 as BigInt } -> (Nullable<SmallInt>, BigInt) {
        "SELECT outcome, count(*) FROM group_members WHERE group_id = ? GROUP BY outcome"
    }

    /// Ends a group, if it has not been.
    Complete {
        completed_at: i64 as BigInt,
        callback_id: Option<i64> as Nullable<BigInt>,
        problem: Option<String> as Nullable<Text>,
        id: i64 as BigInt,
    } -> () {
        "UPDATE job_groups SET completed_at = ?, callback_id = ?, problem = ? WHERE id = ? AND completed_at IS NULL"
    }

    /// Stops a group, or lets it go on.
    SetStopped { stopped_at: Option<i64> as Nullable<BigInt>, id: i64 as BigInt } -> () {
        "UPDATE job_groups SET stopped_at = ? WHERE id = ?"
    }

    /// Lets the groups of a job go on that were stopped.
    LiftStop { job_id: i64 as BigInt } -> () {
        "UPDATE job_groups SET stopped_at = NULL WHERE stopped_at IS NOT NULL AND id IN (\
         SELECT group_id FROM group_members WHERE job_id = ?)"
    }
}

/// Groups that are closed and have no open member, but are not complete; those that are complete without either of their
/// callbacks; and members whose rows say otherwise than their jobs. None is right.
pub const WRONG: &str = sql!(
    "SELECT count(*) FROM (\
     SELECT id FROM job_groups WHERE closed_at IS NOT NULL AND completed_at IS NULL AND NOT EXISTS (\
     SELECT 1 FROM group_members WHERE group_id = job_groups.id AND outcome IS NULL) \
     UNION ALL \
     SELECT id FROM job_groups WHERE completed_at IS NOT NULL AND callback_id IS NULL AND problem IS NULL \
     AND then_job IS NOT NULL AND failed_job IS NOT NULL \
     UNION ALL \
     SELECT id FROM job_groups WHERE completed_at IS NULL AND callback_id IS NOT NULL \
     UNION ALL \
     SELECT job_id FROM group_members LEFT JOIN jobs ON jobs.id = job_id WHERE CASE WHEN jobs.id IS NULL THEN \
     outcome IS NULL ELSE coalesce(outcome, -1) <> CASE WHEN state >= {completed} THEN state ELSE -1 END END) AS wrong"
);

/// A row of `job_groups`.
#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = job_groups, treat_none_as_default_value = false)]
pub struct GroupRow {
    pub id: i64,
    #[diesel(deserialize_as = Words)]
    pub name: String,
    #[diesel(deserialize_as = MaybeWords)]
    pub then_job: Option<String>,
    #[diesel(deserialize_as = MaybeWords)]
    pub failed_job: Option<String>,
    pub max_fails: Option<i32>,
    pub created_at: i64,
    pub closed_at: Option<i64>,
    pub stopped_at: Option<i64>,
    pub completed_at: Option<i64>,
    pub callback_id: Option<i64>,
    #[diesel(deserialize_as = MaybeWords)]
    pub problem: Option<String>,
}

impl GroupRow {
    /// The group that the row is.
    ///
    /// # Errors
    /// [`StoreError::BadCallback`]: another version wrote a callback that this one cannot read.
    pub fn into_group(self) -> Result<Group, StoreError> {
        let read = |text: Option<String>| {
            let read = text.map(|text| JobSpec::from_written(&text)).transpose();
            read.map_err(|problem| StoreError::BadCallback {
                group: self.name.clone(),
                problem,
            })
        };
        Ok(Group {
            then: read(self.then_job)?,
            then_failed: read(self.failed_job)?,
            name: GroupName::as_stored(self.name),
            max_fails: self.max_fails.map(count),
            created_at: Timestamp(self.created_at),
            closed_at: self.closed_at.map(Timestamp),
            stopped_at: self.stopped_at.map(Timestamp),
            completed_at: self.completed_at.map(Timestamp),
            callback: self.callback_id.map(JobId),
            problem: self.problem,
        })
    }
}

/// The group of that name.
pub fn group_named(db: &mut Db, name: &str) -> Result<Option<GroupRow>, StoreError> {
    let named = job_groups::table.filter(job_groups::name.eq(name));
    Ok(named.select(GroupRow::as_select()).first(db).optional()?)
}

/// The members of a group, counted.
pub fn progress(db: &mut Db, group: i64) -> Result<Progress, StoreError> {
    let mut progress = Progress::default();
    let found: Vec<(Option<i16>, i64)> = Members { group_id: group }.load(db)?;
    for (outcome, members) in found {
        let members = u64::try_from(members).unwrap_or(0);
        match outcome.and_then(State::from_code) {
            Some(State::Completed) => progress.completed = members,
            Some(State::Dead) => progress.dead = members,
            Some(State::Cancelled) => progress.cancelled = members,
            _ => progress.open = members,
        }
    }
    Ok(progress)
}

/// Says of a member how it ended, or that it runs again.
fn follow(db: &mut Db, change: &Change, _: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    let has_ended = change.to.is_final();
    if change.from.is_final() == has_ended {
        return Ok(());
    }
    let outcome = has_ended.then_some(change.to.code());
    let job_id = change.job;
    let groups: Vec<(i64,)> = SetOutcome { outcome, job_id }.load(db)?;
    if has_ended {
        deltas.touched_groups(groups.into_iter().map(|(group,)| group));
    } else {
        LiftStop { job_id }.execute(db)?;
    }
    Ok(())
}

/// Settles the groups of which members have ended. This comes last in a transaction, but for the counts.
pub fn settle(db: &mut Db, now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    let mut stopped = BTreeSet::new();
    while let Some(group) = deltas.next_group() {
        if env::locks_groups() {
            db.dialect().lock_group(group, GroupNeed::End)?;
        }
        let Some(mut row) = read(db, group)? else {
            continue;
        };
        // What is cancelled here ends members of this group and of others, which are settled then. A group comes here once
        // more for each such end, but cancels only once.
        if row.max_fails.is_some() && row.completed_at.is_none() && stopped.insert(group) {
            stop_if_failed(db, &mut row, now, deltas)?;
        }
        complete_if_ended(db, &row, now)?;
    }
    Ok(())
}

fn read(db: &mut Db, group: i64) -> Result<Option<GroupRow>, StoreError> {
    let row = job_groups::table.find(group).select(GroupRow::as_select());
    Ok(row.first(db).optional()?)
}

/// Closes a group. What follows is settled with the other groups of the transaction.
pub fn close(db: &mut Db, row: &GroupRow, now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    let own = diesel::update(job_groups::table.find(row.id));
    own.set(job_groups::closed_at.eq(Some(now.0))).execute(db)?;
    deltas.touched_groups([row.id]);
    Ok(())
}

/// Stops a group if that many of its members are dead, and cancels the first of those that have not begun.
fn stop_if_failed(
    db: &mut Db,
    row: &mut GroupRow,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    if row.stopped_at.is_none() {
        let most = i64::from(row.max_fails.unwrap_or(i32::MAX));
        let group_id = row.id;
        let (dead,) = DeadMembers { group_id, most }.get_result::<(i64,)>(db)?;
        if dead < most {
            return Ok(());
        }
        row.stopped_at = Some(now.0);
        let stopped_at = row.stopped_at;
        SetStopped {
            stopped_at,
            id: row.id,
        }
        .execute(db)?;
    }
    cancel_some(db, row.id, now, deltas)?;
    Ok(())
}

/// Cancels further members of a group that was stopped. Returns how many; none if there are no more.
pub fn stop_further(
    db: &mut Db,
    group: i64,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<usize, StoreError> {
    db.dialect().lock_group(group, GroupNeed::End)?;
    match read(db, group)? {
        Some(row) if row.stopped_at.is_some() => cancel_some(db, group, now, deltas),
        _ => Ok(0),
    }
}

fn cancel_some(db: &mut Db, group: i64, now: Timestamp, deltas: &mut Deltas) -> Result<usize, StoreError> {
    let members = db.dialect().unbegun_members(group, CANCEL_STEP)?;
    for job in &members {
        let row: Option<JobRow> = jobs::table
            .find(*job)
            .select(JobRow::as_select())
            .first(db)
            .optional()?;
        // One that waited for another of them may be cancelled already.
        let Some(row) = row.filter(|row| !State::from_code(row.state).is_some_and(State::is_final)) else {
            continue;
        };
        let decided = transition(standing(&row)?, Event::Cancel).map_err(|refused| StoreError::Refused {
            job: job.to_string(),
            refused,
        })?;
        change(db, &row, &decided, now, deltas)?;
    }
    Ok(members.len())
}

/// Applies a decision to a job that is not running, and does all that follows but for its groups, which are left for the
/// end; false if it no longer stands where the decision saw it.
pub fn change(
    db: &mut Db,
    row: &JobRow,
    change: &Transition,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<bool, StoreError> {
    let changed = apply(db, row, change, Waits::NONE, now, deltas)?;
    let gates = Gates::from_code(row.gates);
    if changed && row.follows.is_some() && change.to() != State::Blocked {
        // It waited to follow another, and does so no more.
        let own = diesel::update(jobs::table.find(row.id));
        own.set(jobs::follows.eq(None::<i64>)).execute(db)?;
    }
    if changed && !gates.is_empty() {
        let change = Change {
            job: row.id,
            gates,
            from: change.from(),
            to: change.to(),
        };
        follow_within(db, std::slice::from_ref(&change), now, deltas)?;
    }
    Ok(changed)
}

/// Completes a group that is closed and whose members have all ended, and stores its callback: once.
fn complete_if_ended(db: &mut Db, row: &GroupRow, now: Timestamp) -> Result<(), StoreError> {
    let is_complete = row.completed_at.is_some() && !env::is_disabled(Guard::Callbacks);
    if row.closed_at.is_none() || is_complete {
        return Ok(());
    }
    let group_id = row.id;
    let open: Option<(i64,)> = OpenMember { group_id }.get_result(db).optional()?;
    if open.is_some() && !env::is_disabled(Guard::Groups) {
        return Ok(());
    }
    let progress = progress(db, group_id)?;
    let (callback, problem) = match store_callback(db, row, &progress, now) {
        Ok(callback) => (callback, None),
        Err(StoreError::BadCallback { problem, .. }) => (None, Some(storable(&problem))),
        Err(error) => return Err(error),
    };
    Complete {
        completed_at: now.0,
        callback_id: callback.map(|job| job.0),
        problem,
        id: group_id,
    }
    .execute(db)?;
    let detail = serde_json::json!({
        "group": row.name,
        "members": progress.total(),
        "dead": progress.dead,
        "cancelled": progress.cancelled,
        "callback": callback,
    });
    NoteOther {
        at: now.0,
        kind: "group completed".to_owned(),
        detail: detail.to_string(),
    }
    .execute(db)?;
    Ok(())
}

/// Stores the callback as an ordinary job, if there is one for how the members ended.
fn store_callback(
    db: &mut Db,
    row: &GroupRow,
    progress: &Progress,
    now: Timestamp,
) -> Result<Option<JobId>, StoreError> {
    let group = row.clone().into_group()?;
    let Some(callback) = group.callback_for(progress) else {
        return Ok(None);
    };
    let job = callback_job(&group.name, callback, progress).validate(now);
    let job = job.map_err(|error| StoreError::BadCallback {
        group: row.name.clone(),
        problem: error.to_string(),
    })?;
    // It is in no group and waits for no job, so this is all that there is to storing it.
    let jobs = std::slice::from_ref(&job);
    let ids = db.dialect().insert_all(jobs, now)?;
    start(db, jobs, &ids, now)?;
    Ok(ids.first().copied())
}
