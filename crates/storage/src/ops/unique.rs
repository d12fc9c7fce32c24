//! Jobs with keys: of those that have not ended, at most one has a key, and at most one more waits to follow it.
//!
//! The guarantee is two unique indexes over the rows themselves; there is no lock that could outlive its job. What is here
//! decides what becomes of a job whose key is taken, in the transaction that was to store it, and looks again wherever
//! another transaction was quicker. Not here: what follows when the job that has the key ends (`outcome/unique.rs`).

mod give_way;
mod holders;

use std::collections::HashMap;

use queuectl_core::{BlockedBy, JobId, OnConflict, State, Timestamp, ValidJob, Waits};

use self::give_way::{follow_running, put_off, replace};
pub use self::holders::{check_free, holder_of};
use self::holders::{holders, lasting, public_id, start_as_successor};
use super::events::note;
use crate::backend::{Db, on_any};
use crate::counts::Deltas;
use crate::error::Problem;
use crate::limits::LimitRows;
use crate::outcome::{self, EdgeRows as _, standing};
use crate::rows::JobRow;
use crate::types::jobs::{NewJob, first_due, first_gates, first_state};
use crate::types::placed::{Existing, Placed};
use crate::{StoreError, schema::jobs};
use diesel::prelude::*;

/// How often a batch is looked at again because other transactions were quicker.
const ROUNDS: u32 = 100;

/// Stores jobs some of which have keys.
pub fn place(conn: &mut Db, jobs: &[ValidJob], now: Timestamp) -> Result<Vec<Placed>, StoreError> {
    let mut placing = Placing {
        ids: conn.dialect().reserve_numbers(jobs.len())?,
        placed: vec![None; jobs.len()],
        deltas: Deltas::default(),
        jobs,
        now,
    };
    // In the order of the keys, so that transactions with the same ones wait for each other and never in a circle.
    let mut todo: Vec<usize> = (0..jobs.len()).collect();
    todo.sort_by_key(|index| (placing.key(*index), *index));
    let mut idle = 0;
    while !todo.is_empty() {
        let before = todo.len();
        placing.round(conn, &todo)?;
        todo.retain(|index| placing.placed[*index].is_none());
        idle = if todo.len() < before { 0 } else { idle + 1 };
        if idle == ROUNDS {
            return Err(StoreError::Database {
                problem: Problem::Busy,
                detail: "others store jobs with the same unique keys all the time".to_owned(),
            });
        }
    }
    let placed: Vec<Placed> = placing.placed.into_iter().flatten().collect();
    let ids: Vec<JobId> = placed.iter().map(|job| job.id).collect();
    let mut deltas = placing.deltas;
    let is_new = |index: usize| placed[index].existing.is_none();
    outcome::link(conn, jobs, &ids, is_new, now, &mut deltas)?;
    outcome::finish(conn, deltas, now)?;
    Ok(placed)
}

struct Placing<'a> {
    jobs: &'a [ValidJob],
    /// A number for each, most of which will be used.
    ids: Vec<i64>,
    placed: Vec<Option<Placed>>,
    deltas: Deltas,
    now: Timestamp,
}

/// What is to be done about a job.
enum Plan {
    /// It is stored, in the place of that one if there is one, and runs after that running one if there is one.
    Store {
        replaced: Option<Existing>,
        follows: Option<i64>,
    },
    /// Another counts in its place.
    Leave(Existing, JobId),
    /// Another transaction was quicker: look again.
    Again,
}

/// A job that is to be stored.
struct Chosen {
    index: usize,
    replaced: Option<Existing>,
    follows: Option<i64>,
}

impl<'a> Placing<'a> {
    fn key(&self, index: usize) -> Option<&'a str> {
        self.jobs[index].unique.as_ref().map(|key| key.as_str())
    }

    /// Stores, or settles otherwise, what it can of the first job of each key.
    fn round(&mut self, conn: &mut Db, todo: &[usize]) -> Result<(), StoreError> {
        let first = |place: usize| {
            let key = self.key(todo[place]);
            key.is_none() || place == 0 || self.key(todo[place - 1]) != key
        };
        let round: Vec<usize> = (0..todo.len())
            .filter(|at| first(*at))
            .map(|at| todo[at])
            .collect();
        let keys: Vec<&str> = round.iter().filter_map(|index| self.key(*index)).collect();
        let holders = holders(conn, &keys, self.now)?;
        self.lock_changed(conn, todo, &holders)?;
        let mut chosen = Vec::new();
        // Last those that take the place of one which waits for room.
        let is_parked = |index: &usize| {
            let holder = self.key(*index).and_then(|key| holders.get(key));
            holder.is_some_and(waits_for_room)
        };
        let (parked, mut round): (Vec<usize>, Vec<usize>) = round.into_iter().partition(is_parked);
        let others = round.len();
        round.extend(parked);
        for (at, index) in round.into_iter().enumerate() {
            if at == others {
                on_any!(conn, conn => conn.lock_limits(false))?;
            }
            let holder = self.key(index).and_then(|key| holders.get(key));
            match self.plan(conn, index, holder)? {
                Plan::Store { replaced, follows } => chosen.push(Chosen {
                    index,
                    replaced,
                    follows,
                }),
                Plan::Leave(existing, id) => {
                    self.settle_others(todo, index, id, &existing);
                    let existing = Some(existing);
                    self.placed[index] = Some(Placed {
                        existing,
                        ..Placed::new(id)
                    });
                }
                Plan::Again => {}
            }
        }
        // Stored in the order of the keys again.
        chosen.sort_by_key(|chosen| (self.key(chosen.index), chosen.index));
        self.store(conn, todo, chosen)
    }

    /// Locks the jobs that will give way to one of the batch, in this round or a later one, in the order in which cycles lock
    /// jobs: those without gates come first. Two transactions that change the same jobs then never wait for each other.
    fn lock_changed(
        &self,
        conn: &mut Db,
        todo: &[usize],
        holders: &HashMap<String, JobRow>,
    ) -> Result<(), StoreError> {
        let changes = |index: &&usize| {
            let job = &self.jobs[**index];
            job.debounce().is_some() || job.on_conflict == Some(OnConflict::Replace)
        };
        let keys = todo.iter().filter(changes).filter_map(|index| self.key(*index));
        let rows = keys.filter_map(|key| holders.get(key));
        let mut gated: Vec<(bool, i64)> = rows
            .filter(|row| !waits_for_room(row) && standing(row).is_ok_and(|at| !at.state.is_final()))
            .map(|row| (row.gates != 0, row.id))
            .collect();
        gated.sort_unstable();
        gated.dedup();
        // A single one is locked as it is changed.
        if gated.len() < 2 {
            return Ok(());
        }
        for is_gated in [false, true] {
            let ids = gated.iter().filter(|(gated, _)| *gated == is_gated);
            let ids: Vec<i64> = ids.map(|(_, id)| *id).collect();
            if !ids.is_empty() {
                on_any!(conn, conn => conn.lock_rows(&ids))?;
            }
        }
        Ok(())
    }

    /// Decides what becomes of a job, and has the one that has its key give way if it is to.
    fn plan(&mut self, conn: &mut Db, index: usize, holder: Option<&JobRow>) -> Result<Plan, StoreError> {
        let job = &self.jobs[index];
        let free = Plan::Store {
            replaced: None,
            follows: None,
        };
        let Some(holder) = holder else {
            return Ok(free);
        };
        let state = standing(holder)?.state;
        if job.debounce().is_some() {
            return match state {
                State::Processing => follow_running(conn, holder, job, self.now, &mut self.deltas),
                _ if state.is_final() => Ok(leave(holder, state)),
                _ => put_off(conn, holder, job, self.now, &mut self.deltas),
            };
        }
        match job.on_conflict.unwrap_or_default() {
            OnConflict::Return => Ok(leave(holder, state)),
            OnConflict::Reject => Err(StoreError::KeyTaken {
                key: holder.unique_key.clone().unwrap_or_default(),
                holder: public_id(holder),
                state,
                index,
            }),
            OnConflict::Replace if state == State::Processing => {
                follow_running(conn, holder, job, self.now, &mut self.deltas)
            }
            // It keeps the key although it has ended, which is nothing to one that takes its place.
            OnConflict::Replace if state.is_final() => Ok(free),
            OnConflict::Replace => replace(conn, holder, None, self.now, &mut self.deltas),
        }
    }

    /// Stores these jobs, and leaves those for another round that another transaction was quicker with.
    fn store(&mut self, conn: &mut Db, todo: &[usize], chosen: Vec<Chosen>) -> Result<(), StoreError> {
        if chosen.is_empty() {
            return Ok(());
        }
        let new: Vec<NewJob<'_>> = chosen.iter().map(|chosen| self.new_job(chosen)).collect();
        let mut stored = conn.dialect().insert_new(&new, self.now, &mut self.deltas)?;
        let states: Vec<State> = new.iter().map(|new| new.state).collect();
        for ((chosen, is_stored), state) in chosen.iter().zip(&mut stored).zip(&states) {
            if !*is_stored {
                self.refuse_name(conn, chosen.index)?;
            } else if self.was_too_late(conn, chosen)? {
                let id = vec![self.ids[chosen.index]];
                conn.dialect().remove_jobs(id, *state, &mut self.deltas)?;
                // The number is used up.
                self.ids[chosen.index] = conn.dialect().reserve_numbers(1)?.pop().unwrap_or_default();
                *is_stored = false;
            }
        }
        let stored = chosen
            .into_iter()
            .zip(stored)
            .zip(states)
            .filter(|((_, is), _)| *is);
        for ((chosen, _), state) in stored {
            self.complete(conn, todo, chosen, state)?;
        }
        Ok(())
    }

    fn new_job(&self, chosen: &Chosen) -> NewJob<'a> {
        let job = &self.jobs[chosen.index];
        let (state, due_at) = match chosen.follows {
            Some(_) => (State::Blocked, None),
            None => first_state(job, self.now),
        };
        NewJob {
            id: self.ids[chosen.index],
            job,
            state,
            due_at,
            gates: first_gates(job),
            follows: chosen.follows,
        }
    }

    /// Does the rest for a job that was stored.
    fn complete(
        &mut self,
        conn: &mut Db,
        todo: &[usize],
        chosen: Chosen,
        state: State,
    ) -> Result<(), StoreError> {
        let (job, id) = (&self.jobs[chosen.index], JobId(self.ids[chosen.index]));
        outcome::start(conn, std::slice::from_ref(job), &[id], self.now)?;
        if chosen.follows.is_some() {
            start_as_successor(conn, id, first_due(job, self.now))?;
        } else {
            let public_id = job.id.as_ref().map_or(id.to_string(), ToString::to_string);
            self.settle_others(todo, chosen.index, id, &Existing { id, public_id, state });
        }
        if !job.limit.is_empty() {
            self.deltas.limited(id.0, state);
        }
        if let Some(replaced) = &chosen.replaced {
            note(
                conn,
                replaced.id,
                "replaced",
                format!("{{\"by\":{id}}}"),
                self.now,
            )?;
        }
        self.placed[chosen.index] = Some(Placed {
            replaced: chosen.replaced,
            ..Placed::new(id)
        });
        Ok(())
    }

    /// Whether a job was stored although another keeps its key for a time: that one was stored and ended by others since the
    /// keys were looked at.
    fn was_too_late(&self, conn: &mut Db, chosen: &Chosen) -> Result<bool, StoreError> {
        let job = &self.jobs[chosen.index];
        let Some(key) = self.key(chosen.index) else {
            return Ok(false);
        };
        if chosen.follows.is_some() || job.on_conflict == Some(OnConflict::Replace) {
            return Ok(false);
        }
        let own = self.ids[chosen.index];
        Ok(lasting(conn, &[key], self.now)?.iter().any(|row| row.id != own))
    }

    /// Jobs of the batch that have the same key, come later, and are content with the job that has it.
    fn settle_others(&mut self, todo: &[usize], index: usize, id: JobId, existing: &Existing) {
        let Some(key) = self.key(index) else { return };
        let from = todo.partition_point(|other| (self.key(*other), *other) <= (Some(key), index));
        for other in &todo[from..] {
            let job = &self.jobs[*other];
            let is_content =
                job.on_conflict.unwrap_or_default() == OnConflict::Return && job.debounce_ms.is_none();
            if self.key(*other) != Some(key) || !is_content {
                break;
            }
            self.placed[*other] = Some(Placed {
                existing: Some(existing.clone()),
                ..Placed::new(id)
            });
        }
    }

    /// A job that was not stored, although no other had its key, may have a name that is taken.
    fn refuse_name(&self, conn: &mut Db, index: usize) -> Result<(), StoreError> {
        let Some(name) = &self.jobs[index].id else {
            return Ok(());
        };
        let query = jobs::table.filter(jobs::name.eq(name.as_str())).select(jobs::id);
        match query.first::<i64>(conn).optional()? {
            Some(_) => Err(StoreError::NameTaken {
                name: name.to_string(),
                index,
            }),
            None => Ok(()),
        }
    }
}

/// Its row is locked after the limits, and those after all other rows.
fn waits_for_room(holder: &JobRow) -> bool {
    Waits::from_code(holder.waits).has(BlockedBy::Limit)
}

fn leave(holder: &JobRow, state: State) -> Plan {
    Plan::Leave(existing(holder, state), JobId(holder.id))
}

fn existing(holder: &JobRow, state: State) -> Existing {
    Existing {
        id: JobId(holder.id),
        public_id: public_id(holder),
        state,
    }
}
