//! What the store asks of the world: the time, which processes it can see, and how a transaction ends. In builds with the
//! feature `sim` the simulator answers; nothing else in the crate knows which it is.

#[cfg(not(feature = "sim"))]
mod real;
#[cfg(feature = "sim")]
pub mod simulated;

#[cfg(not(feature = "sim"))]
pub use real::*;
#[cfg(feature = "sim")]
pub use simulated::*;

use crate::StoreError;

/// A rule of the queue that the simulator can switch off, to see its checks fail.
#[cfg_attr(
    not(feature = "sim"),
    expect(dead_code, reason = "only the simulator names them all")
)]
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
    /// A claim asks whether the keys of a job have room.
    Limits,
    /// A job that waits for its retry gives back its place of a limit.
    Slots,
    /// Keys wait whose jobs found something busy.
    Busy,
    /// A tick that is accounted for makes no job.
    Ticks,
    /// The end of a job settles what waits for it.
    Dependencies,
    /// A job waits for all its parents, and not for the first one that ends.
    Order,
    /// One job has a unique key.
    Keys,
    /// A job that another takes the place of does not run again.
    Successors,
    /// Queues that are paused are not claimed from.
    Pauses,
    /// What operators do is in the ledger.
    Ledger,
    /// A group waits for all its members.
    Groups,
    /// A group that is complete stores no other callback.
    Callbacks,
    /// The end of an attempt stores its hooks.
    Hooks,
    /// Jobs without hooks of their own have those of all jobs, or of their queue's.
    AddedHooks,
}

/// A transaction that is to be ended.
pub trait Transaction {
    /// Stores what it wrote.
    fn commit(&mut self) -> Result<(), StoreError>;
    /// Takes back what it wrote.
    fn roll_back(&mut self) -> Result<(), StoreError>;
}
