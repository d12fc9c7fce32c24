//! The threads that keep a lease: one renews it, over a connection of its own, and another looks at the time. The first
//! may hang in a call to a server that does not answer, and so may the dispatcher.
//!
//! When the server is back the lease is renewed and the node goes on, unless another has taken it over meanwhile: then it
//! ends, and is entered again as a new node.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use queuectl_core::NodeId;
use queuectl_executor::processes;
use queuectl_storage::{Location, OpenMode, Store};

use super::{Lease, RETRY_MOST, Renewal, Shared, Stage, longest_silence};
use crate::deadline::Deadline;
use crate::env::Instant;

/// The file that tells worker processes until when they may run jobs, if a node at that store has a lease.
pub fn file(location: &Location, node: NodeId) -> Option<PathBuf> {
    match location {
        Location::Sqlite(_) => None,
        Location::Postgres(_) => Some(location.state_dir().join("nodes").join(format!("{node}.lease"))),
    }
}

/// Starts keeping the lease of a node that has entered after the moment `entered`, if it has one. `changed` is called whenever the lease
/// comes to another stage or is lost.
///
/// # Errors
/// The file for worker processes, or a thread, cannot be made.
pub fn start(
    location: &Location,
    node: NodeId,
    mark: &str,
    file: Option<PathBuf>,
    length: Duration,
    entered: Instant,
    changed: impl Fn() + Send + Clone + 'static,
) -> io::Result<Lease> {
    let Some(file) = file else {
        return Ok(Lease::not_needed());
    };
    let deadline = Deadline::create(file)?;
    let lease = Lease::held(length, entered, move |at| deadline.set(at));
    if let Some(shared) = lease.shared() {
        let (location, renewing, notify) = (location.clone(), Arc::clone(shared), changed.clone());
        spawn("lease", move || renew(&location, node, &renewing, &notify))?;
        let (watching, mark) = (Arc::clone(shared), mark.to_owned());
        spawn("lease watch", move || watch(&watching, &mark, &changed))?;
    }
    Ok(lease)
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    thread::Builder::new().name(name.to_owned()).spawn(work).map(drop)
}

/// Renews until the node is done or lost.
fn renew(location: &Location, node: NodeId, shared: &Shared, changed: &impl Fn()) {
    // With the length of the lease that it knows.
    let mut store: Option<(Store, Duration)> = None;
    let mut renewal = Renewal::new();
    loop {
        let mut state = shared.state();
        while !state.done && !renewal.is_due() {
            state = shared.wait(state, renewal.next);
            renewal.next = renewal.next.min(state.renewed + state.wanted / 6);
        }
        if state.done {
            return;
        }
        drop(state);
        let held = shared.renew(&mut renewal, |length| {
            let (store, of_length) = match &mut store {
                Some(store) => store,
                None => store.insert((Store::open(location, OpenMode::MustExist)?, Duration::ZERO)),
            };
            if *of_length != length {
                store.end_when_idle(longest_silence(length))?;
                *of_length = length;
            }
            store.renew_lease(node, length)
        });
        if !held {
            return changed();
        }
    }
}

/// Looks at the time, and has the dispatcher do what the lease's stage asks for. What the dispatcher did not get round
/// to is done here in the end.
fn watch(shared: &Shared, mark: &str, changed: &impl Fn()) {
    let mut seen = Stage::Held;
    loop {
        let found = shared.watch(&mut seen);
        if found.changed {
            changed();
        }
        if found.sweep {
            let killed = processes::kill_marked(mark);
            tracing::error!(
                processes = killed,
                "lease about to expire and the dispatcher does not respond; killed all running jobs"
            );
        }
        let state = shared.state();
        if state.done || state.lost {
            return;
        }
        if state.stage(Instant::now()) != seen {
            continue;
        }
        let next = seen.next().map(|next| state.at(next));
        let until = next.unwrap_or_else(|| Instant::now() + RETRY_MOST);
        drop(shared.wait(state, until));
    }
}
