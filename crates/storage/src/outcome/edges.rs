//! New edges: which stored jobs a new one waits for.
//!
//! Every parent is marked before its edge is stored. A transaction that ends it meanwhile has either done so, and the edge is
//! settled here, or finds the mark, and settles it there.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use diesel::prelude::*;
use queuectl_core::limits::DEPENDANTS;
use queuectl_core::{Gates, JobId, JobRef, State, Timestamp, ValidJob, find_cycle};
use serde::{Deserialize, Serialize};

use super::dependencies::settle;
use crate::StoreError;
use crate::backend::statements::{CountDependants, MarkParent};
use crate::backend::{Db, on_any};
use crate::counts::Deltas;
use crate::schema::{edges, jobs};

/// Rows of one statement.
const CHUNK: usize = 500;

/// A row of `edges`.
#[derive(Debug, Clone, Copy, Queryable, Selectable, Insertable, Serialize, Deserialize)]
#[diesel(table_name = edges, treat_none_as_default_value = false)]
pub struct EdgeRow {
    pub child: i64,
    pub parent: i64,
    pub condition: i16,
    pub unmet: i16,
    pub outcome: Option<i16>,
}

/// Stores the edges of new jobs, and settles those to jobs that have ended. Jobs that wait for none cost nothing. `ids` has
/// a job for each; those that are not new wait for nothing here, but others may wait for them.
pub fn link(
    db: &mut Db,
    new: &[ValidJob],
    ids: &[JobId],
    is_new: impl Fn(usize) -> bool,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(), StoreError> {
    if new.iter().all(|job| job.after.is_empty()) {
        return Ok(());
    }
    if let Some(path) = find_cycle(new) {
        return Err(StoreError::Cycle { path });
    }
    let mut edges = edges_of(db, new, ids, is_new)?;
    // In the order of their numbers, in which every transaction marks them.
    let mut parents: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (at, (edge, _)) in edges.iter().enumerate() {
        parents.entry(edge.parent).or_default().push(at);
    }
    let mut ended = Vec::new();
    for (parent, children) in parents {
        let (index, named) = edges[children[0]].1;
        let parent_is = || new[index].after[named].job.to_string();
        let marked = MarkParent {
            gates: Gates::DEPENDANTS.code(),
            id: parent,
        };
        let Some((state,)) = marked.get_result::<(i16,)>(db).optional()? else {
            return Err(StoreError::NoSuchParent {
                parent: parent_is(),
                index,
            });
        };
        let (before,) = CountDependants { parent }.get_result::<(i64,)>(db)?;
        if usize::try_from(before).unwrap_or(usize::MAX) + children.len() > DEPENDANTS {
            return Err(StoreError::TooManyDependants { parent: parent_is() });
        }
        if State::from_code(state).is_some_and(State::is_final) {
            for at in children {
                edges[at].0.outcome = Some(state);
                ended.push(edges[at].0.child);
            }
        }
    }
    let rows: Vec<EdgeRow> = edges.into_iter().map(|(edge, _)| edge).collect();
    for some in rows.chunks(CHUNK) {
        on_any!(db, conn => diesel::insert_into(edges::table).values(some).execute(conn))?;
    }
    ended.sort_unstable();
    ended.dedup();
    settle(db, &ended, now, deltas)
}

/// Locks the stored jobs that new ones wait for, in the order of their numbers, for a transaction that goes on to lock
/// limits: the transaction that ends one of them locks that first, too.
pub fn lock_parents(db: &mut Db, new: &[ValidJob]) -> Result<(), StoreError> {
    let own: HashSet<&str> = new
        .iter()
        .filter_map(|job| job.id.as_ref())
        .map(|id| id.as_str())
        .collect();
    let (mut parents, mut names) = (BTreeSet::new(), BTreeSet::new());
    for after in new.iter().flat_map(|job| &job.after) {
        match &after.job {
            JobRef::Number(number) => drop(parents.insert(number.0)),
            JobRef::Name(name) if !own.contains(name.as_str()) => drop(names.insert(name.as_str())),
            JobRef::Name(_) => {}
        }
    }
    for names in names.into_iter().collect::<Vec<_>>().chunks(CHUNK) {
        let stored = jobs::table.filter(jobs::name.eq_any(names)).select(jobs::id);
        parents.extend(stored.load::<i64>(db)?);
    }
    for parent in parents {
        db.dialect().lock_job(&JobRef::Number(JobId(parent)))?;
    }
    Ok(())
}

/// Where an edge was given: which of the new jobs, and which of the jobs that that one names.
type Given = (usize, usize);

/// The edges as they are given, each once.
fn edges_of(
    db: &mut Db,
    new: &[ValidJob],
    ids: &[JobId],
    is_new: impl Fn(usize) -> bool,
) -> Result<Vec<(EdgeRow, Given)>, StoreError> {
    let numbers = ids.iter().enumerate().filter(|(index, _)| is_new(*index));
    let numbers: HashSet<i64> = numbers.map(|(_, id)| id.0).collect();
    let with_ids = new.iter().zip(ids);
    let named = with_ids.filter_map(|(job, id)| Some((job.id.as_ref()?.as_str(), id.0)));
    let mut by_name: HashMap<&str, i64> = named.collect();
    let mut edges: BTreeMap<(i64, i64), (EdgeRow, Given)> = BTreeMap::new();
    for (index, (job, id)) in new.iter().zip(ids).enumerate() {
        if !is_new(index) {
            continue;
        }
        for (named, after) in job.after.iter().enumerate() {
            let unknown = || StoreError::NoSuchParent {
                parent: after.job.to_string(),
                index,
            };
            let parent = match &after.job {
                // A number that one of the new jobs was given in this moment: no user can have meant that.
                JobRef::Number(number) if numbers.contains(&number.0) => return Err(unknown()),
                JobRef::Number(number) => number.0,
                JobRef::Name(name) => match by_name.get(name.as_str()) {
                    Some(known) => *known,
                    None => {
                        let stored = jobs::table
                            .filter(jobs::name.eq(name.as_str()))
                            .select(jobs::id)
                            .first(db)
                            .optional()?
                            .ok_or_else(unknown)?;
                        by_name.insert(name.as_str(), stored);
                        stored
                    }
                },
            };
            let edge = EdgeRow {
                child: id.0,
                parent,
                condition: after.condition.code(),
                unmet: job.unmet.unwrap_or_default().code(),
                outcome: None,
            };
            edges.insert((id.0, parent), (edge, (index, named)));
        }
    }
    Ok(edges.into_values().collect())
}
