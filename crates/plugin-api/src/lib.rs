//! How an executor plugin and queuectl talk: the C ABI ([`abi`], also as `include/queuectl_plugin.h`) and the Rust
//! SDK on top of it.
//!
//! A plugin in Rust is a `cdylib` with one type that implements [`Executor`] and one line
//! [`export_executor!`]`(TheType);`. It needs no `unsafe`: pointers, panics and the rule that every run ends exactly
//! once are taken care of here. This crate deliberately knows nothing of queuectl's own types, so that a plugin does
//! not have to be rebuilt when those change.
//!
//! ```
//! use queuectl_plugin_api::{Description, Error, Executor, Host, Outcome, Run, Settings, StartError, export_executor};
//!
//! /// Succeeds with a greeting.
//! struct Hello;
//!
//! impl Executor for Hello {
//!     const DESCRIPTION: Description =
//!         Description { name: "hello", version: "1.0.0", about: "Says hello", ..Description::EMPTY };
//!
//!     fn create(_host: Host, _settings: &Settings) -> Result<Self, Error> {
//!         Ok(Hello)
//!     }
//!
//!     fn start(&self, run: Run) -> Result<(), StartError> {
//!         run.output(b"hello\n");
//!         run.finish(Outcome::succeeded());
//!         Ok(())
//!     }
//! }
//!
//! export_executor!(Hello);
//! # fn main() {}
//! ```
//!
//! Plugins whose work is asynchronous take the feature `tasks`, which has a runtime and a task per run.

pub mod abi;
mod error;
mod executor;
#[doc(hidden)]
pub mod glue;
mod host;
mod outcome;
mod run;
mod spawn;
#[cfg(feature = "tasks")]
mod tasks;

pub use error::{Error, StartError};
pub use executor::{Description, Executor, Handled, Settings, StopMode};
pub use host::{Host, Level};
pub use outcome::{Exit, ExitKind, Outcome};
pub use run::{Command, Request, Run, RunHandle};
pub use spawn::{Resource, Rlimit, Spawn};
#[cfg(feature = "tasks")]
pub use tasks::{StopSignal, Tasks};
