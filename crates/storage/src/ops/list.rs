//! Reading many jobs.

use std::collections::HashMap;

use diesel::prelude::*;
use queuectl_core::Job;

use super::listing;
use crate::rows::found_jobs;
use crate::schema::jobs;
use crate::types::list::{ListFilter, Position};
use crate::{Store, StoreError};

/// Jobs read by one statement.
const CHUNK: usize = 100;
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
            let mut page = Page {
                jobs: Vec::with_capacity(places.len()),
                more: places.len() >= filter.limit as usize,
            };
            let mut bytes = 0;
            for chunk in places.chunks(CHUNK) {
                let ids: Vec<i64> = chunk.iter().map(|place| place.id).collect();
                let found = found_jobs!(conn, jobs::id.eq_any(&ids));
                let mut found: HashMap<i64, _> =
                    found.into_iter().map(|found| (found.row.id, found)).collect();
                for job in ids.iter().filter_map(|id| found.remove(id)) {
                    bytes += job.bytes();
                    if bytes > PAGE_BYTES && !page.jobs.is_empty() {
                        page.more = true;
                        return Ok(page);
                    }
                    page.jobs.push(job.read(conn)?);
                }
            }
            Ok(page)
        })
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
