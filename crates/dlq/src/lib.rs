//! The dead letter queue: jobs that are out of attempts, why, and what an operator can do about them.
//!
//! A dead letter is a job in state `dead`, not a copy of it: there is no second write path. Everything here is a thin
//! layer over the operations of [`queuectl_storage::Store`], which refuse jobs in any other state.
//!
//! Jobs that died for the same reason have a [`Cause`] in common, which is made of what the store has of each when it is asked for;
//! nothing of it is stored.

mod cause;
mod causes;
mod exchange;
mod letters;
mod normal;
mod operate;
mod overlay;

pub use cause::{Cause, CauseKey, CauseRef, program};
pub use causes::{CAUSES, CauseCount, Causes, causes, causes_of_newest};
pub use exchange::{LETTER_BYTES, read_letter};
pub use letters::{DeadLetter, last_line, list, show};
pub use operate::{
    RetriedAll, Selected, Survey, check_cause, go_on, newest, purge, purge_selected, retry, retry_selected,
    survey,
};
pub use overlay::as_shown;
