//! The time of this machine. The simulator has another; see `lib.rs`.

pub use std::time::Instant;
