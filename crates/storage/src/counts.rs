//! How many jobs each queue has in each state, kept beside the jobs so that no command has to count millions of rows.
//!
//! Every transaction that moves jobs writes the differences along, once per queue and state and not per job. Two states
//! are left out: running jobs are few and counted when somebody asks, and completed is what is left of all. So a cycle
//! that records successes and claims the next jobs writes one row here.

use std::collections::{BTreeMap, BTreeSet};

use queuectl_core::State;

use crate::states::{ALL, sql};

/// All jobs, and the states from 0 to 7.
const COLUMNS: usize = 9;

/// What a transaction has changed so far and has to settle before it ends.
#[derive(Debug, Default)]
pub struct Deltas {
    /// Differences by queue; of each queue all jobs first, then the states.
    counts: BTreeMap<String, [i64; COLUMNS]>,
    /// Groups of which a member has ended. They are locked at the end and in the order of their numbers, so that transactions
    /// wait for each other and never in a circle.
    groups: BTreeSet<i64>,
    /// Jobs that name limits and changed their state, and whether they are ready. Limits come last, because their lock comes
    /// after those of rows.
    limited: Vec<(i64, bool)>,
}

impl Deltas {
    /// Adds jobs that came into the queue (or left it, if negative), in that state.
    pub fn came(&mut self, queue: &str, state: State, jobs: i64) {
        self.add(queue, ALL, jobs);
        self.entered(queue, state, jobs);
    }

    /// Adds jobs of the queue that entered that state (or left it, if negative).
    pub fn entered(&mut self, queue: &str, state: State, jobs: i64) {
        if !matches!(state, State::Processing | State::Completed) {
            self.add(queue, state.code(), jobs);
        }
    }

    /// These jobs became due: their queues, and their fences, by which scheduled jobs, never claimed, are told from
    /// failed ones.
    pub fn promoted(&mut self, jobs: &[(String, i64)]) {
        for (queue, fence) in jobs {
            let from = if *fence == 0 {
                State::Scheduled
            } else {
                State::Failed
            };
            self.entered(queue, from, -1);
            self.entered(queue, State::Pending, 1);
        }
    }

    fn add(&mut self, queue: &str, state: i16, jobs: i64) {
        let column = usize::try_from(state - ALL).unwrap_or(0);
        // A queue that is there, as nearly always, is found without a copy of its name.
        match self.counts.get_mut(queue) {
            Some(sums) => sums[column] += jobs,
            None => self.counts.entry(queue.to_owned()).or_default()[column] += jobs,
        }
    }

    /// How many more jobs of the queue, or of all queues, are in that state.
    pub fn of(&self, queue: Option<&str>, state: State) -> i64 {
        let column = usize::try_from(state.code() - ALL).unwrap_or(0);
        let queues = self.counts.iter();
        let meant = queues.filter(|(name, _)| queue.is_none_or(|queue| queue == name.as_str()));
        meant.map(|(_, sums)| sums[column]).sum()
    }

    /// Whether a queue has fewer jobs in that state.
    pub fn has_less(&self, state: State) -> bool {
        let column = usize::try_from(state.code() - ALL).unwrap_or(0);
        self.counts.values().any(|sums| sums[column] < 0)
    }

    /// A member of these groups has ended.
    pub fn touched_groups(&mut self, groups: impl IntoIterator<Item = i64>) {
        self.groups.extend(groups);
    }

    /// The next group to settle.
    pub fn next_group(&mut self) -> Option<i64> {
        self.groups.pop_first()
    }

    /// A job that names limits has this state now.
    pub fn limited(&mut self, job: i64, state: State) {
        self.limited.push((job, state == State::Pending));
    }

    /// Takes out the jobs that name limits and changed their state, and those of them that became ready.
    pub fn take_limited(&mut self) -> (Vec<i64>, Vec<i64>) {
        let limited = std::mem::take(&mut self.limited);
        let ready = limited.iter().filter(|(_, is_ready)| *is_ready);
        let ready = ready.map(|(job, _)| *job).collect();
        (limited.into_iter().map(|(job, _)| job).collect(), ready)
    }

    /// The queues that something happened to.
    pub fn queues(&self) -> Vec<String> {
        self.counts.keys().cloned().collect()
    }

    /// What changed: queue, the column for the state, jobs.
    pub fn changes(self) -> impl Iterator<Item = (String, i16, i64)> {
        debug_assert!(self.groups.is_empty(), "groups are settled before");
        debug_assert!(self.limited.is_empty(), "limits are settled before");
        self.counts.into_iter().flat_map(|(queue, sums)| {
            let changed = (ALL..).zip(sums).filter(|(_, jobs)| *jobs != 0);
            changed.map(move |(state, jobs)| (queue.clone(), state, jobs))
        })
    }
}

/// Counts the jobs and compares: how many pairs of queue and state have a wrong count. Reads every job.
pub const WRONG: &str = sql!(
    "WITH counted (queue, state, jobs) AS (\
     SELECT queue, {all}, count(*) FROM jobs GROUP BY queue \
     UNION ALL \
     SELECT queue, state, count(*) FROM jobs WHERE state IN ({blocked}, {pending}, {scheduled}, {failed}, {dead}, {cancelled}) GROUP BY queue, state), \
     kept (queue, state, jobs) AS (\
     SELECT queue, state, sum(jobs) FROM counts GROUP BY queue, state HAVING sum(jobs) <> 0) \
     SELECT count(*) FROM (SELECT DISTINCT queue, state FROM (\
     SELECT * FROM (SELECT * FROM counted EXCEPT SELECT * FROM kept) AS missing \
     UNION ALL \
     SELECT * FROM (SELECT * FROM kept EXCEPT SELECT * FROM counted) AS surplus) AS either) AS pairs"
);

/// Recounts the jobs. Reads every job.
pub const RECOUNT: &str = sql!(
    "DELETE FROM counts; \
     INSERT INTO counts SELECT queue, {all}, count(*) FROM jobs GROUP BY queue; \
     INSERT INTO counts SELECT queue, state, count(*) FROM jobs WHERE state IN ({blocked}, {pending}, {scheduled}, {failed}, {dead}, {cancelled}) GROUP BY queue, state;"
);
