//! What the simulator puts in the place of the world: time, commits that fail, and guards that are switched off so that
//! its checks can be seen to fail. Only in builds with the feature `sim`, and for each thread on its own.
//!
//! Nothing here changes what the store does while no fault is set and no guard is off.

use std::cell::{Cell, RefCell};
use std::ops::{Add, Sub};
use std::time::Duration;

use diesel::connection::SimpleConnection;
use queuectl_core::{Clock, NodeId, Timestamp};

use crate::connection::Db;
use crate::error::Problem;
use crate::{Cycle, CycleResult, Store, StoreError};

/// A rule of the queue that can be switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// An outcome counts only under the fencing token of the job's claim.
    Fencing,
    /// Only the dead are rescued.
    Lease,
    /// What a dead node left running is killed before its jobs run again.
    Sweep,
    /// Attempts have a maximum.
    Attempts,
    /// What was reported as stored is stored: without it, a transaction that is refused is reported as stored.
    Commit,
}

/// What happens to a transaction when it is to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is rolled back and reported as failed: a full disk, a server that went away.
    Refused,
    /// It is stored, and reported as failed: the answer got lost.
    ReplyLost,
}

/// What a node learned of the store.
pub enum Seen<'a> {
    /// A cycle.
    Cycle(&'a Cycle<'a>, Result<&'a CycleResult, &'a StoreError>),
    /// A sign of life.
    Heartbeat(NodeId, Result<&'a bool, &'a StoreError>),
}

type Observer = Box<dyn FnMut(Seen<'_>)>;

thread_local! {
    static NOW: Cell<(Timestamp, Duration)> = const { Cell::new((Timestamp(0), Duration::ZERO)) };
    static MACHINE: Cell<u32> = const { Cell::new(0) };
    static OFF: Cell<Option<Guard>> = const { Cell::new(None) };
    static FAULT: Cell<Option<(u32, Fault)>> = const { Cell::new(None) };
    static FULL: Cell<bool> = const { Cell::new(false) };
    static OBSERVER: RefCell<Option<Observer>> = const { RefCell::new(None) };
}

/// From now on this is the time: what the wall clock shows, and how far the monotonic clock has come.
pub fn set_time(wall: Timestamp, monotonic: Duration) {
    NOW.set((wall, monotonic));
}

/// Whatever is done from now on is done on that machine.
pub fn set_machine(machine: u32) {
    MACHINE.set(machine);
}

pub(crate) fn machine() -> u32 {
    MACHINE.get()
}

/// The wall clock, in the place of the operating system's.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        NOW.get().0
    }
}

/// A moment of the simulated monotonic clock, in the place of [`std::time::Instant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(pub Duration);

#[expect(missing_docs, reason = "as in the standard library")]
impl Instant {
    pub fn now() -> Instant {
        Instant(NOW.get().1)
    }
    pub fn elapsed(&self) -> Duration {
        Instant::now().saturating_duration_since(*self)
    }
    pub fn saturating_duration_since(&self, earlier: Instant) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;
    fn add(self, more: Duration) -> Instant {
        Instant(self.0 + more)
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Instant) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

/// Switches a guard off, or all of them on.
pub fn disable(guard: Option<Guard>) {
    OFF.set(guard);
}

/// Whether a guard is off.
pub fn is_disabled(guard: Guard) -> bool {
    OFF.get() == Some(guard)
}

/// Of the transactions to come, the one after so many others meets this fault. Replaces what was planned before.
pub fn plan_fault(fault: Option<(u32, Fault)>) {
    FAULT.set(fault);
}

/// Whether the disk is full: no transaction that writes can be committed.
pub fn set_disk_full(full: bool) {
    FULL.set(full);
}

/// From now on this is told what callers learn of the store; one at a time.
pub fn observe(observer: Option<Observer>) {
    OBSERVER.set(observer);
}

pub(crate) fn tell(seen: Seen<'_>) {
    OBSERVER.with_borrow_mut(|observer| {
        if let Some(observer) = observer {
            observer(seen);
        }
    });
}

/// The fault that a transaction about to be committed meets.
pub(crate) fn fault() -> Option<Fault> {
    if FULL.get() {
        return Some(Fault::Refused);
    }
    match FAULT.get() {
        Some((0, fault)) => {
            FAULT.set(None);
            Some(fault)
        }
        Some((others, fault)) => {
            FAULT.set(Some((others - 1, fault)));
            None
        }
        None => None,
    }
}

/// The error of a transaction that met a fault.
pub(crate) fn error(fault: Fault) -> StoreError {
    let (problem, detail) = match fault {
        Fault::Refused => (Problem::DiskFull, "simulated: database or disk is full"),
        Fault::ReplyLost => (Problem::Unreachable, "simulated: the answer got lost"),
    };
    StoreError::Database {
        problem,
        detail: detail.to_owned(),
    }
}

/// Has the server's clock be one that only [`set_server_time`] moves, in the schema of this store.
///
/// # Errors
/// [`StoreError::Database`]; also if the store is on no server.
pub fn own_server_clock(store: &mut Store) -> Result<(), StoreError> {
    on_server(
        store,
        "CREATE TABLE simulated_clock (now BIGINT NOT NULL); INSERT INTO simulated_clock VALUES (0); \
         CREATE OR REPLACE FUNCTION now_ms() RETURNS BIGINT LANGUAGE sql VOLATILE PARALLEL SAFE \
         AS $$ SELECT now FROM simulated_clock $$",
    )
}

/// From now on this is the server's time.
///
/// # Errors
/// [`StoreError::Database`]; also if the store is on no server.
pub fn set_server_time(store: &mut Store, now: Timestamp) -> Result<(), StoreError> {
    on_server(store, &format!("UPDATE simulated_clock SET now = {}", now.0))
}

fn on_server(store: &mut Store, sql: &str) -> Result<(), StoreError> {
    match store.conn()? {
        Db::Postgres(conn) => Ok(conn.batch_execute(sql)?),
        Db::Sqlite(_) => Err(StoreError::NoFile),
    }
}

/// Whether an error says that nobody knows whether the transaction was stored.
pub fn is_unknown(error: &StoreError) -> bool {
    error.problem() == Some(Problem::Unreachable)
}
