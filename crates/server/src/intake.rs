//! Storing jobs: one thread takes what requests want stored, as much as there is, and commits it together. A thousand requests then cost one
//! wait for the disk, and none is answered before its jobs are on it.
//!
//! If one of them cannot be stored, each is stored by itself, and only that one is refused. If the store fails, all of them are: none
//! is tried again, since its client may have given up meanwhile and would send it again.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, Scope};

use queuectl_core::{JobSpec, ValidJob};
use queuectl_frontend::kind::{Kind, kind};
use queuectl_frontend::placed::public_id;
use queuectl_storage::{Location, Placed, Store, StoreError};
use tokio::sync::{oneshot, watch};

use crate::Check;
use crate::problem::Problem;
use crate::stores::open;

/// Requests that wait to be stored.
const WAITING: usize = 1024;
/// Most jobs of a commit.
const BATCH: usize = 1000;
/// Most bytes of a commit, but for one order that is larger.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// What a request wants stored, together or not at all.
struct Order {
    specs: Vec<JobSpec>,
    /// How long they are as text.
    bytes: usize,
    answer: oneshot::Sender<Result<Vec<Stored>, Refusal>>,
}

/// A job that was stored, or was there already.
pub struct Stored {
    /// The id that users see.
    pub id: String,
    pub placed: Placed,
}

/// Why jobs were not stored, and which of them is to blame.
pub struct Refusal {
    pub problem: Problem,
    pub index: Option<usize>,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Refusal {
        Refusal {
            index: error.index(),
            problem: error.into(),
        }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Refusal {
        Refusal { problem, index: None }
    }
}

/// Where jobs go.
pub struct Intake(SyncSender<Order>);

impl Intake {
    /// Starts the thread.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        location: &Location,
        operator: &str,
        checker: Box<dyn Check + 'scope>,
        stopped: watch::Receiver<bool>,
    ) -> io::Result<Intake> {
        let (sender, receiver) = sync_channel(WAITING);
        let (location, operator) = (location.clone(), operator.to_owned());
        thread::Builder::new()
            .name("intake".to_owned())
            .spawn_scoped(scope, move || {
                work(&location, &operator, checker, &receiver, &stopped)
            })?;
        Ok(Intake(sender))
    }

    /// Stores jobs, which are `bytes` long as text, together or not at all.
    pub async fn store(&self, specs: Vec<JobSpec>, bytes: usize) -> Result<Vec<Stored>, Refusal> {
        let (answer, answered) = oneshot::channel();
        match self.0.try_send(Order { specs, bytes, answer }) {
            // Without an answer it is not known how far it came.
            Ok(()) => answered.await.unwrap_or_else(|_| Err(Problem::unsure().into())),
            Err(TrySendError::Full(_)) => Err(Problem::busy().into()),
            Err(TrySendError::Disconnected(_)) => Err(Problem::stopping().into()),
        }
    }
}

/// An order whose jobs are checked.
struct Checked {
    jobs: Vec<ValidJob>,
    answer: oneshot::Sender<Result<Vec<Stored>, Refusal>>,
}

fn work(
    location: &Location,
    operator: &str,
    mut checker: Box<dyn Check + '_>,
    orders: &Receiver<Order>,
    stopped: &watch::Receiver<bool>,
) {
    let mut store = None;
    while let Ok(first) = orders.recv() {
        if *stopped.borrow() {
            let _ = first.answer.send(Err(Problem::stopping().into()));
            continue;
        }
        // What panics must not take the thread with it, nor leave a store that is half way through something.
        let done = catch_unwind(AssertUnwindSafe(|| {
            take(&mut store, location, operator, &mut *checker, first, orders);
        }));
        if done.is_err() {
            store = None;
        }
    }
}

/// Takes an order, and those that wait behind it.
fn take(
    store: &mut Option<Store>,
    location: &Location,
    operator: &str,
    checker: &mut dyn Check,
    first: Order,
    orders: &Receiver<Order>,
) {
    let store = match open(store, location, operator) {
        Ok(store) => store,
        Err(error) => {
            let _ = first.answer.send(Err(error.into()));
            return;
        }
    };
    let mut batch = Vec::new();
    let (mut jobs, mut bytes) = (0, 0);
    let mut next = Some(first);
    while let Some(order) = next {
        // A client that has gone away would send the same again.
        if !order.answer.is_closed() {
            let answer = order.answer;
            match check(store, order.specs, checker) {
                Ok(checked) => {
                    jobs += checked.len();
                    bytes += order.bytes;
                    batch.push(Checked {
                        jobs: checked,
                        answer,
                    });
                }
                Err(refusal) => drop(answer.send(Err(refusal))),
            }
        }
        let has_room = jobs < BATCH && bytes < BATCH_BYTES;
        next = has_room.then(|| orders.try_recv().ok()).flatten();
    }
    store_all(store, batch);
}

fn check(store: &mut Store, specs: Vec<JobSpec>, checker: &mut dyn Check) -> Result<Vec<ValidJob>, Refusal> {
    // A delay counts by the queue's clock.
    let now = store.now()?;
    let mut jobs = Vec::with_capacity(specs.len());
    for (index, spec) in specs.into_iter().enumerate() {
        let job = checker.complete(spec, now).map_err(|reason| Refusal {
            problem: Problem::usage(reason),
            index: Some(index),
        })?;
        jobs.push(job);
    }
    match checker.refused(&jobs).into_iter().next() {
        None => Ok(jobs),
        Some((index, reason)) => Err(Refusal {
            problem: Problem::usage(reason),
            index: Some(index),
        }),
    }
}

fn store_all(store: &mut Store, batch: Vec<Checked>) {
    if batch.len() > 1 {
        let all: Vec<ValidJob> = batch
            .iter()
            .flat_map(|order| order.jobs.iter().cloned())
            .collect();
        match place(store, &all) {
            Ok(placed) => {
                let mut placed = placed.into_iter();
                for order in batch {
                    let stored = placed.by_ref().take(order.jobs.len());
                    let stored = order.jobs.iter().zip(stored).map(stored_as).collect();
                    let _ = order.answer.send(Ok(stored));
                }
                return;
            }
            // One of the jobs is to blame.
            Err(error) if [Kind::Usage, Kind::NotFound, Kind::Conflict].contains(&kind(&error)) => {}
            Err(error) => {
                let problem = Problem::from(error);
                for order in batch {
                    let _ = order.answer.send(Err(problem.clone().into()));
                }
                return;
            }
        }
    }
    for order in batch {
        let placed = place(store, &order.jobs);
        let stored = placed.map(|placed| order.jobs.iter().zip(placed).map(stored_as).collect());
        let _ = order.answer.send(stored.map_err(Refusal::from));
    }
}

fn place(store: &mut Store, jobs: &[ValidJob]) -> Result<Vec<Placed>, StoreError> {
    let now = store.now()?;
    store.place(jobs, now)
}

fn stored_as((job, placed): (&ValidJob, Placed)) -> Stored {
    let id = public_id(job, &placed);
    Stored { id, placed }
}
