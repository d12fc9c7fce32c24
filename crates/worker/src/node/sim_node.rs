//! A node that a simulator runs: the real dispatcher, one round at a time, and never waiting. Only in builds with the
//! feature `sim`.

use std::rc::Rc;
use std::sync::mpsc::{self, Sender};

use queuectl_core::NodeId;
use queuectl_storage::{Location, NewNode, NodeGuard, OpenMode, Store, Wake};

use super::dispatcher::Dispatcher;
use super::events::Event;
use super::lease::{Keeper, Lease};
use super::{NodeEnd, NodeError, NodeOptions};
use crate::env::Instant;
use crate::sim;

/// See the module.
pub struct SimNode {
    id: NodeId,
    cookie: String,
    dispatcher: Dispatcher,
    keeper: Keeper,
    lease_store: Option<Store>,
    events: Sender<Event>,
    guard: NodeGuard,
}

impl SimNode {
    /// Enters a node, as [`run_node`](super::run_node) does. No two nodes may have the same mark.
    ///
    /// # Errors
    /// [`NodeError`].
    pub fn start(options: NodeOptions, mark: &str) -> Result<SimNode, NodeError> {
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
        let lease = Lease::keep(&options.location, id, mark, length, before, |_| {})
            .map_err(NodeError::setup("keep the lease"))?;
        tell_deadline(&lease, mark);
        let (events, inbox) = mpsc::channel();
        let dispatcher = Dispatcher::new(
            store,
            id,
            mark.to_owned(),
            options,
            lease,
            events.clone(),
            Rc::new(inbox),
        )?;
        Ok(SimNode {
            id,
            cookie: mark.to_owned(),
            dispatcher,
            keeper: Keeper::new(),
            lease_store,
            events,
            guard,
        })
    }

    /// Its number.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// How many jobs it has claimed and not given back, as far as it knows.
    pub fn jobs_in_hand(&self) -> usize {
        self.dispatcher.claims.running()
            + self.dispatcher.claims.unassigned.len()
            + self.dispatcher.claims.unrecorded.len()
    }

    /// When there is something to do for it.
    pub fn next_wake_up(&self) -> Instant {
        self.dispatcher.next_wake_up()
    }

    /// Somebody changed the store.
    pub fn wake(&self) {
        let _ = self.events.send(Event::Wake(Wake::Control));
    }

    /// The user asks it to stop.
    pub fn signal(&self) {
        let _ = self.events.send(Event::StopSignal);
    }

    /// Keeps its lease, if it has one: what has threads of its own in a real node.
    pub fn keep_lease(&mut self) {
        let lease = &self.dispatcher.lease;
        if let Some(store) = &mut self.lease_store
            && self.keeper.step(lease, store, self.id, &self.cookie)
        {
            let _ = self.events.send(Event::Lease);
        }
        tell_deadline(&self.dispatcher.lease, &self.cookie);
    }

    /// One round of the dispatcher. Says how the node ended, if it did; then it is not to be used any more.
    pub fn round(&mut self) -> Option<Result<NodeEnd, NodeError>> {
        self.dispatcher.take_events(false);
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

/// What worker processes read in a file.
fn tell_deadline(lease: &Lease, mark: &str) {
    if let Some(at) = lease.deadline() {
        sim::set_deadline(mark, at);
    }
}
