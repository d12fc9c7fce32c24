//! Labels: nothing follows from them, but they go with their job.

use queuectl_core::Gates;

use super::Mechanism;
use crate::labels::forget;

pub const MECHANISM: Mechanism = Mechanism {
    gates: Gates::LABELS,
    follow: |_, _, _, _| Ok(()),
    forget,
};
