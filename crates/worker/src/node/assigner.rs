//! Giving jobs to worker processes: which job to which worker, as what.
//!
//! Nothing here touches the store; what is given out was claimed and committed before.

use std::time::Duration;

use queuectl_core::{Clock, OutcomeKind};
use queuectl_executor::{Run, RunKey};
use queuectl_storage::Claimed;

use super::dispatcher::Dispatcher;
use super::shutdown::Phase;
use super::{claims, decide, report};
use crate::env::Instant;
use crate::failpoints;
use crate::protocol::ToWorker;

/// Most jobs that wait at a worker process for each of its slots.
const WAITING_MOST: u32 = 512;
/// How long a worker that has enough to do is not listened to, at most and at least.
const UNHEARD_MOST: Duration = Duration::from_millis(10);
const UNHEARD_LEAST: Duration = Duration::from_millis(1);
/// How long jobs may wait while no slot gets free before they are taken back for others.
const STALLED: Duration = Duration::from_millis(250);

/// What becomes of a job whose checksum does not fit.
const DAMAGED: &str = "what the job runs is not what was stored: the database is damaged, see `queuectl db:check`; \
                       the job was not run, enqueue it anew";

impl Dispatcher {
    /// Gives jobs to workers, the least busy first: those whose worker died under them and that can be taken over, then
    /// those in stock. While jobs are short, some wait at the workers, where a slot is filled without a way back.
    pub(super) fn assign(&mut self) {
        self.discard();
        if !self.lease.is_held() {
            return;
        }
        while self.claims.any_to_adopt()
            && let Some(worker) = self.worker_below(self.slots())
        {
            self.adopt(worker);
        }
        let most = self.slots() * (1 + self.pace.ahead_per_slot().min(WAITING_MOST) as usize);
        while !self.claims.unassigned.is_empty()
            && let Some(worker) = self.worker_below(most)
            && let Some(job) = self.claims.unassigned.pop_front()
        {
            self.give(worker, job);
        }
    }

    /// Workers that have enough to do for a while are listened to only now and then.
    pub(super) fn set_pauses(&mut self) {
        for worker in self.worker_pool.present() {
            let busy = self
                .pace
                .time_for(self.waiting_at(worker).len(), self.options.concurrency);
            let pause = (busy / 2).min(UNHEARD_MOST);
            let listen = pause < UNHEARD_LEAST || !self.phase.is_working();
            self.worker_pool
                .set_pause(worker, if listen { Duration::ZERO } else { pause });
        }
    }

    fn give(&mut self, worker: usize, job: Claimed) {
        if !job.is_intact() && !failpoints::is_disabled("sums") {
            return self.refuse(&job, DAMAGED.to_owned());
        }
        if let Some(fault) = job.fault() {
            let message = format!("the job cannot be read: {fault}; it was not run, enqueue it again");
            return self.refuse(&job, message);
        }
        match self.run_of(&job) {
            Ok(run) => {
                if self.claims.at_worker(worker).len() < self.slots() {
                    report::started(&job, worker);
                    self.moved(worker);
                }
                self.worker_pool.send(worker, &ToWorker::Start(run));
                self.claims.start(worker, job, self.clock.now());
            }
            Err(message) => {
                let now = self.clock.now();
                let ending = decide::died(OutcomeKind::SystemFailure, message, self.node, 0, now, now);
                self.ended(&job, ending);
            }
        }
    }

    /// Ends a job without running it: something, and nobody knows what, would run instead. Another attempt would find
    /// the same.
    fn refuse(&mut self, job: &Claimed, message: String) {
        let now = self.clock.now();
        let mut ending = decide::died(OutcomeKind::Failed, message, self.node, 0, now, now);
        ending.advice.is_final = true;
        self.ended(job, ending);
    }

    /// Jobs that a worker process runs at a time.
    pub(super) fn slots(&self) -> usize {
        self.options.concurrency as usize
    }

    /// A slot of that worker was filled or became free.
    fn moved(&mut self, worker: usize) {
        let now = Instant::now();
        self.moved_at = now;
        if self.workers_moved_at.len() <= worker {
            self.workers_moved_at.resize(worker + 1, now);
        }
        self.workers_moved_at[worker] = now;
    }

    /// A job left its slot: the first that waits at that worker has it now.
    pub(super) fn slot_freed(&mut self, worker: usize) {
        let next = self.claims.at_worker(worker).get(self.slots() - 1).copied();
        if let Some(key) = next {
            self.claims.got_slot(key, self.clock.now());
        }
        if let Some(running) = next.and_then(|key| self.claims.get(key)) {
            report::started(&running.job, worker);
        }
        self.moved(worker);
    }

    /// The jobs that wait at a worker for a slot.
    fn waiting_at(&self, worker: usize) -> &[RunKey] {
        self.claims
            .at_worker(worker)
            .get(self.slots()..)
            .unwrap_or_default()
    }

    /// When what waits counts as stalled: the jobs in front of it have turned long, so others shall have it.
    pub(super) fn stalls_at(&self) -> Option<Instant> {
        let at_workers = self.workers_moved_at.iter().enumerate();
        let at_workers = at_workers
            .filter(|(worker, _)| !self.waiting_at(*worker).is_empty())
            .map(|(_, at)| *at);
        let in_stock = (!self.claims.unassigned.is_empty()).then_some(self.moved_at);
        at_workers.chain(in_stock).min().map(|at| at + STALLED)
    }

    /// Takes back everything that waits at workers.
    pub(super) fn recall_all(&mut self) {
        for worker in 0..self.workers_moved_at.len() {
            let waiting = self.waiting_at(worker).to_vec();
            if !waiting.is_empty() {
                self.worker_pool.send(worker, &ToWorker::Recall(waiting));
            }
        }
    }

    /// Takes back what waits at a worker whose jobs have turned long, for other workers; and gives back to the store
    /// what waits in stock while all have, for other nodes.
    pub(super) fn give_back_stalled(&mut self) {
        let now = Instant::now();
        if self.stalls_at().is_none_or(|at| at > now) {
            return;
        }
        // A job this long is running already; its end would be too late a hint not to claim ahead.
        self.pace.finished(STALLED);
        for worker in 0..self.workers_moved_at.len() {
            let waiting = self.waiting_at(worker).to_vec();
            if !waiting.is_empty() && self.workers_moved_at[worker] + STALLED <= now {
                self.worker_pool.send(worker, &ToWorker::Recall(waiting));
                self.workers_moved_at[worker] = now;
            }
        }
        if self.moved_at + STALLED <= now && !self.claims.unassigned.is_empty() {
            let jobs = self.claims.unassigned.len();
            tracing::debug!(jobs, "jobs turned long; giving back what was claimed ahead");
            self.give_back_unassigned();
        }
    }

    fn adopt(&mut self, worker: usize) {
        let Some(running) = self.claims.adopt(worker) else {
            return;
        };
        let (job, sent_at, stopping) = (running.job.clone(), running.sent_at, running.stopping);
        let handle = running.handle.clone().unwrap_or_default();
        let (key, Ok(mut run)) = (claims::key(&job), self.run_of(&job)) else {
            return;
        };
        // Its time goes on running.
        run.used = self.clock.now().since(sent_at);
        report::adopted(&job, worker);
        self.worker_pool.send(worker, &ToWorker::Adopt(run, handle));
        // What it was told meanwhile, nobody heard.
        if let Some(reason) = stopping {
            let message = match self.phase {
                Phase::Killing { .. } => ToWorker::Kill(key, reason),
                _ => ToWorker::Stop(key, reason),
            };
            self.worker_pool.send(worker, &message);
        }
    }

    /// The least busy worker, if it has fewer jobs than that.
    fn worker_below(&self, most: usize) -> Option<usize> {
        let load = |worker: &usize| self.claims.at_worker(*worker).len();
        self.worker_pool
            .present()
            .min_by_key(load)
            .filter(|worker| load(worker) < most)
    }

    fn run_of(&self, job: &Claimed) -> Result<Run, String> {
        let own_timeout = job
            .timeout_ms
            .map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or(0)));
        Ok(Run {
            key: claims::key(job),
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
            output_file: self.outputs.file(job.id, job.fence),
            used: Duration::ZERO,
        })
    }

    /// Tells the executors that want to know which outcomes are durable now.
    pub(super) fn tell_recorded(&mut self) {
        for (worker, keys) in self.pending_acks.recorded() {
            self.worker_pool.send(worker, &ToWorker::Recorded(keys));
        }
        self.discard();
    }

    /// Has some worker let go of what those kept that died.
    fn discard(&mut self) {
        if !self.pending_acks.any_to_discard() {
            return;
        }
        let worker = self.worker_pool.present().next();
        if let Some(worker) = worker {
            for (executor, handles) in self.pending_acks.discarded_by(worker) {
                self.worker_pool
                    .send(worker, &ToWorker::Discard(executor, handles));
            }
        }
    }
}
