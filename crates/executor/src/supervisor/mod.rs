//! The one thread that owns every run of a worker process, and what other threads share with it.
//!
//! Plugins are called from this thread only, children are started and waited for by it only, and each run is reported
//! by it. Other threads put messages into its inbox.

mod active;
mod live_nodes;
mod pending_acks;
mod thread;

pub(crate) use thread::Supervisor;
