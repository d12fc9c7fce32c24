//! What is around a job, from which [`explain`] says why it does not run.

use std::collections::BTreeMap;

use queuectl_core::explain::{
    Code, Explanation, Facts, NodeFact, PauseFact, QueueFullFact, WaitsFor, explain,
};
use queuectl_core::{Job, JobId, State, Timestamp};
use queuectl_storage::{ClaimFacts, Node, Pause, QueueLimitUse, StopRequest, Store, StoreError};

/// The nodes and pauses, as they are for every job.
pub struct Reasons {
    now: Timestamp,
    pauses: BTreeMap<String, PauseFact>,
    limits: BTreeMap<String, QueueLimitUse>,
    /// The living nodes, each with the numbers of its jobs.
    nodes: Vec<(Node, Vec<JobId>)>,
}

impl Reasons {
    /// Looks at pauses and nodes.
    pub fn load(store: &mut Store, now: Timestamp) -> Result<Reasons, StoreError> {
        let pauses = store.pauses(now)?.into_iter();
        let living = store.nodes_with_lives()?.into_iter().filter(|(_, lives)| *lives);
        let mut nodes = Vec::new();
        for (node, _) in living {
            let jobs = store.jobs_of_node(node.id)?;
            let jobs = jobs.into_iter().map(|job| job.id).collect();
            nodes.push((node, jobs));
        }
        Ok(Reasons {
            now,
            pauses: pauses.map(|(queue, pause)| (queue, pause_fact(pause))).collect(),
            limits: store.queue_limits(now)?,
            nodes,
        })
    }

    /// Returns the first reason why a job does not run.
    pub fn first(&self, job: &Job) -> Option<Code> {
        let explained = explain(&Facts {
            job,
            now: self.now,
            pause: self.pauses.get(job.queue.as_str()),
            queue_full: self.limits.get(job.queue.as_str()).and_then(queue_full),
            nodes: &self.nodes_for(job),
            last: None,
            started_by: None,
            claimable: None,
            ahead: None,
            busy: None,
            waits_for: None,
        });
        explained.reasons.first().map(|reason| reason.code)
    }

    /// Says everything about why a job does not run.
    pub fn explain_fully(&self, facts: &ClaimFacts) -> Explanation {
        let pause = facts.pause.clone().map(pause_fact);
        let last = facts.last.as_ref();
        let queue = facts.job.queue.as_str();
        let serve = self.nodes.iter();
        let serve = serve.filter(|(node, _)| node.is_for(queue) && node.stop == StopRequest::None);
        let waits_for = WaitsFor {
            on_nodes: serve.flat_map(|(_, jobs)| jobs).map(JobId::to_string).collect(),
            ..facts.waits_for.clone()
        };
        explain(&Facts {
            job: &facts.job,
            now: self.now,
            pause: pause.as_ref(),
            queue_full: facts.queue_limit.as_ref().and_then(queue_full),
            nodes: &self.nodes_for(&facts.job),
            last: last.map(|attempt| (attempt.outcome.kind, attempt.outcome.message.as_str())),
            started_by: facts.started_by.as_deref(),
            claimable: Some(facts.claimable),
            ahead: Some(facts.ahead),
            busy: facts.busy.as_ref().map(|(key, until)| (key.as_str(), *until)),
            waits_for: Some(&waits_for),
        })
    }

    fn nodes_for(&self, job: &Job) -> Vec<NodeFact> {
        let nodes = self.nodes.iter().map(|(node, jobs)| NodeFact {
            id: node.id,
            serves: node.is_for(job.queue.as_str()),
            stopping: node.stop != StopRequest::None,
            slots: u64::from(node.workers) * u64::from(node.concurrency),
            jobs: jobs.len() as u64,
            heard_of: node.heartbeat_at,
        });
        nodes.collect()
    }
}

fn queue_full(limit: &QueueLimitUse) -> Option<QueueFullFact> {
    match limit.limit.running.filter(|_| limit.is_full) {
        Some(most) => Some(QueueFullFact::Running {
            running: limit.running,
            most,
        }),
        None => limit.next_at.map(QueueFullFact::Rate),
    }
}

fn pause_fact(pause: Pause) -> PauseFact {
    PauseFact {
        since: pause.at,
        until: pause.until,
        by: pause.by,
        reason: pause.reason,
    }
}

/// The reasons of jobs that wait, looked up when the first is met.
#[derive(Default)]
pub struct Looked(Option<Option<Reasons>>);

impl Looked {
    /// Returns the first reason why a job does not run; none if it does and is not suspended, or has ended. A role that may not look at nodes or
    /// pauses goes without.
    pub fn first(&mut self, store: &mut Store, job: &Job, now: Timestamp) -> Option<Code> {
        if job.state.is_final() || job.state == State::Processing {
            let is_suspended = job.suspended_since.is_some() && !job.cancel_requested;
            return is_suspended.then_some(Code::Suspended);
        }
        let reasons = self.0.get_or_insert_with(|| Reasons::load(store, now).ok());
        reasons.as_ref()?.first(job)
    }
}
