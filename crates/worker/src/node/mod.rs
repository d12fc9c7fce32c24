//! The dispatcher's process: enters the node into the store, starts the worker processes and runs the loop.

mod context;
mod control;
mod decide;
pub(crate) mod dispatcher;
pub(crate) mod events;
mod housekeeping;
pub(crate) mod inputs;
pub(crate) mod lease;
mod log;
mod outage;
mod partial_output;
mod recorder;
mod rescue;
mod shutdown;
#[cfg(test)]
mod testing;
pub(crate) mod workforce;

use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::rc::Rc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use queuectl_core::NodeId;
use queuectl_executor::{descriptors, inherit, processes};
use queuectl_storage::{Location, NewNode, OpenMode, Queues, Store, StoreError};

use crate::env::Instant;
use crate::os;
use dispatcher::{Dispatcher, Setup};
use events::Events;
use inputs::Input;
use log::Log;
use workforce::real_machine::RealMachine;

/// What a node is to do.
#[derive(Debug, Clone)]
pub struct NodeOptions {
    /// The store.
    pub location: Location,
    /// Worker processes, 1 to [`queuectl_core::limits::WORKERS`].
    pub workers: u32,
    /// Jobs per worker process at a time, 1 to [`queuectl_core::limits::CONCURRENCY`].
    pub concurrency: u32,
    /// The queues to serve.
    pub queues: Queues,
    /// Whether to end when nothing is left to run.
    pub drain: bool,
    /// The arguments with which this binary becomes a worker process.
    pub worker_args: Vec<OsString>,
    /// Takes whole lines that worker processes and plugins wrote to standard error. It must not wait.
    pub pass_on: fn(&[u8]),
}

/// How a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeEnd {
    /// It was asked to stop, and did.
    Stopped,
    /// Nothing was left to run.
    Drained {
        /// Whether no job of its queues ended dead or cancelled meanwhile.
        all_completed: bool,
        /// How many jobs of its queues have not ended and can start only when an operator lets them.
        left: u64,
    },
}

/// Why a node could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The store could not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A process, thread or signal handler could not be set up.
    #[error("cannot {what}: {source}")]
    Setup {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// Another node took this one for dead.
    #[error("node {0} was declared dead by another node; its jobs were stopped, start it again")]
    Fenced(NodeId),
    /// The node was told to stop while the store could not be written.
    #[error("{count} outcomes could not be recorded ({source}); their jobs will run again")]
    Unrecorded {
        /// How many.
        count: usize,
        /// Why.
        source: StoreError,
    },
}

impl NodeError {
    pub(crate) fn setup(what: &'static str) -> impl FnOnce(io::Error) -> NodeError {
        move |source| NodeError::Setup { what, source }
    }
}

/// Between two tries to enter again.
const REJOIN_EVERY: Duration = Duration::from_secs(1);

/// Runs a node in the foreground until it is stopped or drained. `on_ready` is called once it is entered and its
/// worker processes run.
///
/// A node on a server that was taken over, because the server could not be reached for longer than a lease, enters
/// again as a new one.
///
/// # Errors
/// [`NodeError`]; whatever was running is stopped first.
pub fn run_node(options: NodeOptions, on_ready: impl FnOnce(NodeId)) -> Result<NodeEnd, NodeError> {
    os::utf8_console();
    inherit::reset_signals();
    let options = fitting(options);
    let mut on_ready = Some(on_ready);
    let rejoins = matches!(options.location, Location::Postgres(_));
    let mut again = false;
    let (mut inputs, inbox) = mpsc::channel::<Input>();
    let mut inbox = Rc::new(inbox);
    let signals = inputs::Signals::listen(&inputs).map_err(NodeError::setup("listen for signals"))?;
    loop {
        let ready = |node| on_ready.take().into_iter().for_each(|ready| ready(node));
        match run_once(options.clone(), inputs.clone(), &inbox, ready) {
            Err(error @ NodeError::Fenced(_)) if rejoins => tracing::warn!("{error}; registering again"),
            Err(NodeError::Store(error)) if again && error.problem().is_some() => {
                tracing::debug!("cannot register again yet: {error}");
                if let Ok(Input::StopSignal) = inbox.recv_timeout(REJOIN_EVERY) {
                    return Ok(NodeEnd::Stopped);
                }
            }
            other => return other,
        }
        again = true;
        // What is still said to the run that ended is not for the next one.
        let (fresh, next_inbox) = mpsc::channel::<Input>();
        signals.pass_to(&fresh, &inbox);
        (inputs, inbox) = (fresh, Rc::new(next_inbox));
    }
}

/// What of it the machine has room for. The rest could not be started.
fn fitting(mut options: NodeOptions) -> NodeOptions {
    let Some(room) = descriptors::raise() else {
        return options;
    };
    let limit = room.limit;
    if options.workers > room.workers() {
        let (workers, asked) = (room.workers(), options.workers);
        tracing::warn!(
            workers,
            asked,
            limit,
            "fewer worker processes than asked for: raise the hard limit of open files (ulimit -Hn)"
        );
        options.workers = workers;
    }
    if options.concurrency > room.jobs() {
        let (concurrency, asked) = (room.jobs(), options.concurrency);
        tracing::warn!(
            concurrency,
            asked,
            limit,
            "fewer jobs at a time than asked for: raise the hard limit of open files (ulimit -Hn)"
        );
        options.concurrency = concurrency;
    }
    options
}

fn run_once(
    options: NodeOptions,
    inputs: Sender<Input>,
    inbox: &Rc<Receiver<Input>>,
    on_ready: impl FnOnce(NodeId),
) -> Result<NodeEnd, NodeError> {
    let mut store = Store::open(&options.location, OpenMode::Create)?;
    // The node's mark: first the store's, so that nodes of other stores are told apart, on this machine and wherever
    // executors start things.
    let mark = format!(
        "{:016x}.{:016x}{:016x}",
        store.identity(unique_number())?,
        unique_number(),
        unique_number()
    );
    let node = NewNode {
        cookie: mark.clone(),
        host: os::host_name(),
        pid: std::process::id(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        workers: options.workers,
        concurrency: options.concurrency,
        queues: options.queues.clone(),
    };
    let (now, length, before) = (store.now()?, store.settings()?.lease, Instant::now());
    let (id, guard, listener) = store.enter_node(&node, now)?;
    let to_dispatcher = inputs.clone();
    let changed = move || drop(to_dispatcher.send(Input::Lease));
    let lease_file = lease::keeper::file(&options.location, id);
    let lease = lease::keeper::start(
        &options.location,
        id,
        &mark,
        lease_file.clone(),
        length,
        before,
        changed,
    )
    .map_err(NodeError::setup("keep the lease"))?;
    let _wake_ups =
        inputs::pass_wake_ups(&inputs, listener).map_err(NodeError::setup("listen for wake-ups"))?;
    // Children of a worker process that dies become children of this process, where they are found.
    processes::become_subreaper().map_err(NodeError::setup("become a subreaper"))?;

    let machine = Rc::new(RealMachine {
        args: options.worker_args.clone(),
        hidden: options.location.hidden_environment(),
        pass_on: options.pass_on,
    });
    let setup = Setup {
        store,
        node: id,
        mark,
        options,
        lease,
        lease_file,
        machine,
        events: Events::to(vec![Box::new(Log)]),
    };
    let end = Dispatcher::new(setup, inputs, Rc::clone(inbox))
        .and_then(|mut dispatcher| dispatcher.run(|| on_ready(id)));
    drop(guard);
    end
}

/// Returns a unique number, from the operating system's randomness. Not from `fastrand`: that is seeded from the
/// clock, and programs that start in one tick of it would get the same.
pub(crate) fn unique_number() -> u64 {
    RandomState::new().build_hasher().finish()
}
