//! The recorder of a node: what ended, or is given back, and is not recorded in the store yet.
//!
//! It says when a cycle should record and what; the transaction is the dispatcher's. On a server it also has many of them
//! recorded beside the cycles. What fails there comes back, and the store counts as failed then: the dispatcher finds out
//! what was stored all the same and records the rest by a cycle.

mod own_connection;
mod pending_acks;

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use queuectl_core::settings::Durability;
use queuectl_core::{ExecutorName, NodeId, State, Timestamp};
use queuectl_executor::RunKey;
use queuectl_storage::{Claimed, CycleResult, Record, StoreError};

use self::own_connection::Batch;
pub use self::own_connection::{OwnConnection, Reply};
use self::pending_acks::PendingAcks;
use crate::env::Instant;

/// How long outcomes may wait for company while the workers have enough to do, and how many wait at most.
const LINGER: Duration = Duration::from_millis(20);
const LINGER_MOST: usize = 512;
/// Number of outcomes that is worth a transaction of its own.
const APART: usize = 128;

/// See the module.
pub struct Recorder {
    /// To be recorded with the next cycle.
    unrecorded: Vec<Record>,
    /// Since when they wait.
    since: Option<Instant>,
    /// How many are being recorded beside the cycles.
    in_flight: usize,
    acks: PendingAcks,
    /// Only where the store is on a server.
    apart: Option<OwnConnection>,
    /// The last batch beside the cycles failed, and no cycle has recorded anything since.
    apart_failed: bool,
    /// Why, until the dispatcher deals with it.
    error: Option<StoreError>,
}

/// Outcomes that are recorded now.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Which workers to tell of which runs.
    pub acks: BTreeMap<usize, Vec<RunKey>>,
    /// Whether some jobs may be claimed again.
    pub any_runnable: bool,
}

impl Recorder {
    /// With the way to record beside the cycles, if there is one.
    pub fn new(apart: Option<OwnConnection>) -> Recorder {
        Recorder {
            unrecorded: Vec::new(),
            since: None,
            in_flight: 0,
            acks: PendingAcks::default(),
            apart,
            apart_failed: false,
            error: None,
        }
    }

    /// Has an outcome recorded with the next cycle.
    pub fn add(&mut self, record: Record) {
        self.unrecorded.push(record);
        self.since.get_or_insert_with(Instant::now);
    }

    /// The executor of a run that ended may keep something of it until its outcome is recorded: that worker is to tell it,
    /// or any if it died.
    pub fn await_ack(&mut self, worker: Option<usize>, job: &Claimed, handle: Option<Vec<u8>>) {
        self.acks.ended(worker, job, handle);
    }

    /// A worker process died, and may not have told executors what it was to tell them.
    pub fn worker_gone(&mut self, worker: usize) {
        self.acks.worker_gone(worker);
    }

    /// How many outcomes are not recorded.
    pub fn len(&self) -> usize {
        self.unrecorded.len() + self.in_flight
    }

    /// How many of them the next cycle would record.
    pub fn waiting(&self) -> usize {
        self.unrecorded.len()
    }

    /// Whether some are being recorded beside the cycles.
    pub fn is_busy(&self) -> bool {
        self.in_flight > 0
    }

    /// Whether it is time to record something. `may_linger` says whether outcomes may wait for others, `claiming` whether
    /// there is a commit anyway.
    pub fn is_due(&self, claiming: bool, may_linger: bool) -> bool {
        self.since
            .is_some_and(|since| claiming || !self.lingers(may_linger) || since.elapsed() >= LINGER)
    }

    /// When it is.
    pub fn next(&self, may_linger: bool) -> Option<Instant> {
        // While a batch is being recorded the rest waits for that.
        let since = self.since.filter(|_| !self.is_busy())?;
        Some(if self.lingers(may_linger) {
            since + LINGER
        } else {
            since
        })
    }

    fn lingers(&self, may_linger: bool) -> bool {
        may_linger && self.unrecorded.len() < LINGER_MOST
    }

    /// Has what waits recorded beside the cycles, if that is possible and worth it.
    pub fn record_apart(&mut self, node: NodeId, durability: Durability, now: Timestamp) {
        let Some(apart) = &mut self.apart else {
            return;
        };
        if self.apart_failed || self.in_flight > 0 || self.unrecorded.len() < APART {
            return;
        }
        let batch = Batch {
            records: mem::take(&mut self.unrecorded),
            node,
            durability,
            now,
        };
        let count = batch.records.len();
        match apart.take(batch) {
            Ok(()) => {
                self.in_flight = count;
                self.acks.recording();
                self.since = None;
            }
            Err(records) => self.unrecorded = records,
        }
    }

    /// A batch came back. Returns what the store said if it is recorded.
    pub fn returned(&mut self, reply: Reply) -> Option<(CycleResult, Recorded)> {
        self.in_flight = 0;
        let Reply { mut records, result } = reply;
        match result {
            Ok(stored) => {
                let recorded = Recorded {
                    acks: self.acks.recorded(),
                    // Jobs that were given back, and those that it made due.
                    any_runnable: true,
                };
                Some((stored, recorded))
            }
            Err(error) => {
                self.acks.not_recorded();
                records.append(&mut self.unrecorded);
                self.unrecorded = records;
                self.since.get_or_insert_with(Instant::now);
                self.apart_failed = true;
                self.error = Some(error);
                None
            }
        }
    }

    /// Why the last batch failed, once: the store has failed, whichever the connection was.
    pub fn take_error(&mut self) -> Option<StoreError> {
        self.error.take()
    }

    /// What the next cycle is to record.
    pub fn records(&self) -> &[Record] {
        &self.unrecorded
    }

    /// A cycle has recorded that.
    pub fn recorded(&mut self) -> Recorded {
        self.acks.recording();
        let any_runnable = self
            .unrecorded
            .drain(..)
            .fold(false, |any, record| any | (record.change.to() == State::Pending));
        self.since = None;
        self.apart_failed = false;
        Recorded {
            acks: self.acks.recorded(),
            any_runnable,
        }
    }

    /// Forgets the outcomes of jobs that the store says the node does not have: they are recorded. Returns how many.
    pub fn forget_recorded(&mut self, held: &BTreeSet<RunKey>) -> usize {
        let before = self.unrecorded.len();
        self.unrecorded.retain(|record| held.contains(&key_of(record)));
        before - self.unrecorded.len()
    }

    /// Whether that job's outcome waits.
    pub fn has(&self, key: RunKey) -> bool {
        self.unrecorded.iter().any(|record| key_of(record) == key)
    }

    /// What a worker is to discard for those that died, if there is anything.
    pub fn discards(&mut self, worker: Option<usize>) -> Vec<(ExecutorName, Vec<Vec<u8>>)> {
        match worker {
            Some(worker) if self.acks.any_to_discard() => self.acks.discarded_by(worker),
            _ => Vec::new(),
        }
    }
}

fn key_of(record: &Record) -> RunKey {
    RunKey {
        job: record.job,
        fence: record.fence,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::decide::{self, Subject, key};
    use crate::node::testing::claimed;
    use queuectl_storage::Location;

    fn given_back(id: i64) -> Record {
        decide::given_back(&Subject::from(&claimed(id)), NodeId(1))
    }

    fn with(ids: impl IntoIterator<Item = i64>) -> Recorder {
        let mut recorder = Recorder::new(None);
        ids.into_iter().for_each(|id| recorder.add(given_back(id)));
        recorder
    }

    fn ids(recorder: &Recorder) -> Vec<i64> {
        recorder.records().iter().map(|record| record.job.0).collect()
    }

    #[test]
    fn outcomes_wait_for_company_only_while_workers_are_busy_and_not_for_ever() {
        let mut recorder = with([]);
        assert!(!recorder.is_due(true, false), "there are none");
        assert_eq!(recorder.next(false), None);
        recorder.add(given_back(1));
        assert!(recorder.is_due(false, false) && recorder.is_due(true, true));
        assert!(!recorder.is_due(false, true));
        assert!(recorder.next(true) > recorder.next(false));
        recorder.since = Instant::now().checked_sub(LINGER);
        assert!(recorder.is_due(false, true), "it has waited");
        let full = with(1..=LINGER_MOST as i64);
        assert!(full.is_due(false, true), "these are enough");
    }

    #[test]
    fn what_a_cycle_recorded_is_told_and_forgotten() {
        let mut recorder = with([1, 2]);
        recorder.await_ack(Some(3), &claimed(1), None);
        assert_eq!((recorder.len(), recorder.waiting()), (2, 2));
        let recorded = recorder.recorded();
        assert!(recorded.any_runnable);
        assert_eq!(recorded.acks, BTreeMap::from([(3, vec![key(&claimed(1))])]));
        assert_eq!(recorder.len(), 0);
        assert!(!recorder.is_due(true, false));
        assert_eq!(recorder.recorded(), Recorded::default(), "once");
    }

    #[test]
    fn what_the_store_has_already_is_not_recorded_again() {
        let mut recorder = with([1, 2]);
        let held = BTreeSet::from([key(&claimed(2)), key(&claimed(9))]);
        assert_eq!(recorder.forget_recorded(&held), 1);
        assert_eq!(ids(&recorder), [2], "the bystander stays");
        assert!(recorder.has(key(&claimed(2))) && !recorder.has(key(&claimed(1))));
    }

    #[test]
    fn a_batch_that_fails_comes_back_and_the_next_cycle_records_it() {
        let nowhere = Location::Sqlite("/nonexistent/queue.db".into());
        let (reply, replies) = std::sync::mpsc::channel();
        let apart = OwnConnection::new(&nowhere, move |result| reply.send(result).is_ok());
        let mut recorder = Recorder::new(Some(apart));
        let now = Timestamp(1);
        recorder.add(given_back(1));
        recorder.record_apart(NodeId(1), Durability::Full, now);
        assert!(!recorder.is_busy(), "one is not worth it");
        let many = 2..=APART as i64;
        many.for_each(|id| recorder.add(given_back(id)));
        recorder.record_apart(NodeId(1), Durability::Full, now);
        assert!(recorder.is_busy());
        assert_eq!((recorder.len(), recorder.waiting()), (APART, 0));
        recorder.add(given_back(1000));
        assert_eq!(recorder.next(false), None, "it waits for the batch");
        let reply = replies.recv_timeout(Duration::from_secs(60)).unwrap();
        assert!(recorder.returned(reply).is_none());
        assert!(recorder.take_error().is_some() && recorder.take_error().is_none());
        assert_eq!(recorder.waiting(), APART + 1);
        assert_eq!(ids(&recorder).last(), Some(&1000), "in their order");
        recorder.record_apart(NodeId(1), Durability::Full, now);
        assert!(
            !recorder.is_busy(),
            "a cycle is to show first that the store can be used"
        );
        recorder.recorded();
        assert!(!recorder.apart_failed);
    }
}
