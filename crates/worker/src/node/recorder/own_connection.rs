//! Recording many outcomes of a node on a server beside its cycles.
//!
//! Each connection to a server is one process there, which uses one processor. A busy node therefore records over a
//! connection of its own, while the dispatcher claims over the other. A few outcomes ride along with the next claim as on
//! SQLite: one commit for both.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use queuectl_core::settings::Durability;
use queuectl_core::{NodeId, Timestamp};
use queuectl_storage::{Cycle, CycleResult, Location, OpenMode, Queues, Record, Store, StoreError};

/// How long the connection is kept for the next batch, and how long the server keeps it if nothing is asked.
const KEEP: Duration = Duration::from_secs(30);
const SILENCE: Duration = Duration::from_secs(60);

/// A batch of outcomes on its way to the store.
pub struct Batch {
    pub records: Vec<Record>,
    pub node: NodeId,
    pub durability: Durability,
    pub now: Timestamp,
}

/// What became of a batch.
pub struct Reply {
    pub records: Vec<Record>,
    pub result: Result<CycleResult, StoreError>,
}

/// The way to the recording thread, which starts when it is first needed. It has one batch at a time.
pub struct OwnConnection {
    location: Location,
    /// Takes the thread's replies.
    reply: Arc<dyn Fn(Reply) -> bool + Send + Sync>,
    batches: Option<Sender<Batch>>,
}

impl OwnConnection {
    /// To the store at `location`. `reply` takes what became of each batch, and says whether anybody wants to know.
    pub fn new(location: &Location, reply: impl Fn(Reply) -> bool + Send + Sync + 'static) -> OwnConnection {
        OwnConnection {
            location: location.clone(),
            reply: Arc::new(reply),
            batches: None,
        }
    }

    /// Takes a batch; gives its records back if it cannot.
    pub fn take(&mut self, batch: Batch) -> Result<(), Vec<Record>> {
        if self.batches.is_none() {
            let (batches, inbox) = channel();
            let (location, reply) = (self.location.clone(), Arc::clone(&self.reply));
            let started = thread::Builder::new()
                .name("recorder".into())
                .spawn(move || record(&location, &inbox, &*reply));
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
fn record(location: &Location, inbox: &Receiver<Batch>, reply: &dyn Fn(Reply) -> bool) {
    let mut store: Option<(Store, Durability)> = None;
    loop {
        let batch = match inbox.recv_timeout(KEEP) {
            Ok(batch) => batch,
            Err(RecvTimeoutError::Timeout) => {
                store = None;
                continue;
            }
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let result = record_one(location, &mut store, &batch);
        let records = batch.records;
        if !reply(Reply { records, result }) {
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
        None => {
            let mut opened = Store::open(location, OpenMode::MustExist)?;
            opened.end_when_idle(SILENCE)?;
            store.insert((opened, Durability::Full))
        }
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
