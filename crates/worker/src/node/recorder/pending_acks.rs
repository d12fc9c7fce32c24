//! What executors keep of runs that have ended: they are told when the outcome is durable, so that they let go of it.
//!
//! That is told to the worker process that ran it. If this dies before it has let go, another one is told, by the handle
//! that was saved for the run. Whether a process has let go it does not say, so for a while it is taken that it has not.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use queuectl_core::ExecutorName;
use queuectl_executor::RunKey;
use queuectl_storage::Claimed;

use crate::env::Instant;
use crate::node::decide::key;

/// How long a worker process may need to let go of something.
const LETTING_GO: Duration = Duration::from_secs(60);
/// Most runs that are remembered that long.
const TOLD_MOST: usize = 10_000;
/// Most worker processes that are told of a run: one of which it is that kills them must end some time.
const TELLINGS: u32 = 3;

/// An ended run.
#[derive(Debug, Clone)]
struct Ended {
    key: RunKey,
    executor: String,
    handle: Option<Vec<u8>>,
    /// The worker that is to let go of it, counted from 0; none if it died.
    worker: Option<usize>,
    told_at: Instant,
    tellings: u32,
}

/// The ended runs that executors may still keep something of.
#[derive(Debug, Default)]
pub struct PendingAcks {
    /// Their outcomes are not durable yet.
    unrecorded: Vec<Ended>,
    /// Their outcomes are being recorded.
    recording: Vec<Ended>,
    /// Their worker was told.
    told: VecDeque<Ended>,
    /// Their worker died before, or soon after it was told.
    to_discard: Vec<Ended>,
}

impl PendingAcks {
    /// A run ended, on a worker, or with it.
    pub fn ended(&mut self, worker: Option<usize>, job: &Claimed, handle: Option<Vec<u8>>) {
        if worker.is_some() || handle.is_some() {
            self.unrecorded.push(Ended {
                key: key(job),
                executor: job.executor.clone(),
                handle,
                worker,
                told_at: Instant::now(),
                tellings: 0,
            });
        }
    }

    /// What ended so far is going to be recorded.
    pub fn recording(&mut self) {
        self.recording.append(&mut self.unrecorded);
    }

    /// It could not be, and will be tried again.
    pub fn not_recorded(&mut self) {
        self.unrecorded.append(&mut self.recording);
    }

    /// What was to be recorded is durable now: whom to tell of which runs.
    pub fn recorded(&mut self) -> BTreeMap<usize, Vec<RunKey>> {
        let mut by_worker: BTreeMap<usize, Vec<RunKey>> = BTreeMap::new();
        for ended in std::mem::take(&mut self.recording) {
            match ended.worker {
                Some(worker) => {
                    by_worker.entry(worker).or_default().push(ended.key);
                    self.tell(ended, worker);
                }
                None => self.to_discard.push(ended),
            }
        }
        by_worker
    }

    fn tell(&mut self, ended: Ended, worker: usize) {
        // Without a handle there is no other process to tell.
        if ended.handle.is_some() {
            self.told.push_back(Ended {
                worker: Some(worker),
                told_at: Instant::now(),
                tellings: ended.tellings + 1,
                ..ended
            });
        }
        let is_old = |ended: &Ended| ended.told_at.elapsed() > LETTING_GO;
        while self.told.len() > TOLD_MOST || self.told.front().is_some_and(is_old) {
            self.told.pop_front();
        }
    }

    /// A worker process died, and may not have let go of what it was to let go of.
    pub fn worker_gone(&mut self, worker: usize) {
        for ended in self.unrecorded.iter_mut().chain(&mut self.recording) {
            if ended.worker == Some(worker) {
                ended.worker = None;
            }
        }
        let (gone, told) = std::mem::take(&mut self.told)
            .into_iter()
            .partition(|ended: &Ended| ended.worker == Some(worker));
        self.told = told;
        let again = |ended: &Ended| ended.tellings < TELLINGS && ended.told_at.elapsed() < LETTING_GO;
        let gone: VecDeque<Ended> = gone;
        self.to_discard.extend(gone.into_iter().filter(again));
    }

    pub fn any_to_discard(&self) -> bool {
        !self.to_discard.is_empty()
    }

    /// The handles, by executor, that this worker is to let go of for those that died.
    pub fn discarded_by(&mut self, worker: usize) -> Vec<(ExecutorName, Vec<Vec<u8>>)> {
        let mut handles: BTreeMap<String, Vec<Vec<u8>>> = BTreeMap::new();
        for ended in std::mem::take(&mut self.to_discard) {
            if let Some(handle) = ended.handle.clone() {
                handles.entry(ended.executor.clone()).or_default().push(handle);
            }
            self.tell(ended, worker);
        }
        let named = |(name, handles): (String, Vec<Vec<u8>>)| Some((name.parse().ok()?, handles));
        handles.into_iter().filter_map(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::testing::claimed;
    use queuectl_core::JobId;

    fn ended(acks: &mut PendingAcks, worker: Option<usize>, id: i64) {
        acks.ended(worker, &claimed(id), Some(vec![id as u8]));
    }

    fn recorded(acks: &mut PendingAcks) -> BTreeMap<usize, Vec<RunKey>> {
        acks.recording();
        acks.recorded()
    }

    fn discarded(acks: &mut PendingAcks, worker: usize) -> Vec<Vec<u8>> {
        let all = acks.discarded_by(worker);
        all.into_iter().flat_map(|(_, handles)| handles).collect()
    }

    #[test]
    fn nobody_lets_go_before_the_outcome_is_durable() {
        let mut acks = PendingAcks::default();
        ended(&mut acks, Some(0), 1);
        ended(&mut acks, Some(1), 2);
        ended(&mut acks, None, 3);
        acks.worker_gone(0);
        assert!(!acks.any_to_discard());
        let told = recorded(&mut acks);
        assert_eq!(told.keys().collect::<Vec<_>>(), [&1]);
        assert_eq!(told[&1][0].job, JobId(2));
        assert_eq!(discarded(&mut acks, 1), [[1], [3]]);
        assert!(recorded(&mut acks).is_empty() && !acks.any_to_discard());
    }

    #[test]
    fn what_ends_while_others_are_recorded_waits_for_the_next_time() {
        let mut acks = PendingAcks::default();
        ended(&mut acks, Some(0), 1);
        acks.recording();
        ended(&mut acks, Some(0), 2);
        let ids =
            |told: &BTreeMap<usize, Vec<RunKey>>| told[&0].iter().map(|key| key.job.0).collect::<Vec<_>>();
        assert_eq!(ids(&acks.recorded()), [1]);
        acks.recording();
        ended(&mut acks, Some(0), 3);
        acks.not_recorded();
        assert!(acks.recorded().is_empty(), "it failed");
        acks.recording();
        acks.worker_gone(0);
        assert!(acks.recorded().is_empty());
        assert_eq!(discarded(&mut acks, 1), [[1], [3], [2]]);
    }

    #[test]
    fn who_dies_after_it_was_told_may_not_have_listened() {
        let mut acks = PendingAcks::default();
        ended(&mut acks, Some(0), 1);
        ended(&mut acks, Some(1), 2);
        recorded(&mut acks);
        for worker in [0, 2] {
            acks.worker_gone(worker);
            assert_eq!(discarded(&mut acks, 2), [[1]], "the other one's stays");
        }
        acks.worker_gone(2);
        assert!(!acks.any_to_discard(), "not for ever");
    }

    #[test]
    fn what_saved_no_handle_is_nobody_elses() {
        let mut acks = PendingAcks::default();
        acks.ended(Some(0), &claimed(1), None);
        acks.ended(None, &claimed(2), None);
        assert_eq!(recorded(&mut acks).len(), 1);
        acks.worker_gone(0);
        assert!(!acks.any_to_discard());
    }
}
