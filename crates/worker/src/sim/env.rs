//! The time of a simulated machine, in the place of the operating system's.

pub use queuectl_storage::sim::Instant;
