//! A node that a simulator runs: the real dispatcher, one round at a time, and never waiting.

use std::rc::Rc;
use std::sync::mpsc::{self, Sender};

use queuectl_core::NodeId;
use queuectl_storage::{Location, NewNode, NodeGuard, OpenMode, Store, Wake};

use super::env::Instant;
use super::machine::SimMachine;
use super::set_deadline;
use crate::node::dispatcher::{Dispatcher, Setup};
use crate::node::events::{Events, Subscriber};
use crate::node::inputs::Input;
use crate::node::lease::{Lease, Renewal, Stage};
use crate::node::workforce::machine::Machine;
use crate::node::{NodeEnd, NodeError, NodeOptions};

/// See the module.
pub struct SimNode {
    id: NodeId,
    mark: String,
    dispatcher: Dispatcher,
    renewal: Renewal,
    seen: Stage,
    lease_store: Option<Store>,
    inputs: Sender<Input>,
    guard: NodeGuard,
}

impl SimNode {
    /// Enters a node, as [`run_node`](crate::run_node) does. No two nodes may have the same mark.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn start(
        options: NodeOptions,
        mark: &str,
        subscriber: impl Subscriber + 'static,
    ) -> Result<SimNode, NodeError> {
        let mut store = Store::open(&options.location, OpenMode::MustExist)?;
        let lease_store = match options.location {
            Location::Sqlite(_) => None,
            Location::Postgres(_) => Some(Store::open(&options.location, OpenMode::MustExist)?),
        };
        let node = NewNode {
            cookie: mark.to_owned(),
            host: "simulated".to_owned(),
            pid: 1,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            workers: options.workers,
            concurrency: options.concurrency,
            queues: options.queues.clone(),
        };
        let (now, length, before) = (store.now()?, store.settings()?.lease, Instant::now());
        let (id, guard, _) = store.enter_node(&node, now)?;
        let lease = match options.location {
            Location::Sqlite(_) => Lease::not_needed(),
            Location::Postgres(_) => {
                let mark = mark.to_owned();
                Lease::held(length, before, move |at| {
                    set_deadline(&mark, at);
                    Ok(())
                })
            }
        };
        let (inputs, inbox) = mpsc::channel();
        let setup = Setup {
            store,
            node: id,
            mark: mark.to_owned(),
            options,
            lease,
            lease_file: None,
            machine: Rc::new(SimMachine),
            events: Events::to(vec![Box::new(subscriber)]),
        };
        let dispatcher = Dispatcher::new(setup, inputs.clone(), Rc::new(inbox))?;
        Ok(SimNode {
            id,
            mark: mark.to_owned(),
            dispatcher,
            renewal: Renewal::new(),
            seen: Stage::Held,
            lease_store,
            inputs,
            guard,
        })
    }

    /// Its number.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// How many jobs it has claimed and not given back, as far as it knows.
    pub fn jobs_in_hand(&self) -> usize {
        self.dispatcher.workforce.jobs() + self.dispatcher.recorder.waiting()
    }

    /// When there is something to do for it.
    pub fn next_wake_up(&self) -> Instant {
        self.dispatcher.next_wake_up()
    }

    /// Somebody changed the store.
    pub fn wake(&self) {
        let _ = self.inputs.send(Input::Wake(Wake::Control));
    }

    /// The user asks it to stop.
    pub fn signal(&self) {
        let _ = self.inputs.send(Input::StopSignal);
    }

    /// Takes one step of each thread that keeps the lease of a real node, if this one has a lease.
    pub fn keep_lease(&mut self) {
        if let (Some(store), Some(shared)) = (&mut self.lease_store, self.dispatcher.lease.shared())
            && !shared.is_lost()
        {
            let id = self.id;
            let held = !self.renewal.is_due()
                || shared.renew(&mut self.renewal, |length| store.renew_lease(id, length));
            let found = shared.watch(&mut self.seen);
            if found.sweep {
                SimMachine.kill_marked(&self.mark);
            }
            if found.changed || !held {
                let _ = self.inputs.send(Input::Lease);
            }
        }
    }

    /// One round of the dispatcher. Says how the node ended, if it did; then it is not to be used any more.
    pub fn round(&mut self) -> Option<Result<NodeEnd, NodeError>> {
        self.dispatcher.take_inputs(false);
        match self.dispatcher.round() {
            Ok(None) => None,
            Ok(Some(end)) => Some(self.dispatcher.end(Ok(end))),
            Err(error) => Some(self.dispatcher.end(Err(error))),
        }
    }

    /// The dispatcher's process is killed.
    pub fn crash(self) {
        self.guard.crash();
    }
}
