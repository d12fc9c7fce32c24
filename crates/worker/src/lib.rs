//! The node: one dispatcher and its worker processes. The only place where the store meets the executor.
//!
//! - `node/` is the dispatcher: the outside world (store, signals, clock) and the ledger of what runs where.
//! - `process/` is the worker process: it receives jobs, runs them through the executor and reports how they ended.
//!   It never sees the store.
//! - `standalone` is a worker process without a node, for trying plugins.
//! - `probe` asks a plugin questions, in a helper process.
//! - `protocol` is all that the two say to each other.
//!
//! Commands that run inside a worker process belong to the executor crate; verbs of the command line to the cli.

mod deadline;
#[cfg(not(feature = "sim"))]
mod env;
#[cfg(not(feature = "sim"))]
mod failpoints;
mod node;
mod os;
mod probe;
mod process;
// For the fuzzer, which needs no more of it than others would.
#[doc(hidden)]
pub mod protocol;
#[cfg(feature = "sim")]
pub mod sim;
mod standalone;

/// Helper processes, for the conformance kit.
#[doc(hidden)]
pub mod processes {
    pub use crate::os::{describe, kill_child_group, on_stop_signal, own_program, take_standard_streams};
}

/// The names of the machine, as nodes give it, and of the user.
pub use os::{host_name, user_name};

pub use node::{NodeEnd, NodeError, NodeOptions, run_node};
pub use probe::{Probe, ProbeError, serve_probe};
pub use process::{WorkerError, WorkerOptions, run_worker};
#[cfg(feature = "sim")]
use sim::{env, failpoints};
pub use standalone::{StandaloneError, StandaloneOptions, StandaloneWorker, new_store};
