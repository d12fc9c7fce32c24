//! What the store needs of a database: [`Backend`] over the life of a store, [`Dialect`] inside one transaction.
//!
//! Each database implements both in a folder of its own, and nothing else in the crate asks which database it is. A third
//! one is a folder, a variant of [`AnyConnection`], and the line in `store.rs` that opens it.

mod connection;
pub mod statements;

use std::path::Path;
use std::time::Duration;

use queuectl_core::settings::Durability;
use queuectl_core::{Gates, JobId, JobRef, NodeId, Settings, State, Timestamp, ValidJob};

pub use self::connection::{AnyConnection, AnySql, Db};
pub(crate) use self::connection::{insert_rows, on_any};
use crate::StoreError;
use crate::clock::StoreClock;
use crate::counts::Deltas;
use crate::state_dir::{Lane, NodeGuard, WriteLock};
use crate::types::cycle::{Cycle, CycleResult, Queues};
use crate::types::jobs::NewJob;
use crate::types::nodes::{NewNode, Node, SignalRequest, StopRequest, Wake, WakeListener};
use crate::types::placed::Placed;

/// One database with its connection. What only reads, or is one transaction of ordinary statements, is an operation
/// (`ops/`) over [`Backend::conn`] and [`Backend::begin_writing`]; here is what each database does in its own way.
pub trait Backend: Send {
    /// Ends its use, as dropping does, in a process that is about to end.
    fn leave(self: Box<Self>);

    /// Returns the connection, and reconnects if it failed.
    fn conn(&mut self) -> Result<&mut Db, StoreError>;

    /// The connection for a transaction that writes, and the lock to hold meanwhile, if there is one.
    fn begin_writing(&mut self, lane: Lane) -> Result<(&mut Db, Option<WriteLock>), StoreError>;

    /// Names the plain cause of an error of a transaction, where there is one.
    fn explain(&self, error: StoreError) -> StoreError {
        error
    }

    /// Chooses how much a commit survives.
    fn set_durability(&mut self, durability: Durability) -> Result<(), StoreError>;

    /// Has the server end the connection once nothing was asked over it for that long; see [`Store::end_when_idle`].
    ///
    /// [`Store::end_when_idle`]: crate::Store::end_when_idle
    fn end_when_idle(&mut self, most: Duration) -> Result<(), StoreError>;

    /// A number that changes whenever another connection has changed the store.
    fn change_marker(&mut self) -> Result<i64, StoreError>;

    /// Whether another connection has written since this was asked last, where writers exclude each other.
    fn others_wrote(&mut self) -> bool {
        false
    }

    /// The clock that due times go by.
    fn clock(&mut self) -> Result<StoreClock, StoreError>;

    /// Wakes every node of the store. A node that cannot be woken looks by itself before long.
    fn wake_all(&mut self, wake: Wake);

    /// The number of the store for what runs on this machine; `fresh` becomes it if it has none yet.
    fn identity(&mut self, fresh: u64) -> Result<u64, StoreError>;

    /// The number of the store that is in the database itself; none if an older version made it.
    fn number(&mut self) -> Result<Option<String>, StoreError>;

    /// The same; a store without one gets one.
    fn own_number(&mut self) -> Result<String, StoreError>;

    /// Stores jobs, all or none; what became of each, in their order. Jobs without keys are stored as this database does it
    /// best; a batch with keys is left to `place`. `after` does what else belongs to the transaction.
    fn insert(
        &mut self,
        jobs: &[ValidJob],
        now: Timestamp,
        place: Place,
        after: &mut After<'_>,
    ) -> Result<Vec<Placed>, StoreError>;

    /// Records, makes due and claims, in one transaction.
    fn cycle(&mut self, cycle: &Cycle<'_>) -> Result<CycleResult, StoreError>;

    /// Whether one of these queues, unless it is paused at that moment, has a job ready.
    fn has_ready(&mut self, queues: &Queues, moment: Timestamp) -> Result<bool, StoreError>;

    /// Waits, for a short time at most, until no claim is under way that began before this.
    fn settle_claims(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Has claims ignore that queues are paused, for tests that must fail then.
    fn ignore_pauses(&mut self);

    /// When the next waiting job is due.
    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError>;

    /// What other processes ask of a node.
    fn control_requests(&mut self, node: NodeId) -> Result<ControlRequests, StoreError>;

    /// Enters a node, which counts as alive while the guard is held.
    fn enter_node(
        &mut self,
        node: &NewNode,
        lease: Duration,
        now: Timestamp,
    ) -> Result<(NodeId, NodeGuard, WakeListener), StoreError>;

    /// Renews a node's heartbeat, and its lease if it has one. False if the node was declared dead meanwhile.
    fn heartbeat(&mut self, node: NodeId, now: Timestamp) -> Result<bool, StoreError>;

    /// Renews a node's lease for this time from now on. False if the node was declared dead meanwhile.
    fn renew_lease(&mut self, node: NodeId, lease: Duration) -> Result<bool, StoreError>;

    /// Which of the nodes live, in their order.
    fn which_live(&mut self, nodes: &[Node]) -> Result<Vec<bool>, StoreError>;

    /// Whether a node lives.
    fn node_lives(&mut self, node: NodeId) -> Result<bool, StoreError>;

    /// Takes over a node if it is dead; none while it lives.
    fn take_over(&mut self, node: NodeId) -> Result<Option<NodeGuard>, StoreError>;

    /// Whether machines other than this one may have nodes of the store.
    fn spans_machines(&self) -> bool;

    /// Checks the database as far as it can. `verify` compares rows with their checksums.
    fn check(&mut self, verify: Verify) -> Result<CheckReport, StoreError>;

    /// How much the store takes on the disk.
    fn bytes(&mut self) -> Result<u64, StoreError>;

    /// Copies the database to a new file as it is. False if it is in no file.
    fn backup(&mut self, target: &Path) -> Result<bool, StoreError>;

    /// Rewrites the database without the space of what was removed.
    fn compact(&mut self) -> Result<(), StoreError>;

    /// How long a claim takes that is long, and for how long at least what it passed over is passed over then, where
    /// claims do that.
    fn set_long_claims(&mut self, _long: Duration, _pause: Duration) {}
}

/// What each database does in its own way in a transaction, which is the caller's.
pub trait Dialect {
    /// The statement that begins such a transaction.
    fn begin(&self, begin: Begin) -> &'static str;

    /// A statement for SQLite, with `INDEXED BY` and parameters like `?1`, in the words of this database.
    fn words(&self, sql: &str) -> String;

    /// What has the jobs of each queue by number, in any state, as the words after `FROM`.
    fn jobs_by_queue(&self) -> &'static str;

    /// What is true if a text is in another, whatever the case of letters from A to Z: what stands before the other text, between
    /// both, and behind. The text itself is in lower case.
    fn contains(&self) -> [&'static str; 3];

    /// What stands behind a text that is sorted by its bytes.
    fn by_bytes(&self) -> &'static str;

    /// Whether the condition of a claim holds for a job at that moment: that of the statements that claim.
    fn is_claimable(&mut self, job: JobId, moment: Timestamp) -> Result<bool, StoreError>;

    /// Has others wait until this transaction has changed the job.
    fn lock_job(&mut self, job: &JobRef) -> Result<(), StoreError>;

    /// Waits until no cycle of a node is under way, on any connection. False if the node was taken over, or removed.
    fn lock_node(&mut self, node: NodeId) -> Result<bool, StoreError>;

    /// Makes writers of new jobs wait until this transaction has ended, which may take long.
    fn lock_jobs(&mut self) -> Result<(), StoreError>;

    /// Removes jobs that ended in that state with all that belongs to them, as many as there is time for. Returns those with
    /// their gates.
    fn remove_jobs(
        &mut self,
        ids: Vec<i64>,
        state: State,
        deltas: &mut Deltas,
    ) -> Result<Vec<(i64, Gates)>, StoreError>;

    /// Writes differences of counts.
    fn add_counts(&mut self, deltas: Deltas) -> Result<(), StoreError>;

    /// Forgets counts of queues without jobs, and folds what was added up: of these queues, or of all.
    fn fold_counts(&mut self, queues: Option<Vec<String>>) -> Result<(), StoreError>;

    /// Lets the transaction take as long as it needs.
    fn lift_time_limits(&mut self) -> Result<(), StoreError>;

    /// Has what happens to jobs and queues be written into the ledger from now on, or no more.
    fn set_ledger(&mut self, is_on: bool) -> Result<(), StoreError>;

    /// How events are ordered, which of them can be read, and how this is said of them: as `events AS e`, the place in the
    /// order as parameters 1 and 2.
    fn ledger(&self) -> Ledger;

    /// Stores new jobs without unique keys and counts them; their numbers, in their order.
    fn insert_all(&mut self, jobs: &[ValidJob], now: Timestamp) -> Result<Vec<JobId>, StoreError>;

    /// Reserves numbers for jobs, in ascending order.
    fn reserve_numbers(&mut self, count: usize) -> Result<Vec<i64>, StoreError>;

    /// Stores new jobs and counts them, but those whose name or key another has; which ones.
    fn insert_new(
        &mut self,
        jobs: &[NewJob<'_>],
        now: Timestamp,
        deltas: &mut Deltas,
    ) -> Result<Vec<bool>, StoreError>;

    /// Has others wait who need the group otherwise, until this transaction has ended.
    fn lock_group(&mut self, group: i64, need: GroupNeed) -> Result<(), StoreError>;

    /// The next members of a group that were never claimed and wait. On PostgreSQL without those that another
    /// transaction is changing, so that it waits for none.
    fn unbegun_members(&mut self, group: i64, most: i64) -> Result<Vec<i64>, StoreError>;

    /// Stores payloads of jobs that are there.
    fn insert_payloads(&mut self, jobs: Vec<i64>, payloads: Vec<String>) -> Result<(), StoreError>;

    /// Stores what a job runs from now on, and with it the queue that it is in.
    fn replace_payload(&mut self, job: i64, queue: &str, payload: &str) -> Result<(), StoreError>;

    /// Has others wait who let runs of this schedule go on, until this transaction has ended.
    fn lock_schedule(&mut self, name: &str) -> Result<(), StoreError>;

    /// Has others wait who make ticks or change schedules until this transaction has ended.
    fn lock_schedules(&mut self) -> Result<(), StoreError>;

    /// The newest number that a table has given.
    fn last_number(&mut self, table: &str) -> Result<i64, StoreError>;

    /// Has a table give numbers above this one.
    fn go_on_from(&mut self, table: &str, last: i64) -> Result<(), StoreError>;
}

/// What a statement says of the order of events.
#[derive(Debug, Clone, Copy)]
pub struct Ledger {
    /// The transaction of an event.
    pub transaction: &'static str,
    /// The condition on those behind a place that can be read: none comes before them any more.
    pub after: &'static str,
    /// Whether there is an event that cannot be read yet, because an older transaction is open.
    pub is_behind: &'static str,
    /// The order, and the other way round.
    pub order: [&'static str; 2],
}

/// What a transaction needs of a group until it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupNeed {
    /// It must stay and stay open: members are added. Any number of transactions can do so at a time, beside one that ends
    /// members.
    Join,
    /// No other ends members: of two last ones that end at the same time, the second sees what the first did.
    End,
    /// No other adds members or ends them.
    All,
}

/// How a transaction begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begin {
    /// It only reads, in one moment: it sees nothing that is stored meanwhile.
    Snapshot,
    /// It writes.
    Write,
}

/// Runs `body` in one write transaction: all of it is stored, or nothing.
pub fn write<T>(
    backend: &mut (impl Backend + ?Sized),
    lane: Lane,
    body: impl FnOnce(&mut Db) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let (conn, _lock) = backend.begin_writing(lane)?;
    let done = conn.write(body);
    done.map_err(|error| backend.explain(error))
}

/// Stores jobs some of which have keys, in a transaction that is the caller's.
pub type Place = fn(&mut Db, &[ValidJob], Timestamp) -> Result<Vec<Placed>, StoreError>;

/// Does more in the transaction that stored jobs.
pub type After<'a> = dyn FnMut(&mut Db, &[Placed]) -> Result<(), StoreError> + 'a;

/// Compares every job and attempt with its checksum, and says which differ.
pub type Verify = fn(&mut Db) -> Result<Vec<String>, StoreError>;

/// What is asked of a node.
#[derive(Debug, Clone)]
pub struct ControlRequests {
    /// How urgently it was asked to stop; `None` also if it is not in the store any more.
    pub stop: StopRequest,
    /// The jobs among those that it runs whose cancellation was asked for, with their fencing tokens.
    pub cancel: Vec<(JobId, i64)>,
    /// The signals that users want sent to jobs that it runs; at most 100.
    pub signals: Vec<SignalRequest>,
    /// The settings.
    pub settings: Settings,
    /// The clock that due times go by, as it was at that moment.
    pub clock: StoreClock,
    /// When the next tick of a schedule comes.
    pub next_tick: Option<Timestamp>,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckReport {
    /// What is wrong with the file's structure, and which jobs and attempts are not what was stored; empty if nothing is.
    pub damage: Vec<String>,
    /// Rows that point at rows that are not there.
    pub dangling: u64,
    /// Pairs of queue and state whose kept count is not that of the jobs.
    pub miscounted: u64,
    /// Jobs that hold a key of a limit, or wait for one, otherwise than their state says.
    pub misplaced: u64,
    /// Groups whose callback is missing or early, and members whose rows say otherwise than their jobs.
    pub misgrouped: u64,
    /// The file's pages.
    pub pages: u64,
    /// Pages that are free for reuse.
    pub free_pages: u64,
}

/// What to do if there is no store at the location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Make one.
    Create,
    /// Fail with [`StoreError::Missing`].
    MustExist,
}
