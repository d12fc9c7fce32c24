//! From a selector to the jobs that it means, and which of them come next.
//!
//! A selector is resolved once: names, `last` and ages become numbers and times, so that what it means does not change while
//! a command goes through its jobs.

use std::collections::HashSet;

use diesel::prelude::*;
use queuectl_core::selector::{Filter, Pick, Selector};
use queuectl_core::{GroupName, JobId, JobRef, Timestamp};

use super::labelled::{MANY, count_with_label};
use super::{groups, listing};
use crate::schema::jobs;
use crate::types::filter::{Among, JobFilter};
use crate::types::list::{ListFilter, Position};
use crate::{Store, StoreError};

/// Places that are counted with one statement.
const COUNTED: u32 = 10_000;

/// Some of the jobs that a filter means.
#[derive(Debug, Clone, Default)]
pub struct Selected {
    /// Their numbers, in the order of a list.
    pub jobs: Vec<JobId>,
    /// Behind which place there may be more.
    pub next: Option<Position>,
}

impl Store {
    /// Resolves a selector at that moment.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`] and [`StoreError::NoSuchGroup`] of what is named.
    pub fn job_filter(&mut self, selector: &Selector, now: Timestamp) -> Result<JobFilter, StoreError> {
        let mut filter = self.narrowing(selector.filters(), now)?;
        if !selector.picks().is_empty() {
            let picks = selector.picks().iter().map(|pick| self.among(pick));
            filter.among = Some(picks.collect::<Result<_, _>>()?);
        } else if !filter.groups.is_empty() {
            // Members are found by their group.
            let groups = std::mem::take(&mut filter.groups).into_iter();
            filter.among = Some(groups.map(Among::Group).collect());
        } else {
            self.find_by_label(&mut filter)?;
        }
        Ok(filter)
    }

    /// Has the jobs found by their rarest label, unless it is common and their states find them sooner.
    fn find_by_label(&mut self, filter: &mut JobFilter) -> Result<(), StoreError> {
        let conn = self.conn()?;
        let mut rarest: Option<(usize, i64)> = None;
        for (place, any) in filter.labels.iter().enumerate() {
            let jobs = count_with_label(conn, any)?;
            if rarest.is_none_or(|(_, least)| jobs < least) {
                rarest = Some((place, jobs));
            }
        }
        if let Some((place, jobs)) = rarest
            && (jobs < MANY || filter.states.is_empty())
        {
            let any = filter.labels.remove(place).into_iter();
            filter.among = Some(any.map(Among::Label).collect());
        }
        Ok(())
    }

    /// The filters of a selector without the jobs that it names.
    ///
    /// # Errors
    /// [`StoreError::NoSuchGroup`].
    pub fn narrowing(&mut self, filters: &[Filter], now: Timestamp) -> Result<JobFilter, StoreError> {
        let mut all = JobFilter::default();
        let ago = |age: std::time::Duration| {
            let ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
            Timestamp(now.0.saturating_sub(ms))
        };
        for filter in filters.iter().cloned() {
            match filter {
                Filter::State(states) => all.states = states,
                Filter::Queue(queues) => all.queues = queues,
                Filter::Executor(executors) => all.executors = executors,
                Filter::Group(groups) => {
                    groups.iter().try_for_each(|group| self.check_group(group))?;
                    all.groups = groups;
                }
                Filter::Schedule(schedules) => all.schedules = schedules,
                Filter::Label(any) => all.labels.push(any),
                Filter::Exit(exits) => all.exits = exits,
                Filter::Error(error) => all.errors.push(error),
                Filter::Text(text) => all.texts.push(text),
                Filter::Older(age) => all.until = Some(ago(age)),
                Filter::Newer(age) => all.since = Some(ago(age)),
            }
        }
        all.states.sort_unstable();
        all.states.dedup();
        all.queues.sort_unstable();
        all.queues.dedup();
        Ok(all)
    }

    /// The one job that a pick names.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`] if there are not as many jobs, or the pick names more than one.
    pub fn picked(&mut self, pick: &Pick) -> Result<JobRef, StoreError> {
        match pick {
            Pick::Job(job) => Ok(job.clone()),
            Pick::Last(back) => {
                let id: Option<i64> = jobs::table
                    .order(jobs::id.desc())
                    .offset(i64::from(*back))
                    .select(jobs::id)
                    .first(self.conn()?)
                    .optional()?;
                let id = id.ok_or_else(|| StoreError::NoSuchJob(pick.to_string()))?;
                Ok(JobRef::Number(JobId(id)))
            }
            Pick::Range(..) | Pick::Group(_) => Err(StoreError::NoSuchJob(pick.to_string())),
        }
    }

    fn among(&mut self, pick: &Pick) -> Result<Among, StoreError> {
        Ok(match pick {
            Pick::Range(from, to) => Among::Numbers(*from, *to),
            Pick::Group(group) => {
                self.check_group(group)?;
                Among::Group(group.clone())
            }
            Pick::Job(_) | Pick::Last(_) => {
                let job = self.picked(pick)?;
                let id = self.job(&job)?.id;
                Among::Numbers(id, id)
            }
        })
    }

    fn check_group(&mut self, group: &GroupName) -> Result<(), StoreError> {
        groups::find(self.conn()?, group.as_str()).map(|_| ())
    }

    /// Makes a filter mean no job that is stored, or ends, after this moment.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn freeze(&mut self, filter: &mut JobFilter, now: Timestamp) -> Result<(), StoreError> {
        let newest: Option<i64> = jobs::table
            .order(jobs::id.desc())
            .select(jobs::id)
            .first(self.conn()?)
            .optional()?;
        let newest = JobId(newest.unwrap_or(0));
        filter.up_to = Some(filter.up_to.map_or(newest, |last| last.min(newest)));
        filter.until = Some(filter.until.map_or(now, |until| until.min(now)));
        Ok(())
    }

    /// The numbers of the first jobs behind that place, oldest first.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn select(
        &mut self,
        filter: &JobFilter,
        after: Option<Position>,
        limit: u32,
    ) -> Result<Selected, StoreError> {
        let page = ListFilter {
            jobs: filter.clone(),
            above: after,
            below: None,
            oldest_first: true,
            limit,
        };
        let places = listing::positions(self.conn()?, &page)?;
        let is_full = places.len() >= limit as usize;
        Ok(Selected {
            next: places.last().copied().filter(|_| is_full),
            jobs: places.into_iter().map(|place| JobId(place.id)).collect(),
        })
    }

    /// Those of some jobs that a filter means.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn still_fit(&mut self, filter: &JobFilter, jobs: &[JobId]) -> Result<HashSet<JobId>, StoreError> {
        let fitting = listing::fitting(self.conn()?, filter, jobs)?;
        Ok(fitting.into_iter().map(|(job, _)| JobId(job)).collect())
    }

    /// How many jobs a filter means. Reads an index entry for each.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn count_selected(&mut self, filter: &JobFilter) -> Result<u64, StoreError> {
        let (mut sum, mut after) = (0, None);
        loop {
            let page = self.select(filter, after, COUNTED)?;
            sum += page.jobs.len() as u64;
            after = page.next;
            if after.is_none() {
                return Ok(sum);
            }
        }
    }
}
