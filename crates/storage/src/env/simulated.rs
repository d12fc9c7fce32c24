//! What the simulator puts in the place of the world: time, commits that fail, and guards that are switched off so that
//! its checks can be seen to fail. Only in builds with the feature `sim`, and for each thread on its own.
//!
//! Nothing here changes what the store does while no fault is set and no guard is off.

use std::cell::{Cell, RefCell};
use std::ops::{Add, Sub};
use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::connection::{AnsiTransactionManager, TransactionManager};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Integer, Nullable, SmallInt};
use diesel::sqlite::SqliteConnection;
use queuectl_core::{Clock, Timestamp, Transition};

pub use super::Guard;
use super::Transaction;
use crate::StoreError;
use crate::error::Problem;
use crate::types::cycle::Record;

/// Transactions meet faults.
pub const FAULTS: bool = true;

/// What happens to a transaction when it is to be committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is rolled back and reported as failed: a full disk, a server that went away.
    Refused,
    /// It is stored, and reported as failed: the answer got lost.
    ReplyLost,
}

thread_local! {
    static NOW: Cell<(Timestamp, Duration)> = const { Cell::new((Timestamp(0), Duration::ZERO)) };
    static MACHINE: Cell<u32> = const { Cell::new(0) };
    static OFF: Cell<Option<Guard>> = const { Cell::new(None) };
    static FAULT: Cell<Option<(u32, Fault)>> = const { Cell::new(None) };
    static FULL: Cell<bool> = const { Cell::new(false) };
    static IN_MEMORY: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
    static LEFT: RefCell<Vec<(PathBuf, SqliteConnection)>> = const { RefCell::new(Vec::new()) };
}

/// Has a database in memory take the place of a file.
pub fn keep_in_memory(file: &Path) {
    IN_MEMORY.set(Some(file.to_owned()));
}

/// No database takes the place of this file any more, and no connection to it is kept.
pub fn forget_in_memory(file: &Path) {
    // Not when the thread is ending, which forgets them by itself.
    let _ = IN_MEMORY.try_with(|kept| kept.borrow_mut().take_if(|kept| kept == file));
    let _ = LEFT.try_with(|left| left.borrow_mut().retain(|(of, _)| of != file));
}

/// A connection that an earlier store in the file has left behind, with all that it has prepared.
pub fn left_connection(file: &Path) -> Option<SqliteConnection> {
    LEFT.with_borrow_mut(|left| {
        let place = left.iter().position(|(of, _)| of == file)?;
        Some(left.swap_remove(place).1)
    })
}

/// Leaves a connection to the next store in the file, if the database is in memory: to prepare its statements again would take
/// a fifth of the simulator's time.
pub fn leave_connection(file: &Path, conn: &mut SqliteConnection) {
    if instead_of(file).is_none() || std::thread::panicking() {
        return;
    }
    let status = AnsiTransactionManager::transaction_manager_status_mut(conn);
    let is_idle = status.transaction_depth().is_ok_and(|depth| depth.is_none());
    if let (true, Ok(other)) = (is_idle, SqliteConnection::establish(":memory:")) {
        let conn = std::mem::replace(conn, other);
        LEFT.with_borrow_mut(|left| left.push((file.to_owned(), conn)));
    }
}

/// The database that is opened in the place of this file, as a URI. Connections of one process share it.
pub fn instead_of(file: &Path) -> Option<String> {
    let is_it = IN_MEMORY.with_borrow(|kept| kept.as_deref() == Some(file));
    is_it.then(|| format!("file:{}?vfs=memdb", file.display()))
}

/// From now on this is the time: what the wall clock shows, and how far the monotonic clock has come.
pub fn set_time(wall: Timestamp, monotonic: Duration) {
    NOW.set((wall, monotonic));
}

/// Whatever is done from now on is done on that machine.
pub fn set_machine(machine: u32) {
    MACHINE.set(machine);
}

/// Which processes can be seen: those of the machine.
pub fn process_scope() -> String {
    MACHINE.get().to_string()
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

/// Plans a fault for the transaction that follows this many others. Replaces what was planned before.
pub fn plan_fault(fault: Option<(u32, Fault)>) {
    FAULT.set(fault);
}

/// Whether the disk is full: no transaction that writes can be committed.
pub fn set_disk_full(full: bool) {
    FULL.set(full);
}

/// Whether a living node may be taken over.
pub fn ignores_leases() -> bool {
    is_disabled(Guard::Lease)
}

/// Whether the end of a job settles what waits for it.
pub fn settles_dependencies() -> bool {
    !is_disabled(Guard::Dependencies)
}

/// Whether the end of a job locks what waits for it before it settles it. SQLite has one writer.
pub const fn locks_children() -> bool {
    true
}

/// For tests on servers.
pub const fn leave_unlocked() {}

/// Whether transactions that end members of a group lock it.
pub const fn locks_groups() -> bool {
    true
}

/// Whether the transaction that records the end of an attempt stores its hooks.
pub fn fires_hooks() -> bool {
    !is_disabled(Guard::Hooks)
}

/// Whether claims take no account of limits.
pub fn ignores_limits() -> bool {
    is_disabled(Guard::Limits)
}

/// Ends a transaction whose body has succeeded.
pub fn end<T>(transaction: &mut impl Transaction, value: T, writes: bool) -> Result<T, StoreError> {
    match writes.then(fault).flatten() {
        None => {
            transaction.commit()?;
            Ok(value)
        }
        Some(fault @ Fault::Refused) => {
            transaction.roll_back()?;
            match is_disabled(Guard::Commit) {
                true => Ok(value),
                false => Err(error(fault)),
            }
        }
        Some(fault @ Fault::ReplyLost) => {
            transaction.commit()?;
            Err(error(fault))
        }
    }
}

/// Whether an outcome counts only under the fencing token of the job's claim.
pub fn fences_outcomes() -> bool {
    !is_disabled(Guard::Fencing)
}

/// Applies an outcome whatever has become of the job meanwhile, if outcomes are not fenced.
pub fn apply_unfenced(
    conn: &mut SqliteConnection,
    record: &Record,
    change: Transition,
    now: Timestamp,
) -> Option<Result<bool, StoreError>> {
    is_disabled(Guard::Fencing).then(|| apply_anyhow(conn, record, change, now))
}

fn apply_anyhow(
    conn: &mut SqliteConnection,
    record: &Record,
    change: Transition,
    now: Timestamp,
) -> Result<bool, StoreError> {
    // Makes room for an attempt that was kept before.
    diesel::sql_query("DELETE FROM attempts WHERE job_id = ? AND fence = ?")
        .bind::<BigInt, _>(record.job.0)
        .bind::<BigInt, _>(record.fence)
        .execute(conn)?;
    let changed = diesel::sql_query(
        "UPDATE jobs SET state = ?, attempts = ?, system_failures = ?, due_at = ?, finished_at = ?, \
         cancel_requested = 0, updated_at = ?, node_id = NULL WHERE id = ?",
    )
    .bind::<SmallInt, _>(change.to().code())
    .bind::<Integer, _>(i32::try_from(change.attempts()).unwrap_or(i32::MAX))
    .bind::<Integer, _>(i32::try_from(change.system_failures()).unwrap_or(i32::MAX))
    .bind::<Nullable<BigInt>, _>(change.due_at().map(|due| due.0))
    .bind::<Nullable<BigInt>, _>(change.to().is_final().then_some(now.0))
    .bind::<BigInt, _>(now.0)
    .bind::<BigInt, _>(record.job.0)
    .execute(conn)?;
    Ok(changed == 1)
}

/// The fault that a transaction about to be committed meets.
fn fault() -> Option<Fault> {
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
fn error(fault: Fault) -> StoreError {
    let (problem, detail) = match fault {
        Fault::Refused => (Problem::DiskFull, "simulated: database or disk is full"),
        Fault::ReplyLost => (Problem::Unreachable, "simulated: the answer got lost"),
    };
    StoreError::Database {
        problem,
        detail: detail.to_owned(),
    }
}

/// Whether an error says that it is unknown whether the transaction was stored.
pub fn is_unknown(error: &StoreError) -> bool {
    error.problem() == Some(Problem::Unreachable)
}
