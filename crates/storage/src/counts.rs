//! How many jobs each queue has in each state, kept beside the jobs so that no command has to count millions of rows.
//!
//! Every transaction that moves jobs writes the differences along, once per queue and state and not per job. Two states
//! are left out: running jobs are few and counted when somebody asks, and completed is what is left of all. So a cycle
//! that records successes and claims the next jobs writes one row here.

use std::collections::BTreeMap;

use queuectl_core::State;

use crate::states::{ALL, sql};

/// All jobs, and the states from 0 to 7.
const COLUMNS: usize = 9;

/// Differences that a transaction has made so far, by queue; of each queue all jobs first, then the states.
#[derive(Debug, Default)]
pub struct Deltas(BTreeMap<String, [i64; COLUMNS]>);

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
        match self.0.get_mut(queue) {
            Some(sums) => sums[column] += jobs,
            None => self.0.entry(queue.to_owned()).or_default()[column] += jobs,
        }
    }

    /// The queues that something happened to.
    pub fn queues(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    /// What changed: queue, the column for the state, jobs.
    pub fn changes(self) -> impl Iterator<Item = (String, i16, i64)> {
        self.0.into_iter().flat_map(|(queue, sums)| {
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
