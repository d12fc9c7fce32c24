//! The claims ledger of a node: which claimed jobs are not assigned yet, which run on which worker, and which outcomes are not yet
//! recorded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use queuectl_core::{JobId, Timestamp};
use queuectl_executor::{RunKey, StopReason};
use queuectl_storage::{Claimed, Record};

/// Everything that the node has claimed and the store does not yet have back.
#[derive(Default)]
pub struct Claims {
    /// Claimed, not started.
    pub unassigned: VecDeque<Claimed>,
    /// Sent to a worker.
    running: BTreeMap<RunKey, Running>,
    /// The jobs on each worker, in the order in which they were sent: so they start there.
    by_worker: Vec<Vec<RunKey>>,
    /// How many of the running ones wait to be taken over.
    to_adopt: usize,
    /// Ended or given back, to be recorded with the next cycle.
    pub unrecorded: Vec<Record>,
    /// How many are being recorded beside the cycles.
    pub recording: usize,
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

    /// Takes all jobs off a worker that died and had so many slots: first those that may have started, then those that
    /// have not. Those that can be taken over stay, and wait for another worker.
    pub fn take_from(&mut self, worker: usize, slots: usize) -> (Vec<Running>, Vec<Running>) {
        let keys = std::mem::take(self.at_worker_mut(worker));
        let (mut started, mut waiting) = (Vec::new(), Vec::new());
        for (place, key) in keys.into_iter().enumerate() {
            match self.running.get_mut(&key) {
                Some(running) if running.handle.is_some() && running.adoptions < ADOPTIONS => {
                    running.adoptions += 1;
                    running.worker = NOBODY;
                    self.to_adopt += 1;
                }
                _ if place < slots => started.extend(self.running.remove(&key)),
                _ => waiting.extend(self.running.remove(&key)),
            }
        }
        (started, waiting)
    }

    /// A job that waited at its worker has a slot now.
    pub fn got_slot(&mut self, key: RunKey, now: Timestamp) {
        if let Some(running) = self.running.get_mut(&key) {
            running.sent_at = now;
        }
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

    /// A job that was sent to a worker.
    pub fn get(&self, key: RunKey) -> Option<&Running> {
        self.running.get(&key)
    }

    /// Jobs that run on workers of so many slots each, and those that wait there for one.
    pub fn running_and_waiting(&self, slots: usize) -> (usize, usize) {
        let waiting = self
            .by_worker
            .iter()
            .map(|line| line.len().saturating_sub(slots))
            .sum();
        (self.running.len() - waiting, waiting)
    }

    /// Whether a job waits to be taken over.
    pub fn any_to_adopt(&self) -> bool {
        self.to_adopt > 0
    }

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
    pub fn stop(&mut self, job: JobId, fence: i64, reason: StopReason) -> Option<(usize, RunKey)> {
        let key = RunKey { job, fence };
        let running = self
            .running
            .get_mut(&key)
            .filter(|running| running.stopping.is_none())?;
        running.stopping = Some(reason);
        Some((running.worker, key))
    }

    /// Compares with the claims that the store says the node has. Outcomes of others are in the store already and are
    /// forgotten here; returns how many. And which of the claims the node knows nothing of.
    pub fn compare(&mut self, held: &BTreeSet<RunKey>) -> (usize, BTreeSet<RunKey>) {
        let before = self.unrecorded.len();
        self.unrecorded.retain(|record| held.contains(&key_of(record)));
        let mut unknown = held.clone();
        self.unassigned
            .iter()
            .map(key)
            .for_each(|key| _ = unknown.remove(&key));
        self.running.keys().for_each(|key| _ = unknown.remove(key));
        self.unrecorded
            .iter()
            .map(key_of)
            .for_each(|key| _ = unknown.remove(&key));
        (before - self.unrecorded.len(), unknown)
    }

    /// Whether the node owes the store nothing.
    pub fn is_empty(&self) -> bool {
        self.unassigned.is_empty()
            && self.running.is_empty()
            && self.unrecorded.is_empty()
            && self.recording == 0
    }
}

/// The key under which a claim is known to the workers.
pub fn key(job: &Claimed) -> RunKey {
    RunKey {
        job: JobId(job.id),
        fence: job.fence,
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
    use crate::node::decide::{self, Subject};
    use queuectl_core::NodeId;

    fn claimed(id: i64) -> Claimed {
        Claimed {
            id,
            name: None,
            queue: "q".into(),
            priority: 0,
            attempt: 1,
            fence: 1,
            system_failures: 0,
            max_retries: None,
            backoff_base: None,
            timeout_ms: None,
            executor: "shell".into(),
            payload: "{}".into(),
            sum: None,
        }
    }

    #[test]
    fn a_report_of_a_worker_that_lost_the_job_is_nobodys() {
        let mut claims = Claims::default();
        let (job, bystander) = (claimed(1), claimed(2));
        claims.start(0, job.clone(), Timestamp(1));
        claims.start(1, bystander.clone(), Timestamp(1));
        assert!(claims.finish(1, key(&job)).is_none(), "it runs elsewhere");
        let (started, waiting) = claims.take_from(0, 1);
        assert_eq!((numbers(&started), numbers(&waiting)), (vec![1], vec![]));
        assert!(claims.finish(0, key(&job)).is_none(), "it was taken off");
        assert_eq!((claims.running(), claims.at_worker(1).len()), (1, 1));
        assert!(claims.finish(1, key(&bystander)).is_some());
        assert!(claims.is_empty());
    }

    #[test]
    fn a_job_is_told_to_stop_once() {
        let mut claims = Claims::default();
        claims.start(3, claimed(1), Timestamp(1));
        let cancelled = StopReason::Cancelled;
        assert_eq!(claims.stop(JobId(1), 2, cancelled), None, "another attempt");
        assert_eq!(claims.stop(JobId(1), 1, cancelled), Some((3, key(&claimed(1)))));
        assert_eq!(claims.stop(JobId(1), 1, cancelled), None);
        assert_eq!(claims.stop_all(StopReason::Returned), []);
        assert_eq!(claims.all(), [(3, key(&claimed(1)))]);
    }

    fn numbers(jobs: &[Running]) -> Vec<i64> {
        jobs.iter().map(|running| running.job.id).collect()
    }

    #[test]
    fn only_the_first_of_a_line_may_have_started() {
        let mut claims = Claims::default();
        for id in [5, 3, 4, 1] {
            claims.start(0, claimed(id), Timestamp(1));
        }
        assert_eq!(claims.running_and_waiting(2), (2, 2));
        claims.finish(0, key(&claimed(3)));
        assert_eq!(claims.running_and_waiting(2), (2, 1));
        let (started, waiting) = claims.take_from(0, 2);
        assert_eq!((numbers(&started), numbers(&waiting)), (vec![5, 4], vec![1]));
        assert!(claims.is_empty());
    }

    #[test]
    fn what_the_store_has_and_the_node_does_not_is_told_apart() {
        let mut claims = Claims::default();
        claims.unassigned.push_back(claimed(1));
        claims.start(0, claimed(2), Timestamp(1));
        for id in [3, 4] {
            let record = decide::given_back(&Subject::from(&claimed(id)), NodeId(1));
            claims.unrecorded.push(record);
        }
        // The claim of 5 was stored and never heard of, and so was the end of 4.
        let held = [1, 2, 3, 5].map(|id| key(&claimed(id))).into_iter().collect();
        let (recorded, unknown) = claims.compare(&held);
        assert_eq!(recorded, 1);
        assert_eq!(unknown, BTreeSet::from([key(&claimed(5))]));
        assert_eq!(
            claims
                .unrecorded
                .iter()
                .map(|record| record.job.0)
                .collect::<Vec<_>>(),
            [3]
        );
        assert_eq!((claims.unassigned.len(), claims.running()), (1, 1), "bystanders");
    }

    #[test]
    fn only_what_was_saved_is_taken_over_and_not_for_ever() {
        let mut claims = Claims::default();
        let (saved, crashed) = (claimed(1), claimed(2));
        claims.start(0, saved.clone(), Timestamp(1));
        claims.start(0, crashed, Timestamp(1));
        claims.save(key(&saved), b"there".to_vec());
        for _ in 0..ADOPTIONS {
            let (gone, _) = claims.take_from(0, 2);
            assert!(numbers(&gone).iter().all(|id| *id == 2));
            assert!(claims.any_to_adopt() && claims.at_worker(0).is_empty());
            assert!(claims.finish(0, key(&saved)).is_none(), "the dead have no say");
            assert_eq!(claims.adopt(0).map(|running| running.job.id), Some(1));
            assert!(claims.adopt(0).is_none());
        }
        let (gone, _) = claims.take_from(0, 2);
        assert_eq!(numbers(&gone), [1]);
        assert!(claims.is_empty());
    }
}
