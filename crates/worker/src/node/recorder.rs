//! Recording many outcomes of a node on a server beside its cycles.
//!
//! Each connection to a server is one process there, which uses one processor. A busy node therefore records over a
//! connection of its own, while the dispatcher claims over the other. A few outcomes ride along with the next claim as on
//! SQLite: one commit for both. What fails here goes back to the dispatcher, for which the store has failed then: it finds
//! out what was stored all the same and records the rest by a cycle.

use std::mem;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use queuectl_core::settings::Durability;
use queuectl_core::{NodeId, Timestamp};
use queuectl_storage::{Cycle, CycleResult, Location, OpenMode, Queues, Record, Store, StoreError};

use super::dispatcher::Dispatcher;
use super::inputs::Input;
use super::report;
use crate::env::Instant;

/// So many outcomes are worth a transaction of their own.
const APART: usize = 128;

/// A batch of outcomes on its way to the store.
struct Batch {
    records: Vec<Record>,
    node: NodeId,
    durability: Durability,
    now: Timestamp,
}

/// What became of a batch.
pub struct Recorded {
    records: Vec<Record>,
    result: Result<CycleResult, StoreError>,
}

/// The way to the recording thread, which starts when it is first needed. It has one batch at a time.
pub struct Recorder {
    location: Location,
    events: Sender<Input>,
    batches: Option<Sender<Batch>>,
    /// The last batch failed, and no cycle has recorded anything since.
    failed: bool,
    /// Why, until the dispatcher deals with it.
    error: Option<StoreError>,
}

impl Recorder {
    pub fn new(location: &Location, events: Sender<Input>) -> Recorder {
        Recorder {
            location: location.clone(),
            events,
            batches: None,
            failed: false,
            error: None,
        }
    }

    /// Takes a batch; gives it back if it cannot.
    fn take(&mut self, batch: Batch) -> Result<(), Vec<Record>> {
        if self.batches.is_none() {
            let (batches, inbox) = channel();
            let (location, events) = (self.location.clone(), self.events.clone());
            let started = thread::Builder::new()
                .name("recorder".into())
                .spawn(move || record(&location, &inbox, &events));
            self.batches = started.is_ok().then_some(batches);
            tracing::debug!("busy: outcomes are recorded over a connection of their own");
        }
        match &self.batches {
            Some(batches) => batches.send(batch).map_err(|error| error.0.records),
            None => Err(batch.records),
        }
    }
}

/// Records batch by batch until the dispatcher is gone.
fn record(location: &Location, inbox: &Receiver<Batch>, events: &Sender<Input>) {
    let mut store: Option<(Store, Durability)> = None;
    while let Ok(batch) = inbox.recv() {
        let result = record_one(location, &mut store, &batch);
        let records = batch.records;
        if events
            .send(Input::Recorded(Recorded { records, result }))
            .is_err()
        {
            return;
        }
    }
}

fn record_one(
    location: &Location,
    store: &mut Option<(Store, Durability)>,
    batch: &Batch,
) -> Result<CycleResult, StoreError> {
    let (store, durability) = match store {
        Some(store) => store,
        None => store.insert((Store::open(location, OpenMode::MustExist)?, Durability::Full)),
    };
    if *durability != batch.durability {
        store.set_durability(batch.durability)?;
        *durability = batch.durability;
    }
    store.cycle(&Cycle {
        node: batch.node,
        records: &batch.records,
        claim: 0,
        queues: &Queues::All,
        now: batch.now,
    })
}

impl Dispatcher {
    /// Has the outcomes at hand recorded beside the cycles, if that is worth it.
    pub(super) fn record_apart(&mut self, now: Timestamp) {
        let Some(recorder) = &mut self.recorder else {
            return;
        };
        if recorder.failed || self.claims.recording > 0 || self.claims.unrecorded.len() < APART {
            return;
        }
        let batch = Batch {
            records: mem::take(&mut self.claims.unrecorded),
            node: self.node,
            durability: self.settings.durability,
            now,
        };
        let count = batch.records.len();
        match recorder.take(batch) {
            Ok(()) => {
                self.claims.recording = count;
                self.pending_acks.recording();
                self.ended_since = None;
            }
            Err(records) => self.claims.unrecorded = records,
        }
    }

    /// A batch came back.
    pub(super) fn recorded(&mut self, Recorded { mut records, result }: Recorded) {
        self.claims.recording = 0;
        match result {
            Ok(CycleResult { stale, next_due, .. }) => {
                report::refused(&stale);
                self.tell_recorded();
                self.next_due = [self.next_due, next_due].into_iter().flatten().min();
                // Jobs that were given back, and those that it made due.
                self.maybe_work = true;
            }
            Err(error) => {
                self.pending_acks.not_recorded();
                records.append(&mut self.claims.unrecorded);
                self.claims.unrecorded = records;
                self.ended_since.get_or_insert_with(Instant::now);
                if let Some(recorder) = &mut self.recorder {
                    recorder.failed = true;
                    recorder.error = Some(error);
                }
            }
        }
    }

    /// Why the last batch failed, once: the store has failed, whichever the connection was.
    pub(super) fn record_error(&mut self) -> Option<StoreError> {
        self.recorder.as_mut()?.error.take()
    }

    /// A cycle has recorded outcomes.
    pub(super) fn trust_recorder(&mut self) {
        if let Some(recorder) = &mut self.recorder {
            recorder.failed = false;
        }
    }
}
