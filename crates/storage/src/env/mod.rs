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

/// A transaction that is to be ended.
pub trait Transaction {
    /// Stores what it wrote.
    fn commit(&mut self) -> Result<(), StoreError>;
    /// Takes back what it wrote.
    fn roll_back(&mut self) -> Result<(), StoreError>;
}
