//! What a node tells about itself: values that the dispatcher and its parts emit as things happen.
//!
//! The log, and in simulations the simulator, subscribe to them. They borrow what they are about, so an event that
//! has no reader costs nothing. What threads other than the dispatcher's find out is not here: it reaches the dispatcher
//! as an input, or the log directly where the dispatcher may hang.

use std::io;
use std::rc::Rc;

use queuectl_core::{JobId, NodeId, State};
use queuectl_storage::{Claimed, Cycle, CycleResult, Location, Node, Record, StoreError, Ticked};

use super::lease::Stage;
use super::shutdown::Step;

/// Something that happened in a node. Workers are counted from 0.
pub enum NodeEvent<'a> {
    /// The node has entered the store and its worker processes run.
    Started {
        /// Its number.
        node: NodeId,
        /// How many worker processes.
        workers: u32,
        /// Jobs that each of them runs at a time.
        concurrency: u32,
        /// Where the store is.
        store: &'a Location,
    },
    /// The node has left the store.
    Stopped {
        /// Its number.
        node: NodeId,
        /// Whether it still had jobs, which another node will rescue.
        owed_jobs: bool,
    },
    /// The node ends without recording some outcomes, because another node has its jobs.
    TooLate {
        /// How many.
        outcomes: usize,
    },

    /// A job has a slot of a worker.
    JobStarted {
        /// The job.
        job: &'a Claimed,
        /// The worker.
        worker: usize,
    },
    /// A worker takes over a job whose worker process died.
    JobAdopted {
        /// The job.
        job: &'a Claimed,
        /// The worker that takes it over.
        worker: usize,
    },
    /// An attempt ended. It is not recorded yet.
    AttemptEnded {
        /// The job.
        job: &'a Claimed,
        /// How the attempt ended, and what becomes of the job.
        record: &'a Record,
        /// Whether the executor says that no further attempt could succeed.
        is_final: bool,
    },
    /// Jobs claimed ahead go back to the store, because those before them have become long.
    ClaimedAheadReturned {
        /// How many.
        jobs: usize,
    },

    /// The store has committed a cycle, or could not.
    CycleEnded {
        /// What was to be recorded and claimed.
        cycle: &'a Cycle<'a>,
        /// What was.
        result: Result<&'a CycleResult, &'a StoreError>,
    },
    /// The store refused an outcome, because the job is not this node's any more.
    OutcomeRefused {
        /// The job.
        job: JobId,
        /// The fencing token under which the node had it.
        fence: i64,
    },
    /// The node has renewed its sign of life, or could not.
    Heartbeat {
        /// Its number.
        node: NodeId,
        /// Whether it is still in the store.
        result: Result<bool, &'a StoreError>,
    },
    /// The store cannot be used, and is tried again.
    StoreFailed {
        /// How many outcomes wait to be recorded.
        waiting: usize,
        /// Where the store is.
        store: &'a Location,
        /// Why it cannot be used.
        error: &'a StoreError,
    },
    /// The store can be used again.
    StoreRecovered,
    /// A cycle whose commit was not answered had been stored.
    Reconciled {
        /// Outcomes that it had recorded.
        recorded: usize,
        /// Jobs that it had claimed, which are given back.
        claimed: usize,
    },
    /// The store's clock was set back, and retries were brought forward.
    ClockSetBack {
        /// Of how many jobs.
        jobs: usize,
    },
    /// Ticks of schedules came.
    Ticked {
        /// What was made.
        ticked: &'a Ticked,
    },
    /// The user has changed settings.
    SettingsChanged,
    /// The jobs of a dead node have a new chance.
    NodeRescued {
        /// The dead node.
        dead: &'a Node,
        /// How many jobs it had.
        jobs: usize,
        /// How many of its processes were killed before.
        processes: usize,
    },
    /// Jobs whose retention is over were removed.
    Purged {
        /// Their state.
        state: State,
        /// How many.
        jobs: u64,
    },

    /// The node is stopping, or does so more urgently.
    Stopping {
        /// What is done now.
        step: Step,
        /// How many jobs are at workers.
        running: usize,
    },
    /// The lease came to another stage.
    LeaseChanged {
        /// The stage.
        stage: Stage,
        /// How many jobs are at workers.
        running: usize,
    },
    /// The machine lacks what jobs need to start.
    ShortageBegan {
        /// How many jobs are at workers.
        running: usize,
        /// What it lacks.
        cause: &'a str,
    },
    /// It still does.
    ShortageLasts {
        /// The job that could not be started.
        job: JobId,
        /// What it lacks.
        cause: &'a str,
    },
    /// Jobs can be started again.
    ShortageEnded,

    /// A worker process was started in the place of one that died.
    WorkerStarted {
        /// The worker.
        worker: usize,
        /// The number of its process.
        pid: u32,
    },
    /// None could be started; it is tried again.
    WorkerNotStarted {
        /// The worker.
        worker: usize,
        /// Why.
        error: &'a io::Error,
    },
    /// A worker process is going to end.
    WorkerEnding {
        /// The worker.
        worker: usize,
        /// Why, as it says.
        reason: &'a str,
    },
    /// A worker process died.
    WorkerDied {
        /// The worker.
        worker: usize,
        /// How its process ended.
        how: &'a str,
    },
    /// What a dead worker process left behind was killed.
    LeftoversKilled {
        /// The worker.
        worker: usize,
        /// How many processes.
        processes: usize,
    },
    /// A worker process does not answer and is killed.
    WorkerSilent {
        /// The worker.
        worker: usize,
        /// How many seconds it has not answered; none if it does not end with its stopping node.
        seconds: Option<u64>,
    },
    /// A message cannot be sent to a worker.
    MessageNotSent {
        /// The worker.
        worker: usize,
        /// Why.
        error: &'a io::Error,
    },
}

/// Takes the events of a node, in order, on the dispatcher's thread. It must not wait.
pub trait Subscriber {
    /// Something happened.
    fn on_event(&self, event: &NodeEvent<'_>);
}

impl<F: Fn(&NodeEvent<'_>)> Subscriber for F {
    fn on_event(&self, event: &NodeEvent<'_>) {
        self(event);
    }
}

/// The way to those who subscribe.
#[derive(Clone)]
pub struct Events(Rc<[Box<dyn Subscriber>]>);

impl Events {
    /// To these subscribers.
    pub fn to(subscribers: Vec<Box<dyn Subscriber>>) -> Events {
        Events(subscribers.into())
    }

    /// Tells all of them.
    pub fn emit(&self, event: &NodeEvent<'_>) {
        self.0.iter().for_each(|subscriber| subscriber.on_event(event));
    }
}
