//! Finding dead nodes and giving their jobs a new chance.
//!
//! A node is dead when its lock can be taken. Whoever takes it first kills whatever the dead node had started on
//! this machine, then records its jobs as lost attempts, then removes it. The lock is held throughout, so only one
//! node rescues another.

use queuectl_core::{ExecutorName, NodeId, OutcomeKind, Settings, Timestamp};
use queuectl_storage::{Cycle, Node, Queues, Record, Store, StoreError};

use super::decide::{self, Subject};
use super::exit_notices;
use super::machine::Machine;
use crate::failpoints;

/// What a look at the nodes found.
pub struct RescueScan {
    /// Jobs that were rescued.
    pub rescued: usize,
    /// The marks of the nodes that live.
    pub alive: Vec<String>,
    /// The executors of rescued jobs.
    pub executors: Vec<ExecutorName>,
}

/// Rescues the jobs of every dead node but `own`.
pub fn rescue(
    store: &mut Store,
    machine: &dyn Machine,
    own: NodeId,
    settings: &Settings,
    now: Timestamp,
) -> Result<RescueScan, StoreError> {
    let mut found = RescueScan {
        rescued: 0,
        alive: Vec::new(),
        executors: Vec::new(),
    };
    for (node, may_be_dead) in store.nodes_to_take_over()? {
        let dead = if node.id == own || !may_be_dead {
            None
        } else {
            store.take_over(node.id)?
        };
        match dead {
            Some(_guard) => rescue_one(store, machine, &node, settings, now, &mut found)?,
            None => found.alive.push(node.cookie),
        }
    }
    Ok(found)
}

fn rescue_one(
    store: &mut Store,
    machine: &dyn Machine,
    dead: &Node,
    settings: &Settings,
    now: Timestamp,
    found: &mut RescueScan,
) -> Result<(), StoreError> {
    // Before anything of it can run again.
    let killed = match failpoints::is_disabled("sweep") {
        true => 0,
        false => machine.kill_marked(&dead.cookie),
    };
    let jobs = store.jobs_of_node(dead.id)?;
    let outputs = store.outputs()?;
    let records: Vec<Record> = jobs
        .iter()
        .map(|job| {
            let (kind, message) = if job.cancel_requested {
                (OutcomeKind::Cancelled, "cancelled while its node died".to_owned())
            } else {
                (
                    OutcomeKind::Lost,
                    format!("node {} died while it had the job", dead.id),
                )
            };
            let mut ending = decide::died(kind, message, dead.id, 0, job.started_at.unwrap_or(now), now);
            ending.output = exit_notices::output_left(&outputs.file(job.id.0, job.fence), settings);
            decide::ended(&Subject::from(job), ending, settings)
        })
        .collect();
    let cycle = Cycle {
        node: dead.id,
        records: &records,
        claim: 0,
        queues: &Queues::All,
        now,
    };
    store.cycle(&cycle)?;
    store.leave_node(dead.id)?;
    tracing::warn!(
        node = dead.id.0,
        pid = dead.pid,
        jobs = records.len(),
        processes = killed,
        "rescued a dead node's jobs"
    );
    found.rescued += records.len();
    found
        .executors
        .extend(jobs.iter().filter_map(|job| job.executor.parse().ok()));
    found.executors.sort();
    found.executors.dedup();
    Ok(())
}
