//! The world as it is.

use std::path::Path;
use std::sync::OnceLock;
pub use std::time::Instant;

use diesel::sqlite::SqliteConnection;
use queuectl_core::{Clock, Timestamp, Transition};

use super::{Guard, Transaction};
use crate::StoreError;
use crate::types::cycle::Record;

/// This machine's clock; in development builds, the time that a test says it is.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        time_of_test().unwrap_or_else(|| queuectl_core::SystemClock.now())
    }
}

/// What `QUEUECTL_TEST_CLOCK` says, in ms since 1970.
fn time_of_test() -> Option<Timestamp> {
    static TIME: OnceLock<Option<i64>> = OnceLock::new();
    let time = || std::env::var("QUEUECTL_TEST_CLOCK").ok()?.parse().ok();
    cfg!(debug_assertions)
        .then(|| TIME.get_or_init(time).map(Timestamp))
        .flatten()
}

/// The database that is opened in the place of this file, as a URI.
pub const fn instead_of(_: &Path) -> Option<String> {
    None
}

/// A connection that an earlier store in the file has left behind.
pub const fn left_connection(_: &Path) -> Option<SqliteConnection> {
    None
}

/// Leaves a connection to the next store in the file. Here each closes its own.
pub const fn leave_connection(_: &Path, _: &mut SqliteConnection) {}

/// Whether transactions meet faults.
pub const FAULTS: bool = false;

/// Which processes this one can see, and so can kill: the boot of the kernel and the namespace of process numbers; where
/// these are not known, the machine's name. Two machines, or two containers, may well share a folder.
pub fn process_scope() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    let numbers = std::fs::read_link("/proc/self/ns/pid");
    match (boot, numbers) {
        (Ok(boot), Ok(numbers)) => format!("{} {}", boot.trim_end(), numbers.display()),
        _ => machine_name(),
    }
}

#[cfg(unix)]
fn machine_name() -> String {
    let name = nix::unistd::gethostname().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn machine_name() -> String {
    std::env::var("COMPUTERNAME").unwrap_or_default()
}

/// Ends a transaction whose body has succeeded.
pub fn end<T>(transaction: &mut impl Transaction, value: T, _writes: bool) -> Result<T, StoreError> {
    transaction.commit()?;
    Ok(value)
}

/// Whether a living node may be taken over.
pub const fn ignores_leases() -> bool {
    false
}

/// Whether a rule of the queue is switched off.
pub const fn is_disabled(_: Guard) -> bool {
    false
}

/// Whether claims take no account of limits.
pub const fn ignores_limits() -> bool {
    false
}

/// Whether an outcome counts only under the fencing token of the job's claim.
pub const fn fences_outcomes() -> bool {
    true
}

/// Applies an outcome whatever has become of the job meanwhile, if outcomes are not fenced.
pub const fn apply_unfenced(
    _: &mut SqliteConnection,
    _: &Record,
    _: Transition,
    _: Timestamp,
) -> Option<Result<bool, StoreError>> {
    None
}

/// Whether the end of a job settles what waits for it.
pub fn settles_dependencies() -> bool {
    is_on("dependencies")
}

/// Whether the transaction that records the end of an attempt stores its hooks. Tests can switch it off as well.
pub fn fires_hooks() -> bool {
    is_on("hooks")
}

fn is_on(guarantee: &str) -> bool {
    let is_off = |names: String| names.split(',').any(|name| name == guarantee);
    !cfg!(debug_assertions) || !std::env::var("QUEUECTL_TEST_WITHOUT").is_ok_and(is_off)
}

thread_local! {
    static UNLOCKED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Whether the end of a job locks what waits for it before it settles it.
pub fn locks_children() -> bool {
    !(cfg!(debug_assertions) && UNLOCKED.get())
}

/// Whether transactions that end members of a group lock it.
pub fn locks_groups() -> bool {
    locks_children()
}

/// Has transactions of this thread settle edges and groups without locks, for tests of development builds that must fail then.
pub fn leave_unlocked() {
    UNLOCKED.set(true);
}
