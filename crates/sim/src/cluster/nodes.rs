//! Nodes and worker processes: which one does something next, starts, stops or is killed.

use std::rc::Rc;

use queuectl_core::NodeId;
use queuectl_storage::sim::{self as store_sim, Fault};
use queuectl_storage::{Queues, StopRequest};
use queuectl_worker::sim::{self as machine, NodeEvent, SimNode, View};
use queuectl_worker::{NodeError, NodeOptions};

use super::hear::hear;
use super::{Cluster, Member};
use crate::plan::Stop;

impl Cluster {
    pub(super) fn index(&self, pick: u32) -> Option<usize> {
        (!self.nodes.is_empty()).then(|| pick as usize % self.nodes.len())
    }

    pub(super) fn is_awake(&self, index: usize) -> bool {
        let member = &self.nodes[index];
        !member.paused && self.suspended != Some(member.machine)
    }

    /// The node that has most jobs, or any.
    pub(super) fn target(&self, pick: u32, aimed: bool) -> Option<usize> {
        if aimed {
            (0..self.nodes.len()).max_by_key(|index| self.nodes[*index].node.jobs_in_hand())
        } else {
            self.index(pick)
        }
    }

    pub(super) fn at_process(&mut self, pick: u32, fits: impl Fn(&View) -> bool, act: impl Fn(View)) -> bool {
        let views: Vec<View> = machine::processes()
            .into_iter()
            .filter(|view| self.suspended != Some(view.machine) && fits(view))
            .collect();
        if views.is_empty() {
            return false;
        }
        let view = views[pick as usize % views.len()];
        self.be_on(view.machine);
        act(view);
        true
    }

    pub(super) fn round(&mut self, index: usize) -> bool {
        let member = &mut self.nodes[index];
        let (number, id) = (member.machine, member.node.id());
        self.be_on(number);
        let member = &mut self.nodes[index];
        member.node.keep_lease();
        if let Some(end) = member.node.round() {
            self.nodes.remove(index);
            self.note(match &end {
                Ok(_) => format!("node {id} ends"),
                Err(error) => format!("node {id} ends: {error}"),
            });
            if let Err(NodeError::Fenced(_)) = end {
                self.start(number);
            }
        }
        true
    }

    pub(super) fn start(&mut self, number: u32) -> bool {
        self.be_on(number);
        self.marks += 1;
        let options = NodeOptions {
            location: self.location.clone(),
            workers: self.workers,
            concurrency: self.slots,
            queues: Queues::All,
            drain: false,
            worker_args: Vec::new(),
            pass_on: |_| {},
        };
        // The dot keeps the mark of one node from being the beginning of another's.
        let heard = Rc::clone(&self.history);
        let subscriber = move |event: &NodeEvent<'_>| hear(&mut heard.borrow_mut(), event);
        match SimNode::start(options, &format!("{}.", self.marks), subscriber) {
            Ok(node) => {
                self.note(format!("node {} starts on machine {number}", node.id()));
                self.nodes.push(Member {
                    node,
                    machine: number,
                    paused: false,
                });
                true
            }
            Err(error) => {
                assert!(self.faulty, "a node cannot start: {error}");
                false
            }
        }
    }

    pub(super) fn stop(&mut self, pick: u32, how: Stop) -> bool {
        let Some(index) = self.index(pick) else {
            return false;
        };
        let id = self.nodes[index].node.id();
        self.note(format!("node {id} is told to stop: {how:?}"));
        let request = match how {
            Stop::Signal => {
                self.nodes[index].node.signal();
                return true;
            }
            Stop::Gracefully => StopRequest::Gracefully,
            Stop::Now => StopRequest::Now,
        };
        self.be_on(0);
        let _ = self.client.request_stop(Some(NodeId(id.0)), request);
        self.wake_all();
        true
    }

    /// One round of a dispatcher, in which it is killed at the end of a transaction that is stored or not.
    pub(super) fn crash_in(&mut self, pick: u32, after: u32, fault: Fault) -> bool {
        let Some(index) = self.target(pick, true).filter(|index| self.is_awake(*index)) else {
            return false;
        };
        let id = self.nodes[index].node.id();
        self.note(format!(
            "node {id} is to be killed: after {after} transactions, {fault:?}"
        ));
        let before = std::mem::replace(&mut self.faulty, true);
        store_sim::plan_fault(Some((after, fault)));
        self.round(index);
        store_sim::plan_fault(None);
        self.faulty = before;
        if let Some(index) = self.nodes.iter().position(|member| member.node.id() == id) {
            let member = self.nodes.remove(index);
            self.note(format!("node {id} is killed"));
            member.node.crash();
        }
        true
    }
}
