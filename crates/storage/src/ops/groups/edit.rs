//! Making, closing and removing groups.

use diesel::prelude::*;
use queuectl_core::group::{Group, GroupChange, callback_fault};
use queuectl_core::{GroupName, JobSpec, Timestamp};

use super::find;
use crate::backend::{Db, GroupNeed};
use crate::counts::Deltas;
use crate::outcome::{self, GroupRow, group_named};
use crate::schema::{group_members, job_groups};
use crate::types::nodes::Wake;
use crate::{Store, StoreError};

/// Members that are removed by one transaction.
const STEP: i64 = 5000;

impl Store {
    /// Makes a group, which takes members until it is closed.
    ///
    /// # Errors
    /// [`StoreError::GroupTaken`], [`StoreError::BadCallback`], [`StoreError::TooMany`].
    pub fn create_group(
        &mut self,
        name: &GroupName,
        change: &GroupChange,
        now: Timestamp,
    ) -> Result<Group, StoreError> {
        check(name, change, now)?;
        self.write(|db| {
            if group_named(db, name.as_str())?.is_some() {
                return Err(StoreError::GroupTaken(name.to_string()));
            }
            let row = outcome::enter(db, name.as_str(), now)?;
            set(db, &row, change)?;
            find(db, name.as_str())?.into_group()
        })
    }

    /// Closes a group, which then takes no further members. If none is open, it is complete at once. One that is closed stays
    /// as it is.
    ///
    /// # Errors
    /// [`StoreError::NoSuchGroup`]; [`StoreError::BadCallback`]; [`StoreError::GroupClosed`] if it is closed already and
    /// something is to be changed.
    pub fn close_group(
        &mut self,
        name: &GroupName,
        change: &GroupChange,
        now: Timestamp,
    ) -> Result<Group, StoreError> {
        check(name, change, now)?;
        let group = self.write(|db| {
            let row = lock(db, name)?;
            if row.closed_at.is_none() {
                set(db, &row, change)?;
                close(db, &row, now)?;
            } else if *change != GroupChange::default() {
                let group = row.name;
                return Err(StoreError::GroupClosed { group, index: 0 });
            }
            find(db, name.as_str())?.into_group()
        })?;
        self.wake_all(Wake::Jobs);
        Ok(group)
    }

    /// Removes a group all of whose members have ended. Its jobs stay.
    ///
    /// # Errors
    /// [`StoreError::NoSuchGroup`], [`StoreError::GroupBusy`].
    pub fn remove_group(&mut self, name: &GroupName, now: Timestamp) -> Result<(), StoreError> {
        let id = self.write(|db| {
            let row = lock(db, name)?;
            let open = outcome::progress(db, row.id)?.open;
            if open > 0 {
                let group = row.name;
                return Err(StoreError::GroupBusy { group, open });
            }
            // From here on it takes no members and stores no callback, whatever becomes of this process.
            let own = diesel::update(job_groups::table.find(row.id));
            let removed = (
                job_groups::closed_at.eq(Some(row.closed_at.unwrap_or(now.0))),
                job_groups::completed_at.eq(Some(row.completed_at.unwrap_or(now.0))),
                job_groups::problem.eq(Some(
                    row.problem.unwrap_or_else(|| "it was being removed".to_owned()),
                )),
            );
            own.set(removed).execute(db)?;
            Ok(row.id)
        })?;
        while self.write_busily(|db| remove_some(db, id))? {}
        Ok(())
    }
}

/// Finds a group, and has others wait who add members to it or end them.
pub fn lock(db: &mut Db, name: &GroupName) -> Result<GroupRow, StoreError> {
    let row = find(db, name.as_str())?;
    db.dialect().lock_group(row.id, GroupNeed::All)?;
    // As it is now.
    find(db, name.as_str())
}

/// Closes a group and does what follows.
pub fn close(db: &mut Db, row: &GroupRow, now: Timestamp) -> Result<(), StoreError> {
    let mut deltas = Deltas::default();
    outcome::close(db, row, now, &mut deltas)?;
    outcome::finish(db, deltas, now)
}

/// Removes some of the members of a group; if none is left, the group. Returns whether there are more.
pub fn remove_some(db: &mut Db, group: i64) -> Result<bool, StoreError> {
    let last: Option<i64> = group_members::table
        .filter(group_members::group_id.eq(group))
        .order(group_members::job_id)
        .offset(STEP)
        .select(group_members::job_id)
        .first(db)
        .optional()?;
    let own = group_members::table.filter(group_members::group_id.eq(group));
    match last {
        Some(last) => {
            diesel::delete(own.filter(group_members::job_id.lt(last))).execute(db)?;
        }
        None => {
            diesel::delete(own).execute(db)?;
            diesel::delete(job_groups::table.find(group)).execute(db)?;
        }
    }
    Ok(last.is_some())
}

fn set(db: &mut Db, row: &GroupRow, change: &GroupChange) -> Result<(), StoreError> {
    let own = job_groups::table.find(row.id);
    if let Some(job) = &change.then {
        let set = job_groups::then_job.eq(Some(job.to_json()));
        diesel::update(own).set(set).execute(db)?;
    }
    if let Some(job) = &change.then_failed {
        let set = job_groups::failed_job.eq(Some(job.to_json()));
        diesel::update(own).set(set).execute(db)?;
    }
    if let Some(fails) = change.max_fails {
        let set = job_groups::max_fails.eq(Some(i32::try_from(fails).unwrap_or(i32::MAX)));
        diesel::update(own).set(set).execute(db)?;
    }
    Ok(())
}

/// Refuses callbacks that could not be stored when the members have ended.
fn check(name: &GroupName, change: &GroupChange, now: Timestamp) -> Result<(), StoreError> {
    let bad = |problem: String| StoreError::BadCallback {
        group: name.to_string(),
        problem,
    };
    let check = |job: &JobSpec| {
        if let Some(fault) = callback_fault(job) {
            return Err(bad(fault.to_owned()));
        }
        let told = queuectl_core::group::callback_job(name, job, &Default::default());
        told.validate(now)
            .map(drop)
            .map_err(|error| bad(error.to_string()))
    };
    let jobs = [&change.then, &change.then_failed];
    jobs.into_iter().flatten().try_for_each(check)
}
