//! The claims ledger of a node: which claimed jobs are not assigned yet, and which are at which worker.
//!
//! What the node still owes the store of those that ended is with the recorder.

use std::collections::{BTreeMap, VecDeque};

use queuectl_core::Timestamp;
use queuectl_executor::{RunKey, StopReason};
use queuectl_storage::Claimed;

use crate::node::decide::key;

/// Every job that the node has claimed and that has not come back from a worker.
pub struct Claims {
    /// Jobs that a worker runs at a time.
    slots: usize,
    /// Claimed, and not sent to a worker.
    unassigned: VecDeque<Claimed>,
    /// Sent to a worker.
    running: BTreeMap<RunKey, Running>,
    /// The jobs on each worker, in the order in which they were sent: so they start there.
    by_worker: Vec<Vec<RunKey>>,
    /// How many of the running ones wait to be taken over.
    to_adopt: usize,
}

/// A job on a worker.
pub struct Running {
    /// The job.
    pub job: Claimed,
    /// The worker process, counted from 0.
    pub worker: usize,
    /// When it was sent there, or got a slot there later on.
    pub sent_at: Timestamp,
    /// Why it was told to stop, if it was.
    pub stopping: Option<StopReason>,
    /// What its executor saved, by which it can be taken over should its worker process die.
    pub handle: Option<Vec<u8>>,
    /// How often it was taken over.
    pub adoptions: u32,
}

/// The worker of a job that waits to be taken over.
pub const NOBODY: usize = usize::MAX;
/// Most times that a job is taken over: one that kills every worker process must end some time.
const ADOPTIONS: u32 = 3;

impl Claims {
    /// For workers that each run `slots` jobs at a time.
    pub fn new(slots: usize) -> Claims {
        Claims {
            slots,
            unassigned: VecDeque::new(),
            running: BTreeMap::new(),
            by_worker: Vec::new(),
            to_adopt: 0,
        }
    }

    /// Notes jobs as claimed.
    pub fn add(&mut self, claimed: Vec<Claimed>) {
        self.unassigned.extend(claimed);
    }

    /// A job comes back from a worker that has not started it: it is assigned before all others.
    pub fn put_back(&mut self, job: Claimed) {
        self.unassigned.push_front(job);
    }

    /// The next job to assign.
    pub fn pop_unassigned(&mut self) -> Option<Claimed> {
        self.unassigned.pop_front()
    }

    /// How many are not assigned.
    pub fn unassigned(&self) -> usize {
        self.unassigned.len()
    }

    /// Takes all that are not assigned.
    pub fn take_unassigned(&mut self) -> VecDeque<Claimed> {
        std::mem::take(&mut self.unassigned)
    }

    /// Takes that job, if it is not assigned.
    pub fn take_one_unassigned(&mut self, wanted: RunKey) -> Option<Claimed> {
        let index = self.unassigned.iter().position(|job| key(job) == wanted)?;
        self.unassigned.remove(index)
    }

    /// Jobs that a worker runs at a time.
    pub fn slots(&self) -> usize {
        self.slots
    }

    /// The jobs that wait at a worker for a slot.
    pub fn waiting_at(&self, worker: usize) -> &[RunKey] {
        self.at_worker(worker).get(self.slots..).unwrap_or_default()
    }

    /// The jobs that wait at workers, by worker.
    pub fn waiting(&self) -> Vec<(usize, Vec<RunKey>)> {
        let all = (0..self.by_worker.len()).map(|worker| (worker, self.waiting_at(worker).to_vec()));
        all.filter(|(_, keys)| !keys.is_empty()).collect()
    }

    /// Notes a job as sent to a worker.
    pub fn start(&mut self, worker: usize, job: Claimed, sent_at: Timestamp) {
        let running = Running {
            job,
            worker,
            sent_at,
            stopping: None,
            handle: None,
            adoptions: 0,
        };
        let key = key(&running.job);
        self.running.insert(key, running);
        self.at_worker_mut(worker).push(key);
    }

    fn at_worker_mut(&mut self, worker: usize) -> &mut Vec<RunKey> {
        if self.by_worker.len() <= worker {
            self.by_worker.resize_with(worker + 1, Vec::new);
        }
        &mut self.by_worker[worker]
    }

    /// The jobs on a worker, in the order in which they start.
    pub fn at_worker(&self, worker: usize) -> &[RunKey] {
        self.by_worker.get(worker).map_or(&[], Vec::as_slice)
    }

    /// Takes a job off its worker; none if it is not there, because the worker was given up meanwhile.
    pub fn finish(&mut self, worker: usize, key: RunKey) -> Option<Running> {
        if self.running.get(&key)?.worker != worker {
            return None;
        }
        let keys = self.at_worker_mut(worker);
        if let Some(place) = keys.iter().position(|other| *other == key) {
            keys.remove(place);
        }
        self.running.remove(&key)
    }

    /// Takes all jobs off a worker that died: first those that may have started, then those that
    /// have not. Those that can be taken over stay, and wait for another worker.
    pub fn take_from(&mut self, worker: usize) -> (Vec<Running>, Vec<Running>) {
        let keys = std::mem::take(self.at_worker_mut(worker));
        let (mut started, mut waiting) = (Vec::new(), Vec::new());
        for (place, key) in keys.into_iter().enumerate() {
            match self.running.get_mut(&key) {
                Some(running) if running.handle.is_some() && running.adoptions < ADOPTIONS => {
                    running.adoptions += 1;
                    running.worker = NOBODY;
                    self.to_adopt += 1;
                }
                _ if place < self.slots => started.extend(self.running.remove(&key)),
                _ => waiting.extend(self.running.remove(&key)),
            }
        }
        (started, waiting)
    }

    /// A job left its slot at that worker. Returns the one that has it now, if one waited there.
    pub fn slot_freed(&mut self, worker: usize, now: Timestamp) -> Option<&Running> {
        let next = *self.at_worker(worker).get(self.slots - 1)?;
        let running = self.running.get_mut(&next)?;
        running.sent_at = now;
        Some(running)
    }

    /// Notes what an executor saved for a job.
    pub fn save(&mut self, key: RunKey, handle: Vec<u8>) {
        if let Some(running) = self.running.get_mut(&key) {
            running.handle = Some(handle);
        }
    }

    /// The next job that waits to be taken over; it goes to that worker.
    pub fn adopt(&mut self, worker: usize) -> Option<&Running> {
        let mut waiting = self.running.iter_mut();
        let (key, running) = waiting.find(|(_, running)| running.worker == NOBODY)?;
        let key = *key;
        running.worker = worker;
        self.to_adopt -= 1;
        self.at_worker_mut(worker).push(key);
        self.running.get(&key)
    }

    /// Jobs that run, and jobs that wait at workers for a slot.
    pub fn running_and_waiting(&self) -> (usize, usize) {
        let waiting = self.by_worker.iter();
        let waiting = waiting.map(|keys| keys.len().saturating_sub(self.slots)).sum();
        (self.running.len() - waiting, waiting)
    }

    /// Whether a job waits to be taken over.
    pub fn any_to_adopt(&self) -> bool {
        self.to_adopt > 0
    }

    /// How many are at workers.
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// The running jobs that were not told to stop yet, which marks them as told.
    pub fn stop_all(&mut self, reason: StopReason) -> Vec<(usize, RunKey)> {
        let told = self
            .running
            .iter_mut()
            .filter(|(_, running)| running.stopping.is_none());
        told.map(|(key, running)| {
            running.stopping = Some(reason);
            (running.worker, *key)
        })
        .collect()
    }

    /// All running jobs and their workers.
    pub fn all(&self) -> Vec<(usize, RunKey)> {
        self.running
            .iter()
            .map(|(key, running)| (running.worker, *key))
            .collect()
    }

    /// The worker of a running job that was not told to stop yet, which marks it as told.
    pub fn stop(&mut self, key: RunKey, reason: StopReason) -> Option<usize> {
        let running = self
            .running
            .get_mut(&key)
            .filter(|running| running.stopping.is_none())?;
        running.stopping = Some(reason);
        Some(running.worker)
    }

    /// The worker at which a job may have started that was not told to stop. What was taken over did start.
    pub fn started_at(&self, key: RunKey) -> Option<usize> {
        let running = self.running.get(&key)?;
        let worker = running.worker;
        let has_slot = self
            .at_worker(worker)
            .iter()
            .take(self.slots)
            .any(|other| *other == key);
        let started = worker != NOBODY && (has_slot || running.handle.is_some());
        (started && running.stopping.is_none()).then_some(worker)
    }

    /// Whether the node has that job.
    pub fn has(&self, wanted: RunKey) -> bool {
        self.running.contains_key(&wanted) || self.unassigned.iter().any(|job| key(job) == wanted)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.unassigned.len() + self.running.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::testing::claimed;

    #[test]
    fn a_report_of_a_worker_that_lost_the_job_is_nobodys() {
        let mut claims = Claims::new(2);
        let (job, bystander) = (claimed(1), claimed(2));
        claims.start(0, job.clone(), Timestamp(1));
        claims.start(1, bystander.clone(), Timestamp(1));
        assert!(claims.finish(1, key(&job)).is_none(), "it runs elsewhere");
        let (started, waiting) = claims.take_from(0);
        assert_eq!((numbers(&started), numbers(&waiting)), (vec![1], vec![]));
        assert!(claims.finish(0, key(&job)).is_none(), "it was taken off");
        assert_eq!((claims.running(), claims.at_worker(1).len()), (1, 1));
        assert!(claims.finish(1, key(&bystander)).is_some());
        assert_eq!(claims.len(), 0);
    }

    #[test]
    fn a_job_is_told_to_stop_once() {
        let mut claims = Claims::new(2);
        claims.start(3, claimed(1), Timestamp(1));
        let cancelled = StopReason::Cancelled;
        let key = key(&claimed(1));
        let another = RunKey { fence: 2, ..key };
        assert_eq!(claims.stop(another, cancelled), None, "another attempt");
        assert_eq!(claims.stop(key, cancelled), Some(3));
        assert_eq!(claims.stop(key, cancelled), None);
        assert_eq!(claims.stop_all(StopReason::Returned), []);
        assert_eq!(claims.all(), [(3, key)]);
    }

    fn numbers(jobs: &[Running]) -> Vec<i64> {
        jobs.iter().map(|running| running.job.id).collect()
    }

    #[test]
    fn only_the_first_of_a_line_may_have_started() {
        let mut claims = Claims::new(2);
        for id in [5, 3, 4, 1] {
            claims.start(0, claimed(id), Timestamp(1));
        }
        assert_eq!(claims.running_and_waiting(), (2, 2));
        claims.finish(0, key(&claimed(3)));
        assert_eq!(claims.running_and_waiting(), (2, 1));
        let (started, waiting) = claims.take_from(0);
        assert_eq!((numbers(&started), numbers(&waiting)), (vec![5, 4], vec![1]));
        assert_eq!(claims.len(), 0);
    }

    #[test]
    fn a_job_that_waits_for_a_slot_has_not_started() {
        let mut claims = Claims::new(1);
        claims.add(vec![claimed(9)]);
        for id in [5, 3, 4] {
            claims.start(0, claimed(id), Timestamp(1));
        }
        let at = |claims: &Claims, id: i64| claims.started_at(key(&claimed(id)));
        assert_eq!(
            [5, 3, 4, 9].map(|id| at(&claims, id)),
            [Some(0), None, None, None]
        );
        claims.finish(0, key(&claimed(5)));
        assert_eq!([5, 3, 4].map(|id| at(&claims, id)), [None, Some(0), None]);
        // One that is being taken over runs whatever waits before it, but not while it has no worker.
        claims.save(key(&claimed(3)), b"there".to_vec());
        claims.take_from(0);
        assert_eq!(at(&claims, 3), None);
        claims.start(1, claimed(6), Timestamp(1));
        claims.adopt(1);
        assert_eq!([6, 3].map(|id| at(&claims, id)), [Some(1), Some(1)]);
        claims.stop(key(&claimed(6)), StopReason::Cancelled);
        assert_eq!([6, 3].map(|id| at(&claims, id)), [None, Some(1)]);
    }

    #[test]
    fn the_ledger_knows_what_is_assigned_and_what_is_not() {
        let mut claims = Claims::new(1);
        claims.add([1, 2, 3].map(claimed).into());
        let first = claims.pop_unassigned().unwrap();
        claims.start(0, first, Timestamp(1));
        for (id, has) in [(1, true), (2, true), (4, false)] {
            assert_eq!(claims.has(key(&claimed(id))), has, "{id}");
        }
        assert_eq!(
            claims.take_one_unassigned(key(&claimed(1))),
            None,
            "it is assigned"
        );
        assert_eq!(claims.take_one_unassigned(key(&claimed(3))), Some(claimed(3)));
        let back = claims.finish(0, key(&claimed(1))).unwrap();
        claims.put_back(back.job);
        let order: Vec<i64> = claims.take_unassigned().into_iter().map(|job| job.id).collect();
        assert_eq!(order, [1, 2], "what comes back is assigned first");
        assert_eq!(claims.len(), 0);
    }

    #[test]
    fn a_free_slot_goes_to_the_first_that_waits() {
        let mut claims = Claims::new(1);
        (1..=3).for_each(|id| claims.start(0, claimed(id), Timestamp(1)));
        assert_eq!(claims.waiting(), [(0, vec![key(&claimed(2)), key(&claimed(3))])]);
        claims.finish(0, key(&claimed(1)));
        let next = claims.slot_freed(0, Timestamp(9)).unwrap();
        assert_eq!((next.job.id, next.sent_at), (2, Timestamp(9)), "its time begins");
        assert!(
            claims.slot_freed(1, Timestamp(9)).is_none(),
            "nothing waits elsewhere"
        );
    }

    #[test]
    fn only_what_was_saved_is_taken_over_and_not_for_ever() {
        let mut claims = Claims::new(2);
        let (saved, crashed) = (claimed(1), claimed(2));
        claims.start(0, saved.clone(), Timestamp(1));
        claims.start(0, crashed, Timestamp(1));
        claims.save(key(&saved), b"there".to_vec());
        for _ in 0..ADOPTIONS {
            let (gone, _) = claims.take_from(0);
            assert!(numbers(&gone).iter().all(|id| *id == 2));
            assert!(claims.any_to_adopt() && claims.at_worker(0).is_empty());
            assert!(claims.finish(0, key(&saved)).is_none(), "the dead have no say");
            assert_eq!(claims.adopt(0).map(|running| running.job.id), Some(1));
            assert!(claims.adopt(0).is_none());
        }
        let (gone, _) = claims.take_from(0);
        assert_eq!(numbers(&gone), [1]);
        assert_eq!(claims.len(), 0);
    }
}
