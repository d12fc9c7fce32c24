//! Storing jobs: one thread takes what requests want stored, as much as there is, and commits it together. A thousand requests then cost one
//! wait for the disk, and none is answered before its jobs are on it.
//!
//! If one of them cannot be stored, each is stored by itself, and only that one is refused.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, Scope};

use queuectl_core::{JobSpec, ValidJob};
use queuectl_storage::{Location, Placed, Store, StoreError};
use tokio::sync::oneshot;

use crate::Check;
use crate::problem::Problem;
use crate::stores::open;

/// Requests that wait to be stored.
const WAITING: usize = 1024;
/// Most jobs of a commit.
const BATCH: usize = 1000;

/// What a request wants stored, together or not at all.
struct Order {
    specs: Vec<JobSpec>,
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
    ) -> io::Result<Intake> {
        let (sender, receiver) = sync_channel(WAITING);
        let (location, operator) = (location.clone(), operator.to_owned());
        thread::Builder::new()
            .name("intake".to_owned())
            .spawn_scoped(scope, move || work(&location, &operator, checker, &receiver))?;
        Ok(Intake(sender))
    }

    /// Stores jobs, together or not at all.
    pub async fn store(&self, specs: Vec<JobSpec>) -> Result<Vec<Stored>, Refusal> {
        let (answer, answered) = oneshot::channel();
        match self.0.try_send(Order { specs, answer }) {
            Ok(()) => answered.await.unwrap_or_else(|_| Err(Problem::stopping().into())),
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

fn work(location: &Location, operator: &str, mut checker: Box<dyn Check + '_>, orders: &Receiver<Order>) {
    let mut store = None;
    while let Ok(first) = orders.recv() {
        let store = match open(&mut store, location, operator) {
            Ok(store) => store,
            Err(error) => {
                let _ = first.answer.send(Err(error.into()));
                continue;
            }
        };
        let mut batch = Vec::new();
        let mut jobs = 0;
        let mut next = Some(first);
        while let Some(order) = next {
            let answer = order.answer;
            match check(store, order.specs, &mut *checker) {
                Ok(checked) => {
                    jobs += checked.len();
                    batch.push(Checked {
                        jobs: checked,
                        answer,
                    });
                }
                Err(refusal) => drop(answer.send(Err(refusal))),
            }
            next = (jobs < BATCH).then(|| orders.try_recv().ok()).flatten();
        }
        store_all(store, batch);
    }
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
            // They may be stored: to try again would store them twice.
            Err(StoreError::MaybeStored { detail }) => {
                for order in batch {
                    let detail = detail.clone();
                    let _ = order.answer.send(Err(StoreError::MaybeStored { detail }.into()));
                }
                return;
            }
            Err(_) => {}
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
    let id = match (&placed.existing, &job.id) {
        (Some(existing), _) => existing.public_id.clone(),
        (None, Some(name)) => name.to_string(),
        (None, None) => placed.id.to_string(),
    };
    Stored { id, placed }
}
