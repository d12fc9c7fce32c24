//! Reading many jobs.

use std::collections::HashMap;

use diesel::prelude::*;
use queuectl_core::{Job, JobId, State};

use super::{listing, live};
use crate::backend::Db;
use crate::rows::{found_jobs, read_labels};
use crate::schema::jobs;
use crate::types::list::{ListFilter, Position};
use crate::{Store, StoreError};

/// Jobs read by one statement.
const CHUNK: usize = 100;
/// States read by one statement.
const STATES: usize = 500;
/// Payloads that are in memory at a time.
const PAGE_BYTES: i64 = 16 * 1024 * 1024;

/// Some of the jobs of a list.
#[derive(Debug, Default)]
pub struct Page {
    /// The jobs, in the order that was asked for.
    pub jobs: Vec<Job>,
    /// Whether there may be more of them behind the last one.
    pub more: bool,
}

impl Store {
    /// The jobs that fit, newest first unless asked otherwise: by number, or, in the list of a final state, by when
    /// they ended.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn list(&mut self, filter: &ListFilter) -> Result<Vec<Job>, StoreError> {
        let mut filter = filter.clone();
        let mut list = Vec::new();
        loop {
            let page = self.list_page(&filter)?;
            filter.limit = filter
                .limit
                .saturating_sub(u32::try_from(page.jobs.len()).unwrap_or(u32::MAX));
            let last = page.jobs.last().map(|job| filter.position(job));
            list.extend(page.jobs);
            match filter.oldest_first {
                true => filter.above = last.or(filter.above),
                false => filter.below = last.or(filter.below),
            }
            if !page.more || filter.limit == 0 {
                return Ok(list);
            }
        }
    }

    /// The first of the jobs that fit: as many as were asked for, or, if their payloads are large, fewer.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn list_page(&mut self, filter: &ListFilter) -> Result<Page, StoreError> {
        // One moment: a job must not change between being found and being read.
        self.conn()?.snapshot(|conn| {
            let places = listing::positions(conn, filter)?;
            let ids: Vec<i64> = places.iter().map(|place| place.id).collect();
            let (jobs, read) = read_filled(conn, &ids)?;
            let more = read < ids.len() || ids.len() >= filter.limit as usize;
            Ok(Page { jobs, more })
        })
    }

    /// The first of the jobs with these numbers, in that order and without those that are gone: all of them, or, if their
    /// payloads are large, fewer. Also how many of the numbers that took, at least 1.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn jobs(&mut self, numbers: &[JobId]) -> Result<(Vec<Job>, usize), StoreError> {
        let ids: Vec<i64> = numbers.iter().map(|number| number.0).collect();
        self.conn()?.snapshot(|conn| read_filled(conn, &ids))
    }

    /// The place of the oldest among the newest `limit` jobs that fit: where to start so that a list, oldest
    /// first, ends with the newest. None if no more than `limit` jobs fit, so that the list has them all.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn newest_from(&mut self, filter: &ListFilter) -> Result<Option<Position>, StoreError> {
        let and_one = ListFilter {
            oldest_first: false,
            limit: filter.limit.saturating_add(1),
            ..filter.clone()
        };
        let places = listing::positions(self.conn()?, &and_one)?;
        Ok(match places.as_slice() {
            [.., first, _] if places.len() > filter.limit as usize => Some(*first),
            _ => None,
        })
    }
}

impl Store {
    /// The states of the jobs with these numbers that are there, by number.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn states(&mut self, numbers: &[JobId]) -> Result<HashMap<JobId, State>, StoreError> {
        let standings = self.standings(numbers)?.into_iter();
        Ok(standings.map(|(number, (state, _))| (number, state)).collect())
    }

    /// The same, with the fencing tokens of their newest claims.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn standings(&mut self, numbers: &[JobId]) -> Result<HashMap<JobId, (State, i64)>, StoreError> {
        let conn = self.conn()?;
        let mut standings = HashMap::with_capacity(numbers.len());
        for some in numbers.chunks(STATES) {
            let ids: Vec<i64> = some.iter().map(|number| number.0).collect();
            let found: Vec<(i64, i16, i64)> = jobs::table
                .filter(jobs::id.eq_any(&ids))
                .select((jobs::id, jobs::state, jobs::fence))
                .load(conn)?;
            for (id, code, fence) in found {
                // A code without a state is damage; such a job does not run, so it has not ended.
                let state = State::from_code(code).unwrap_or(State::Blocked);
                standings.insert(JobId(id), (state, fence));
            }
        }
        Ok(standings)
    }
}

/// The same as [`read`], with what is kept beside running jobs.
fn read_filled(conn: &mut Db, ids: &[i64]) -> Result<(Vec<Job>, usize), StoreError> {
    let (mut jobs, read) = read(conn, ids)?;
    live::fill(conn, &mut jobs)?;
    Ok((jobs, read))
}

/// Reads jobs until their payloads are large. Returns how many of the numbers it has looked at, too.
fn read(conn: &mut Db, ids: &[i64]) -> Result<(Vec<Job>, usize), StoreError> {
    let mut jobs = Vec::with_capacity(ids.len());
    let (mut bytes, mut at) = (0, 0);
    for chunk in ids.chunks(CHUNK) {
        let mut found = found_jobs!(conn, jobs::id.eq_any(chunk));
        read_labels(conn, &mut found)?;
        let mut found: HashMap<i64, _> = found.into_iter().map(|found| (found.row.id, found)).collect();
        for id in chunk {
            if let Some(job) = found.remove(id) {
                bytes += job.bytes();
                if bytes > PAGE_BYTES && !jobs.is_empty() {
                    return Ok((jobs, at));
                }
                jobs.push(job.read(conn)?);
            }
            at += 1;
        }
    }
    Ok((jobs, at))
}
