//! Storing jobs: one thread takes what requests want stored, as much as there is, and commits it together. A thousand requests then cost one
//! wait for the disk, and none is answered before its jobs are on it.
//!
//! If one of them cannot be stored, each is stored by itself, and only that one is refused. If the store fails, all of them are: none
//! is tried again, since its client may have given up meanwhile and would send it again.

use std::io;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, Scope};

use http::StatusCode;
use queuectl_core::{JobSpec, TokenScope, ValidJob};
use queuectl_frontend::kind::{Kind, kind};
use queuectl_frontend::placed::public_id;
use queuectl_storage::{Keyed, Location, Placed, RequestKey, Store, StoreError};
use serde::{Deserialize, Serialize};
use tokio::sync::{oneshot, watch};

use crate::Check;
use crate::caller;
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
    /// The jobs that its caller may store.
    scope: TokenScope,
    /// What the request is known by, if it has a key.
    key: Option<RequestKey>,
    answer: Answer,
}

type Answer = oneshot::Sender<Result<Done, Refusal>>;

/// Jobs that are stored.
pub struct Done {
    pub jobs: Vec<Stored>,
    /// Whether that was done before, for a request with the same key.
    pub was_before: bool,
}

/// A job that was stored, or was there already, as it is answered.
#[derive(Serialize, Deserialize)]
pub struct Stored {
    /// The id that users see.
    pub id: String,
    /// Whether it was there already.
    pub existing: bool,
    /// The job that it took the place of.
    pub replaced: Option<String>,
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

    /// Stores jobs, which are `bytes` long as text, together or not at all; those of a request that was answered before are not
    /// stored again.
    pub async fn store(
        &self,
        specs: Vec<JobSpec>,
        bytes: usize,
        key: Option<RequestKey>,
    ) -> Result<Done, Refusal> {
        let (answer, answered) = oneshot::channel();
        let scope = caller::current().map(|caller| caller.scope()).unwrap_or_default();
        let order = Order {
            specs,
            bytes,
            scope,
            key,
            answer,
        };
        match self.0.try_send(order) {
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
    key: Option<RequestKey>,
    answer: Answer,
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
        let mut next = Some(first);
        while let Some(order) = next.take() {
            if *stopped.borrow() {
                let _ = order.answer.send(Err(Problem::stopping().into()));
                continue;
            }
            // What panics must not take the thread with it, nor leave a store that is half way through something.
            let done = catch_unwind(AssertUnwindSafe(|| {
                take(&mut store, location, operator, &mut *checker, order, orders)
            }));
            match done {
                Ok(left) => next = left,
                Err(_) => store = None,
            }
        }
    }
}

/// Takes an order, and those that wait behind it. Returns one that has to wait for the commit of the others.
fn take(
    store: &mut Option<Store>,
    location: &Location,
    operator: &str,
    checker: &mut dyn Check,
    first: Order,
    orders: &Receiver<Order>,
) -> Option<Order> {
    let store = match open(store, location, operator) {
        Ok(store) => store,
        Err(error) => {
            let _ = first.answer.send(Err(error.into()));
            return None;
        }
    };
    let mut batch: Vec<Checked> = Vec::new();
    let (mut jobs, mut bytes) = (0, 0);
    let mut next = Some(first);
    let mut left = None;
    while let Some(order) = next {
        let same =
            |one: &Checked| matches!((&one.key, &order.key), (Some(one), Some(key)) if one.is_same(key));
        if batch.iter().any(same) {
            left = Some(order);
            break;
        }
        // A client that has gone away would send the same again.
        if !order.answer.is_closed() {
            let size = order.bytes;
            if let Some(checked) = look(store, order, checker) {
                jobs += checked.jobs.len();
                bytes += size;
                batch.push(checked);
            }
        }
        let has_room = jobs < BATCH && bytes < BATCH_BYTES;
        next = has_room.then(|| orders.try_recv().ok()).flatten();
    }
    store_all(store, batch);
    left
}

/// Checks an order, unless it was answered before.
fn look(store: &mut Store, order: Order, checker: &mut dyn Check) -> Option<Checked> {
    let before = match &order.key {
        Some(key) => answered(store, key),
        None => Ok(None),
    };
    let checked = match before {
        Ok(None) => check(store, order.specs, &order.scope, checker),
        Ok(Some(done)) => {
            let _ = order.answer.send(Ok(done));
            return None;
        }
        Err(refusal) => Err(refusal),
    };
    match checked {
        Ok(jobs) => Some(Checked {
            jobs,
            key: order.key,
            answer: order.answer,
        }),
        Err(refusal) => {
            let _ = order.answer.send(Err(refusal));
            None
        }
    }
}

/// Returns what was answered to the same request before.
fn answered(store: &mut Store, key: &RequestKey) -> Result<Option<Done>, Refusal> {
    let now = store.now()?;
    let Some(answered) = store.answered(key, now)? else {
        return Ok(None);
    };
    if answered.hash != key.hash {
        return Err(Problem::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "key_reused",
            "another request had this Idempotency-Key; each needs one of its own",
        )
        .into());
    }
    let jobs = serde_json::from_str(&answered.text).map_err(|error| {
        tracing::error!(%error, "an answer that was stored cannot be read");
        Refusal::from(Problem::internal())
    })?;
    Ok(Some(Done {
        jobs,
        was_before: true,
    }))
}

fn check(
    store: &mut Store,
    specs: Vec<JobSpec>,
    scope: &TokenScope,
    checker: &mut dyn Check,
) -> Result<Vec<ValidJob>, Refusal> {
    // A delay counts by the queue's clock.
    let now = store.now()?;
    let mut jobs = Vec::with_capacity(specs.len());
    for (index, spec) in specs.into_iter().enumerate() {
        let job = checker.complete(spec, now).map_err(|reason| Refusal {
            problem: Problem::usage(reason),
            index: Some(index),
        })?;
        if let Some(why) = scope.refusal(&job) {
            return Err(Refusal {
                problem: Problem::new(StatusCode::FORBIDDEN, "forbidden", why),
                index: Some(index),
            });
        }
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
        match place(store, &batch) {
            Ok(done) => {
                for (order, jobs) in batch.into_iter().zip(done) {
                    let was_before = false;
                    let _ = order.answer.send(Ok(Done { jobs, was_before }));
                }
                return;
            }
            // One of the requests is to blame.
            Err(error) if is_conflict(&error) || [Kind::Usage, Kind::NotFound].contains(&kind(&error)) => {}
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
        let order = [order];
        let done = place(store, &order);
        let [order] = order;
        let done = match (done, &order.key) {
            (Ok(mut done), _) => Ok(Done {
                jobs: done.pop().unwrap_or_default(),
                was_before: false,
            }),
            // Another server may have been quicker with the same request, whose job then has the name.
            (Err(error), Some(key)) if is_conflict(&error) => match answered(store, key) {
                Ok(None) => Err(error.into()),
                Ok(Some(done)) => Ok(done),
                Err(refusal) => Err(refusal),
            },
            (Err(error), _) => Err(error.into()),
        };
        let _ = order.answer.send(done);
    }
}

/// Whether the key of a request or something of its jobs is there already.
fn is_conflict(error: &StoreError) -> bool {
    matches!(error, StoreError::AnswerTaken) || kind(error) == Kind::Conflict
}

/// Stores the jobs of all orders, or none; what became of them, order by order.
fn place(store: &mut Store, batch: &[Checked]) -> Result<Vec<Vec<Stored>>, StoreError> {
    let now = store.now()?;
    let mut all: Vec<ValidJob> = Vec::new();
    let mut ranges = Vec::new();
    let mut keyed = Vec::new();
    for order in batch {
        let jobs = all.len()..all.len() + order.jobs.len();
        all.extend(order.jobs.iter().cloned());
        if let Some(key) = order.key.clone() {
            let jobs = jobs.clone();
            keyed.push(Keyed { key, jobs });
        }
        ranges.push(jobs);
    }
    let placed = match keyed.is_empty() {
        true => store.place(&all, now)?,
        false => store.place_answered(&all, &keyed, &as_text, now)?,
    };
    let stored = |range: Range<usize>| stored_as(&all[range.clone()], &placed[range]);
    Ok(ranges.into_iter().map(stored).collect())
}

fn as_text(jobs: &[ValidJob], placed: &[Placed]) -> String {
    // Texts always serialise.
    serde_json::to_string(&stored_as(jobs, placed)).unwrap_or_default()
}

fn stored_as(jobs: &[ValidJob], placed: &[Placed]) -> Vec<Stored> {
    let stored = |(job, placed): (&ValidJob, &Placed)| Stored {
        id: public_id(job, placed),
        existing: placed.existing.is_some(),
        replaced: placed
            .replaced
            .as_ref()
            .map(|replaced| replaced.public_id.clone()),
    };
    jobs.iter().zip(placed).map(stored).collect()
}
