//! The durable store: every job, attempt, node and setting, in one SQLite file.
//!
//! This is the only crate that knows SQL, Diesel and rusqlite. It applies decisions and never makes them: which
//! state follows is decided by [`queuectl_core::transition`], and every change is guarded on the state (and for a
//! running job on the fencing token) that the decision was made from.
//!
//! - [`Store`]: one connection to a store; its methods are the verbs, one file each under `verbs/`.
//! - [`Location`]: where the store is.
//! - `sqlite/`: what only SQLite has: opening, statements of the hot path, the folder beside the file.

mod error;
mod location;
mod rows;
mod schema;
mod sqlite;
mod store;
mod verbs;

pub use error::{Problem, StoreError};
pub use location::Location;
pub use sqlite::beside::{NodeGuard, WakeListener};
pub use store::{OpenMode, Store};
pub use verbs::cancel::Cancelled;
pub use verbs::list::{ListFilter, Position};
pub use verbs::maintenance::CheckReport;
pub use verbs::nodes::{NewNode, Node, RunningJob, StopRequest};
pub use verbs::purge::{PurgeFilter, Purged};
pub use verbs::status::QueueCount;
pub use verbs::turn::{Claimed, Queues, Record, Turn, TurnResult};

/// The statements that run on every turn of a dispatcher, for tests that read their query plans.
#[doc(hidden)]
pub fn hot_statements() -> Vec<(&'static str, &'static str)> {
    sqlite::statements::all()
}
