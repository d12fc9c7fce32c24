//! Finding dead nodes and giving their jobs a new chance.
//!
//! A node is dead when its lock can be taken. The first node to take it kills everything the dead node had started on
//! this machine, then records its jobs as lost attempts, then removes it. The lock is held throughout, so only one
//! node rescues another.

use std::time::Duration;

use queuectl_core::{ExecutorName, OutcomeKind, Timestamp};
use queuectl_storage::{Cycle, Node, Queues, Record, Store, StoreError};

use super::context::Context;
use super::decide::{self, Subject};
use super::events::NodeEvent;
use super::partial_output;
use super::workforce::machine::Machine;
use crate::env::Instant;
use crate::failpoints;

/// How often dead nodes are looked for.
const RESCUE_EVERY: Duration = Duration::from_secs(1);

/// What a look at the nodes found.
#[derive(Default)]
pub struct RescueScan {
    /// Jobs that were rescued.
    pub rescued: usize,
    /// The marks of the nodes that live.
    pub alive: Vec<String>,
    /// The executors of rescued jobs.
    pub executors: Vec<ExecutorName>,
}

/// When dead nodes are looked for.
pub struct Rescue {
    next: Instant,
}

impl Rescue {
    /// At once.
    pub fn new() -> Rescue {
        Rescue { next: Instant::now() }
    }

    /// When it is time.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// Rescues the jobs of every dead node but this one, if it is time.
    pub fn run(
        &mut self,
        store: &mut Store,
        machine: &dyn Machine,
        context: &Context,
        now: Timestamp,
    ) -> Result<Option<RescueScan>, StoreError> {
        if Instant::now() < self.next {
            return Ok(None);
        }
        self.next = Instant::now() + RESCUE_EVERY;
        let mut scan = RescueScan::default();
        for (node, may_be_dead) in store.nodes_to_take_over()? {
            let dead = if node.id == context.node || !may_be_dead {
                None
            } else {
                store.take_over(node.id)?
            };
            match dead {
                Some(_guard) => rescue_one(store, machine, context, &node, now, &mut scan)?,
                None => scan.alive.push(node.cookie),
            }
        }
        Ok(Some(scan))
    }
}

fn rescue_one(
    store: &mut Store,
    machine: &dyn Machine,
    context: &Context,
    dead: &Node,
    now: Timestamp,
    scan: &mut RescueScan,
) -> Result<(), StoreError> {
    // Before anything of it can run again.
    let processes = match failpoints::is_disabled("sweep") {
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
            ending.output = partial_output::read(
                &outputs.file(job.id.0, job.fence),
                context.settings.of(&job.queue),
            );
            decide::ended(&Subject::from(job), ending, &context.settings)
        })
        .collect();
    let cycle = Cycle {
        node: dead.id,
        records: &records,
        claim: 0,
        queues: &Queues::All,
        now,
    };
    let result = store.cycle(&cycle);
    context.events.emit(&NodeEvent::CycleEnded {
        cycle: &cycle,
        result: result.as_ref(),
    });
    result?;
    store.leave_node(dead.id)?;
    let jobs_rescued = records.len();
    context.events.emit(&NodeEvent::NodeRescued {
        dead,
        jobs: jobs_rescued,
        processes,
    });
    scan.rescued += jobs_rescued;
    scan.executors
        .extend(jobs.iter().filter_map(|job| job.executor.parse().ok()));
    scan.executors.sort();
    scan.executors.dedup();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::testing::{Done, FakeMachine, context};
    use queuectl_core::{JobRef, State};
    use queuectl_testkit::{job, new_node};

    #[test]
    fn a_dead_nodes_jobs_have_a_new_chance_after_its_processes_were_killed() {
        let (mut temp, mut context) = context();
        let now = Timestamp(1000);
        let (own, _guard, _) = temp.store.enter_node(&new_node("own"), now).unwrap();
        let (dead, guard, _) = temp.store.enter_node(&new_node("dead"), now).unwrap();
        context.node = own;
        let ids = temp.store.enqueue(&[job("true"), job("true")], now).unwrap();
        let claim = |node| Cycle {
            node,
            records: &[],
            claim: 1,
            queues: &Queues::All,
            now,
        };
        for node in [dead, own] {
            assert_eq!(temp.store.cycle(&claim(node)).unwrap().claimed.len(), 1);
        }
        drop(guard);
        let machine = FakeMachine::default();
        let mut rescue = Rescue::new();
        let scan = rescue
            .run(&mut temp.store, &machine, &context, now)
            .unwrap()
            .unwrap();
        assert_eq!((scan.rescued, scan.alive), (1, vec!["own".to_owned()]));
        assert_eq!(scan.executors.len(), 1);
        assert_eq!(machine.done(), [Done::KilledMarked("dead".to_owned())]);
        let mut state = |id| temp.store.job(&JobRef::Number(id)).unwrap().state;
        assert_eq!((state(ids[0]), state(ids[1])), (State::Failed, State::Processing));
        let again = rescue.run(&mut temp.store, &machine, &context, now).unwrap();
        assert!(again.is_none(), "not before the next time");
    }
}
