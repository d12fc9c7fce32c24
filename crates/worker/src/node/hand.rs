//! The books of a node: which claimed jobs wait in stock, which run on which worker, and which outcomes are not yet
//! recorded.

use std::collections::{HashMap, VecDeque};

use queuectl_core::JobId;
use queuectl_executor::RunKey;
use queuectl_storage::{Claimed, Record};

/// Everything that the node has claimed and the store does not yet have back.
#[derive(Default)]
pub struct Hand {
    /// Claimed, not started.
    pub stock: VecDeque<Claimed>,
    /// Sent to a worker.
    running: HashMap<RunKey, Running>,
    /// Ended or given back, to be recorded with the next turn.
    pub ended: Vec<Record>,
}

/// A job on a worker.
pub struct Running {
    /// The job.
    pub job: Claimed,
    /// The worker process, counted from 0.
    pub worker: usize,
    /// Whether it was told to stop.
    pub stopping: bool,
}

impl Hand {
    pub fn start(&mut self, worker: usize, job: Claimed) {
        self.running.insert(
            key(&job),
            Running {
                job,
                worker,
                stopping: false,
            },
        );
    }

    /// Takes a job off its worker; none if it is not there, because the worker was given up meanwhile.
    pub fn finish(&mut self, worker: usize, key: RunKey) -> Option<Claimed> {
        if self.running.get(&key)?.worker != worker {
            return None;
        }
        self.running.remove(&key).map(|running| running.job)
    }

    /// Takes all jobs off a worker.
    pub fn take_from(&mut self, worker: usize) -> Vec<Claimed> {
        let keys: Vec<RunKey> = self
            .running
            .iter()
            .filter(|(_, running)| running.worker == worker)
            .map(|(key, _)| *key)
            .collect();
        keys.into_iter()
            .filter_map(|key| self.finish(worker, key))
            .collect()
    }

    pub fn running(&self) -> usize {
        self.running.len()
    }

    pub fn running_on(&self, worker: usize) -> usize {
        self.running
            .values()
            .filter(|running| running.worker == worker)
            .count()
    }

    /// The running jobs that were not told to stop yet, which marks them as told.
    pub fn stop_all(&mut self) -> Vec<(usize, RunKey)> {
        let told = self.running.iter_mut().filter(|(_, running)| !running.stopping);
        told.map(|(key, running)| {
            running.stopping = true;
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
    pub fn stop(&mut self, job: JobId, fence: i64) -> Option<(usize, RunKey)> {
        let key = RunKey { job, fence };
        let running = self.running.get_mut(&key).filter(|running| !running.stopping)?;
        running.stopping = true;
        Some((running.worker, key))
    }

    /// Whether the node owes the store nothing.
    pub fn is_empty(&self) -> bool {
        self.stock.is_empty() && self.running.is_empty() && self.ended.is_empty()
    }
}

/// The key under which a claim is known to the workers.
pub fn key(job: &Claimed) -> RunKey {
    RunKey {
        job: JobId(job.id),
        fence: job.fence,
    }
}
