//! New members of groups: jobs that were just stored, and jobs that count in their place because they have their unique keys.
//!
//! A job that is there is marked before it becomes a member, as a parent is: a transaction that ends it meanwhile has either
//! done so, and its row says how, or finds the mark.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable, SmallInt, Text};
use queuectl_core::limits::{GROUPS, MEMBERS};
use queuectl_core::{Gates, JobId, State, Timestamp, ValidJob};

use super::groups::{GroupRow, close, group_named};
use crate::StoreError;
use crate::backend::statements::{MarkParent, statements};
use crate::backend::{AnySql, Db, GroupNeed};
use crate::counts::Deltas;
use crate::schema::job_groups;

statements! { AnySql, Db;
    /// Makes a group, unless there is one of that name.
    MakeGroup { name: String as Text, created_at: i64 as BigInt } -> () {
        "INSERT INTO job_groups (name, created_at) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"
    }

    /// How many members there were before the newest, about.
    LastPlace { group_id: i64 as BigInt } -> (BigInt,) {
        "SELECT place FROM group_members WHERE group_id = ? ORDER BY job_id DESC LIMIT 1"
    }

    /// Makes a job a member, unless it is one.
    Join {
        group_id: i64 as BigInt,
        job_id: i64 as BigInt,
        place: i64 as BigInt,
        outcome: Option<i16> as Nullable<SmallInt>,
    } -> () {
        "INSERT INTO group_members (group_id, job_id, place, outcome) VALUES (?, ?, ?, ?) \
         ON CONFLICT (group_id, job_id) DO NOTHING"
    }
}

/// Makes jobs members of the groups that they name, and closes those that are to be closed. Jobs that name none cost nothing.
pub fn join(
    db: &mut Db,
    new: &[ValidJob],
    ids: &[JobId],
    is_new: impl Fn(usize) -> bool,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    // In the order of their names, in which every transaction locks them.
    let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, job) in new.iter().enumerate() {
        if let Some(group) = &job.group {
            groups.entry(group.as_str()).or_default().push(index);
        }
    }
    for (name, mut members) in groups {
        let index = members[0];
        let row = enter(db, name, now)?;
        db.dialect().lock_group(row.id, GroupNeed::Join)?;
        check_open(db, &row, index)?;
        // Jobs that are there are locked in the order of their numbers.
        members.sort_by_key(|index| ids[*index]);
        let last = LastPlace { group_id: row.id }
            .get_result::<(i64,)>(db)
            .optional()?;
        let first = last.map_or(0, |(place,)| place + 1);
        if usize::try_from(first).unwrap_or(usize::MAX) + members.len() > MEMBERS {
            return Err(StoreError::TooMany {
                what: "jobs in a group",
                most: MEMBERS,
            });
        }
        let mut closes = false;
        for (place, index) in (first..).zip(members) {
            closes |= new[index].close_group == Some(true);
            // One with a key may have been replaced by a later one that was stored with it.
            let is_open = is_new(index) && new[index].unique.is_none();
            let outcome = match is_open {
                true => None,
                false => mark(db, ids[index])?,
            };
            Join {
                group_id: row.id,
                job_id: ids[index].0,
                place,
                outcome,
            }
            .execute(db)?;
        }
        if closes {
            db.dialect().lock_group(row.id, GroupNeed::All)?;
            check_open(db, &row, index)?;
            close(db, &row, now, deltas)?;
        }
    }
    Ok(())
}

/// Returns the group of that name, which is made if there is none.
pub fn enter(db: &mut Db, name: &str, now: Timestamp) -> Result<GroupRow, StoreError> {
    loop {
        if let Some(row) = group_named(db, name)? {
            return Ok(row);
        }
        let groups: i64 = job_groups::table.count().get_result(db)?;
        if usize::try_from(groups).unwrap_or(usize::MAX) >= GROUPS {
            return Err(StoreError::TooMany {
                what: "groups",
                most: GROUPS,
            });
        }
        MakeGroup {
            name: name.to_owned(),
            created_at: now.0,
        }
        .execute(db)?;
    }
}

/// Refuses members of a group that takes none: as it is now that it is locked.
fn check_open(db: &mut Db, row: &GroupRow, index: usize) -> Result<(), StoreError> {
    let group = row.name.clone();
    match group_named(db, &row.name)? {
        Some(found) if found.id != row.id || found.closed_at.is_some() => {
            Err(StoreError::GroupClosed { group, index })
        }
        Some(found) if found.stopped_at.is_some() => Err(StoreError::GroupStopped { group, index }),
        Some(_) => Ok(()),
        // It was removed at this moment.
        None => Err(StoreError::NoSuchGroup(group)),
    }
}

/// Gives a job that is there the gate of a member. Returns how it ended, if it has.
fn mark(db: &mut Db, job: JobId) -> Result<Option<i16>, StoreError> {
    let marked = MarkParent {
        gates: Gates::MEMBER.code(),
        id: job.0,
    };
    let state = marked.get_result::<(i16,)>(db).optional()?.map(|(state,)| state);
    // One that was removed at this moment had ended.
    let state = state.unwrap_or(State::Completed.code());
    Ok(Some(state).filter(|code| State::from_code(*code).is_some_and(State::is_final)))
}
