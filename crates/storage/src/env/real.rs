//! The world as it is.

pub use std::time::Instant;

use diesel::sqlite::SqliteConnection;
use queuectl_core::{Timestamp, Transition};

pub use queuectl_core::SystemClock;

use super::Transaction;
use crate::StoreError;
use crate::types::cycle::Record;

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

/// Whether claims take no account of limits.
pub const fn ignores_limits() -> bool {
    false
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

/// Whether the end of a job settles what waits for it. Tests of development builds can switch it off, as the worker's
/// failpoints.
pub fn settles_dependencies() -> bool {
    let is_off = |names: String| names.split(',').any(|name| name == "dependencies");
    !cfg!(debug_assertions) || !std::env::var("QUEUECTL_TEST_WITHOUT").is_ok_and(is_off)
}
