//! The causes of all dead jobs, with how many jobs each has.
//!
//! Dead jobs are read a page at a time, and a bounded number of causes is told apart, those of the jobs that died last first. A million dead
//! jobs take no more memory than a page of them and the causes.

use std::collections::hash_map::{Entry, HashMap};

use queuectl_core::{QueueName, Timestamp};
use queuectl_storage::{DeadFilter, DeadJob, Store, StoreError};

use crate::cause::{Cause, CauseKey};

/// Causes that are told apart; jobs of others are counted together.
pub const CAUSES: usize = 1000;
/// Queues that are named of one cause.
pub const QUEUES: usize = 10;
/// Dead jobs that are read at a time.
pub(crate) const PAGE: u32 = 500;

/// A cause and the jobs that died of it.
#[derive(Debug, Clone, PartialEq)]
pub struct CauseCount {
    /// The cause.
    pub cause: Cause,
    /// Its key.
    pub key: CauseKey,
    /// Jobs that died of it.
    pub jobs: u64,
    /// Queues of these jobs, by name; the first [`QUEUES`] that were met.
    pub queues: Vec<QueueName>,
    /// When the first of them died.
    pub first: Timestamp,
    /// When the last of them died.
    pub last: Timestamp,
    /// The id of the one that died last.
    pub example: String,
}

/// The causes of dead jobs.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Causes {
    /// The causes: that of most jobs first, then by key. The place in the list is the number of a cause.
    pub list: Vec<CauseCount>,
    /// Jobs of further causes, which are not told apart.
    pub other: u64,
}

impl CauseCount {
    fn new(cause: Cause, job: &DeadJob) -> CauseCount {
        CauseCount {
            key: cause.key(),
            cause,
            jobs: 0,
            queues: Vec::new(),
            first: job.died_at,
            last: job.died_at,
            example: job.public_id(),
        }
    }

    fn add(&mut self, job: &DeadJob) {
        self.jobs += 1;
        if job.died_at > self.last {
            self.last = job.died_at;
            self.example = job.public_id();
        }
        self.first = self.first.min(job.died_at);
        if self.queues.len() < QUEUES && !self.queues.contains(&job.queue) {
            self.queues.push(job.queue.clone());
        }
    }
}

/// Returns the causes of the dead jobs that fit, of which `most` are told apart.
///
/// # Errors
/// [`StoreError::Database`].
pub fn causes(store: &mut Store, filter: &DeadFilter, most: usize) -> Result<Causes, StoreError> {
    let (causes, _) = causes_of_newest(store, filter, most, usize::MAX)?;
    Ok(causes)
}

/// Returns the causes of the jobs that died last, at least `jobs` of them, and whether others died before them.
///
/// # Errors
/// [`StoreError::Database`].
pub fn causes_of_newest(
    store: &mut Store,
    filter: &DeadFilter,
    most: usize,
    jobs: usize,
) -> Result<(Causes, bool), StoreError> {
    let mut tally = Tally::default();
    let (mut seen, mut from) = (0, None);
    let newest_first = DeadFilter {
        oldest_first: false,
        ..filter.clone()
    };
    loop {
        let page = store.dead_page(&newest_first, from, PAGE)?;
        tally.add(&page.jobs, most);
        seen += page.jobs.len();
        from = page.next;
        if from.is_none() || seen >= jobs {
            break;
        }
    }
    Ok((tally.causes(), from.is_some()))
}

impl Causes {
    /// Returns the causes of these dead jobs, of which `most` are told apart.
    pub fn of(jobs: &[DeadJob], most: usize) -> Causes {
        let mut tally = Tally::default();
        tally.add(jobs, most);
        tally.causes()
    }
}

/// Causes while jobs are read.
#[derive(Default)]
struct Tally {
    found: HashMap<Cause, CauseCount>,
    other: u64,
}

impl Tally {
    fn add(&mut self, jobs: &[DeadJob], most: usize) {
        for job in jobs {
            let cause = Cause::of(job);
            let is_full = self.found.len() >= most;
            match self.found.entry(cause) {
                Entry::Occupied(mut entry) => entry.get_mut().add(job),
                Entry::Vacant(_) if is_full => self.other += 1,
                Entry::Vacant(entry) => {
                    let count = CauseCount::new(entry.key().clone(), job);
                    entry.insert(count).add(job);
                }
            }
        }
    }

    fn causes(self) -> Causes {
        let mut list: Vec<CauseCount> = self.found.into_values().collect();
        list.iter_mut().for_each(|count| count.queues.sort_unstable());
        list.sort_by(|a, b| b.jobs.cmp(&a.jobs).then(a.key.cmp(&b.key)));
        let other = self.other;
        Causes { list, other }
    }
}

/// Visits the dead jobs that fit, page by page.
pub(crate) fn each_page(
    store: &mut Store,
    filter: &DeadFilter,
    mut visit: impl FnMut(&mut Store, Vec<DeadJob>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut from = None;
    loop {
        let page = store.dead_page(filter, from, PAGE)?;
        visit(store, page.jobs)?;
        from = page.next;
        if from.is_none() {
            return Ok(());
        }
    }
}
