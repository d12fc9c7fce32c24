//! Giving jobs to worker processes: which job to which worker, as what.
//!
//! Nothing here touches the store; what is given out was claimed and committed before.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use queuectl_core::{Clock, OutcomeKind};
use queuectl_executor::{Run, RunKey};
use queuectl_storage::Claimed;

use super::dispatcher::Dispatcher;
use super::shutdown::Phase;
use super::{decide, hand, report};
use crate::protocol::ToWorker;

impl Dispatcher {
    /// Gives jobs to workers with a free slot, the least busy first: those whose worker died under them and that can be
    /// taken over, then those in stock.
    pub(super) fn hand_out(&mut self) {
        while self.hand.any_adrift()
            && let Some(worker) = self.free_worker()
        {
            self.adopt(worker);
        }
        while !self.hand.stock.is_empty()
            && let Some(worker) = self.free_worker()
            && let Some(job) = self.hand.stock.pop_front()
        {
            match self.run_of(&job) {
                Ok(run) => {
                    report::started(&job, worker);
                    self.crew.send(worker, &ToWorker::Start(run));
                    self.hand.start(worker, job, self.clock.now());
                    self.moved_at = Instant::now();
                }
                Err(message) => {
                    let now = self.clock.now();
                    let ending = decide::died(OutcomeKind::SystemFailure, message, self.node, 0, now, now);
                    self.ended(&job, ending);
                }
            }
        }
    }

    fn adopt(&mut self, worker: usize) {
        let Some(running) = self.hand.adopt(worker) else {
            return;
        };
        let (job, sent_at, stopping) = (running.job.clone(), running.sent_at, running.stopping);
        let handle = running.handle.clone().unwrap_or_default();
        let (key, Ok(mut run)) = (hand::key(&job), self.run_of(&job)) else {
            return;
        };
        // Its time goes on running.
        let used = self.clock.now().since(sent_at);
        run.timeout = run
            .timeout
            .map(|limit| limit.saturating_sub(used).max(Duration::from_millis(1)));
        report::adopted(&job, worker);
        self.crew.send(worker, &ToWorker::Adopt(run, handle));
        // What it was told meanwhile, nobody heard.
        if let Some(reason) = stopping {
            let message = match self.phase {
                Phase::Killing => ToWorker::Kill(key, reason),
                _ => ToWorker::Stop(key, reason),
            };
            self.crew.send(worker, &message);
        }
    }

    fn free_worker(&self) -> Option<usize> {
        let load = |worker: &usize| self.hand.running_on(*worker);
        self.crew
            .present()
            .min_by_key(load)
            .filter(|worker| load(worker) < self.options.concurrency as usize)
    }

    fn run_of(&self, job: &Claimed) -> Result<Run, String> {
        let own_timeout = job
            .timeout_ms
            .map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
        Ok(Run {
            key: hand::key(job),
            public_id: job.name.clone().unwrap_or_else(|| job.id.to_string()),
            attempt: job.attempt,
            queue: job.queue.clone(),
            executor: job.executor.parse().map_err(|error| format!("{error}"))?,
            payload: job.payload.clone(),
            timeout: own_timeout.or(self.settings.job_timeout),
            kill_grace: self.settings.kill_grace,
            leftovers: self.settings.leftovers,
            output_limit: self.settings.output_limit,
            output_file_limit: self.settings.output_file_limit,
            output_file: self.options.location.output_file(job.id, job.fence),
        })
    }

    /// Tells the executors that want to know which outcomes are durable now.
    pub(super) fn confirm_recorded(&mut self) {
        let mut by_worker: BTreeMap<usize, Vec<RunKey>> = BTreeMap::new();
        for (worker, key) in self.confirm.drain(..) {
            by_worker.entry(worker).or_default().push(key);
        }
        for (worker, keys) in by_worker {
            self.crew.send(worker, &ToWorker::Recorded(keys));
        }
    }
}
