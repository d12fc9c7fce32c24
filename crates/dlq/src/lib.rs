//! The dead letter queue: jobs that are out of attempts, why, and what an operator can do about them.
//!
//! A dead letter is a job in state `dead`, not a copy of it: there is no second write path. Everything here is a thin
//! layer over the verbs of [`queuectl_storage::Store`], which refuse jobs in any other state.

mod letters;
mod operate;

pub use letters::{DeadLetter, last_line, list, show};
pub use operate::{RetriedAll, purge, purge_all, retry, retry_all};
