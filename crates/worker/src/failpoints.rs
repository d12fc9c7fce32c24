//! Guarantees that can be switched off, so that the tests of them can show that they would notice.
//!
//! Only in development builds, by naming them in an environment variable; a release build has no such switch.

/// Names guarantees that do not hold, separated by commas: `sweep` (nothing of a dead node's jobs is killed before they
/// run again), `attempts` (a job has no maximum of retries), `deadline` (worker processes do not look whether their node's lease is over), `sums` (a job is run without a look at its checksum).
const VARIABLE: &str = "QUEUECTL_TEST_WITHOUT";

/// Whether a guarantee is switched off.
pub fn is_disabled(guarantee: &str) -> bool {
    cfg!(debug_assertions)
        && std::env::var(VARIABLE).is_ok_and(|names| names.split(',').any(|name| name == guarantee))
}
