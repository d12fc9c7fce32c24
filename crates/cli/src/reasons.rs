//! What is around a job, from which [`explain`] says why it does not run.

use std::collections::BTreeMap;

use queuectl_core::explain::{Code, Explanation, Facts, NodeFact, PauseFact, explain};
use queuectl_core::{Job, Timestamp};
use queuectl_storage::{ClaimFacts, Node, Pause, StopRequest, Store, StoreError};

/// The nodes and pauses, as they are for every job.
pub struct Reasons {
    now: Timestamp,
    pauses: BTreeMap<String, PauseFact>,
    /// The living nodes, each with the number of its jobs.
    nodes: Vec<(Node, u64)>,
}

impl Reasons {
    /// Looks at pauses and nodes.
    pub fn load(store: &mut Store, now: Timestamp) -> Result<Reasons, StoreError> {
        let pauses = store.pauses(now)?.into_iter();
        let living = store.nodes_with_lives()?.into_iter().filter(|(_, lives)| *lives);
        let mut nodes = Vec::new();
        for (node, _) in living {
            let jobs = store.jobs_of_node(node.id)?.len() as u64;
            nodes.push((node, jobs));
        }
        Ok(Reasons {
            now,
            pauses: pauses.map(|(queue, pause)| (queue, pause_fact(pause))).collect(),
            nodes,
        })
    }

    /// Returns the first reason why a job does not run.
    pub fn first(&self, job: &Job) -> Option<Code> {
        let explained = explain(&Facts {
            job,
            now: self.now,
            pause: self.pauses.get(job.queue.as_str()),
            nodes: &self.nodes_for(job),
            last: None,
            claimable: None,
            ahead: None,
            unmet: &[],
        });
        explained.reasons.first().map(|reason| reason.code)
    }

    /// Says everything about why a job does not run; `unmet` are the jobs that it waits for.
    pub fn explain_fully(&self, facts: &ClaimFacts, unmet: &[String]) -> Explanation {
        let pause = facts.pause.clone().map(pause_fact);
        let last = facts.last.as_ref();
        explain(&Facts {
            job: &facts.job,
            now: self.now,
            pause: pause.as_ref(),
            nodes: &self.nodes_for(&facts.job),
            last: last.map(|attempt| (attempt.outcome.kind, attempt.outcome.message.as_str())),
            claimable: Some(facts.claimable),
            ahead: Some(facts.ahead),
            unmet,
        })
    }

    fn nodes_for(&self, job: &Job) -> Vec<NodeFact> {
        let nodes = self.nodes.iter().map(|(node, jobs)| NodeFact {
            id: node.id,
            serves: node.is_for(job.queue.as_str()),
            stopping: node.stop != StopRequest::None,
            slots: u64::from(node.workers) * u64::from(node.concurrency),
            jobs: *jobs,
        });
        nodes.collect()
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
