//! The durable store: every job, attempt, node and setting, in one SQLite file or one schema of a PostgreSQL database.
//!
//! This is the only crate that knows SQL, Diesel, rusqlite and libpq. It applies decisions and never makes them: which
//! state follows is decided by [`queuectl_core::transition`], and every change is guarded on the state (and for a
//! running job on the fencing token) that the decision was made from.
//!
//! - [`Store`]: one connection to a store; its methods are the verbs, one file each under `verbs/`.
//! - [`Location`]: where the store is.
//! - `sqlite/`: what only SQLite has: opening, statements of the hot path, the folder beside the file.
//! - `postgres/`: what only PostgreSQL has: connecting, statements of the hot path, leases, notifications.

mod checksum;
mod clock;
mod connection;
mod counts;
mod error;
mod listing;
mod location;
mod ops;
mod postgres;
mod process_scope;
mod rows;
mod schema;
#[cfg(feature = "sim")]
pub mod sim;
mod sqlite;
mod statements;
mod store;
mod words;

pub use clock::StoreClock;
pub use error::{Problem, StoreError};
pub use location::{Location, PostgresLocation, harmless};
pub use ops::cancel::Cancelled;
pub use ops::control_requests::ControlRequests;
pub use ops::copy::Copied;
pub use ops::cycle::{Claimed, Cycle, CycleResult, Queues, Record};
pub use ops::list::{ListFilter, Page, Position};
pub use ops::maintenance::CheckReport;
pub use ops::migrate::{Migrated, Migration, migrate, migrations};
pub use ops::nodes::{NewNode, Node, RunningJob, StopRequest, Wake, WakeListener};
pub use ops::number::Outputs;
pub use ops::only::Only;
pub use ops::purge::{PurgeFilter, Purged};
pub use ops::status::QueueCount;
pub use postgres::server::BadServer;
pub use postgres::transactional::enqueue_within;
pub use sqlite::state_dir::NodeGuard;
pub use store::{OpenMode, Store};

/// The statements that run on every cycle of a dispatcher on SQLite, for tests that read their query plans.
#[doc(hidden)]
pub fn hot_statements() -> Vec<(&'static str, &'static str)> {
    [sqlite::statements::all(), statements::all()].concat()
}

/// The same on PostgreSQL.
#[doc(hidden)]
pub fn hot_statements_on_postgres() -> Vec<(&'static str, &'static str)> {
    postgres::statements::all()
}

/// Removes a store on PostgreSQL with everything in it, for tests.
#[doc(hidden)]
pub fn drop_schema(location: &PostgresLocation) -> Result<(), StoreError> {
    postgres::open::drop_schema(&location.server)
}
