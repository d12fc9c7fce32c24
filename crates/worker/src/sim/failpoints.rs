//! Guarantees that the simulator switches off, in the place of those that an environment variable names.

use queuectl_storage::sim::{self, Guard};

/// Whether a guarantee is switched off.
pub fn is_disabled(guarantee: &str) -> bool {
    match guarantee {
        "sweep" => sim::is_disabled(Guard::Sweep),
        "attempts" => sim::is_disabled(Guard::Attempts),
        _ => false,
    }
}
