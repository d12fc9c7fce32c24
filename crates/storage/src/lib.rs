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

mod clock;
mod connection;
mod counts;
mod error;
mod location;
mod pages;
mod place;
mod postgres;
mod rows;
mod schema;
#[cfg(feature = "sim")]
pub mod sim;
mod sqlite;
mod statements;
mod store;
mod sums;
mod verbs;
mod words;

pub use clock::StoreClock;
pub use error::{Problem, StoreError};
pub use location::{Location, PostgresLocation, harmless};
pub use postgres::server::BadServer;
pub use postgres::within::enqueue_within;
pub use sqlite::beside::NodeGuard;
pub use store::{OpenMode, Store};
pub use verbs::asked::Asked;
pub use verbs::cancel::Cancelled;
pub use verbs::copy::Copied;
pub use verbs::list::{ListFilter, Page, Position};
pub use verbs::maintenance::CheckReport;
pub use verbs::migrate::{Migrated, Migration, migrate, migrations};
pub use verbs::nodes::{NewNode, Node, RunningJob, StopRequest, Wake, WakeListener};
pub use verbs::number::Outputs;
pub use verbs::only::Only;
pub use verbs::purge::{PurgeFilter, Purged};
pub use verbs::status::QueueCount;
pub use verbs::turn::{Claimed, Queues, Record, Turn, TurnResult};

/// The statements that run on every turn of a dispatcher on SQLite, for tests that read their query plans.
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
