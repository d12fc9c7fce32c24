//! The simulator: real dispatchers, the real store and the real books of worker processes, in one thread, with a clock
//! and faults of its own.
//!
//! - [`Plan`]: what is going to happen, made from a seed. The same plan runs on SQLite and on PostgreSQL.
//! - [`run`]: runs a plan, heals all faults, lets everything finish, and has the history checked.
//! - [`shrink`]: leaves out of a failing plan what it fails without.
//!
//! What is simulated is the machine: time, processes, and what a disk or a network does to a transaction. What is not
//! here are executors, and the threads and pipes between a dispatcher and its worker processes.
#![cfg(feature = "simulate")]

mod cluster;
mod guards;
mod plan;
mod run;
mod shrink;

pub use guards::GUARDS;
pub use plan::{Action, Plan};
pub use queuectl_storage::sim::Guard;
pub use run::{Backend, Report, run};
pub use shrink::{alike, shrink};
