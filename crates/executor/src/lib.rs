//! Runs jobs: finds, checks and loads executor plugins, and spawns, captures and stops processes on their behalf.
//!
//! A worker process has one [`Host`]. It is told to [`start`](Host::start) and [`stop`](Host::stop) runs, and reports
//! each one exactly once as [`Finished`]. With `leftovers = kill` the report comes only after every process of the run
//! is dead. [`processes`] holds the sweeps for what a worker that died left behind.
//!
//! This crate deliberately knows no database, no retries and no nodes: what an outcome means is decided elsewhere.

mod call_record;
mod capture;
mod config;
pub mod descriptors;
mod error;
pub mod final_message;
mod host;
pub mod inherit;
mod limits;
mod marks;
mod os;
mod outcome;
mod plugin;
mod process;
mod process_state;
pub mod processes;
mod run;
mod shared;
mod spawn;
mod supervisor;
pub mod trust;

/// The name of a log event after which this process ends at once: who writes the log does not put it off.
pub const FINAL_MESSAGE: &str = "final message";

/// A plugin without a host around it, for the conformance kit.
#[doc(hidden)]
pub mod bare {
    pub use crate::plugin::{Slots, open, settings_of};
    pub use crate::process_state::{
        BlockedSignals, ProcessState, inheritable_descriptors, install_host_handlers, open_descriptors,
        threads,
    };
}

pub use call_record::CallRecord;
pub use config::HostConfig;
pub use error::{HostError, PluginError};
pub use host::{Host, Starter};
pub use plugin::{CALL_LIMIT, HANGING_STATUS, Offline, PluginFile, PluginInfo, SearchPath, inspect};
pub use run::{Finished, PluginSettings, Report, Run, RunKey, StopReason, Suspension};
pub use spawn::shell_problem;
