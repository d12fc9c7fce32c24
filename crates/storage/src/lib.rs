//! The durable store: every job, attempt, node and setting, in one SQLite file or one schema of a PostgreSQL database.
//!
//! This is the only crate that knows SQL, Diesel, rusqlite and libpq. It applies decisions and never makes them: which
//! state follows is decided by [`queuectl_core::transition`], and every change is guarded on the state (and for a
//! running job on the fencing token) that the decision was made from.
//!
//! - [`Store`]: one connection to a store; its methods are the operations, one file each under `ops/`.
//! - [`Location`]: where the store is.
//! - `outcome/`: what follows from a change of a job, in the transaction that changes it; below the dialects.
//! - `backend/`: what the store needs of a database, as two traits, and the connection; `types/`: what passes between them.
//! - `sqlite/`, `postgres/`: each implements the traits. Neither calls an operation, nor the other.
//! - `env/`: the time, the machine and the end of a transaction, which the simulator answers in its builds.

mod backend;
mod checksum;
mod clock;
mod columns;
mod counts;
mod database_error;
mod env;
mod error;
mod hooks;
mod labels;
mod libpq;
mod limits;
mod location;
mod migrations;
mod ops;
mod os;
mod outcome;
mod postgres;
mod problem;
mod rows;
mod schema;
#[cfg(feature = "sim")]
pub mod sim;
mod sqlite;
mod sqlstate;
mod state_dir;
mod states;
mod store;
mod suggest;
mod types;

pub use backend::{CheckReport, ControlRequests, OpenMode};
pub use clock::StoreClock;
pub use error::{BadServer, Problem, StoreError};
pub use location::{Location, PostgresLocation, harmless};
pub use migrations::Migration;
pub use ops::answers::{Answered, Keyed, RequestKey};
pub use ops::cancel::Cancelled;
pub use ops::copy::Copied;
pub use ops::dead::{DeadFilter, DeadJob, DeadPage, OUTPUT_END, RetriedDead};
pub use ops::edges::Relative;
pub use ops::edit::{EDITABLE_STATES, Edited, Editor};
pub use ops::ended::{EndedPage, EndedWith};
pub use ops::events::{EventPlace, LedgerEvent};
pub use ops::explain::ClaimFacts;
pub use ops::graph::{Graph, GraphEdge, GraphJob};
pub use ops::groups::{CancelledMembers, GroupFilter, GroupUse, Member, RetriedMembers};
pub use ops::hold::Released;
pub use ops::hooks::HookJob;
pub use ops::import::{Imported, ImportedLetter};
pub use ops::limits::{KeyJob, KeyUse, LimitUse, StarvingLimit};
pub use ops::list::Page;
pub use ops::mass::NamedDone;
pub use ops::migrate::{Migrated, migrate, migrations};
pub use ops::only::Only;
pub use ops::operations::{Frozen, frozen_request};
pub use ops::purge::{PurgeFilter, Purged};
pub use ops::queue_limits::QueueLimitUse;
pub use ops::reports::{Reported, Reporter, Said};
pub use ops::schedules::{Backfilled, ScheduleChange, TickOf, Ticked, zone};
pub use ops::select::Selected;
pub use ops::signals::SignalState;
pub use ops::status::{QueueCount, Rescued};
pub use ops::steps::let_others_write;
pub use postgres::transactional::enqueue_within;
pub use state_dir::outputs::Outputs;
pub use state_dir::{NodeGuard, open_workers_lock};
pub use store::Store;
pub use suggest::{Suggest, Suggestion, newest_dead, suggest};
pub use types::cycle::{Claimed, Cycle, CycleResult, MaybeBusy, Queues, Record, WasBusy};
pub use types::ends::{EndedJob, Ends, FAILURES};
pub use types::filter::{Among, JobFilter, MassChange};
pub use types::history::{HistoryEntry, HistoryState};
pub use types::list::{ListFilter, Position, UnknownPosition};
pub use types::nodes::{
    NewNode, Node, RESUME, RunningJob, SUSPEND, SignalRequest, StopRequest, Suspended, SuspensionNow, Wake,
    WakeListener,
};
pub use types::operation::{MassDone, NewOperation, Operation, OperationState, Undo, Undone};
pub use types::pause::Pause;
pub use types::placed::{Existing, Placed};
pub use types::sketch::Sketch;
pub use types::sort::{Sort, SortKey};

/// The statements that run on every cycle of a dispatcher on SQLite, for tests that read their query plans.
#[doc(hidden)]
pub fn hot_statements() -> Vec<(&'static str, &'static str)> {
    [
        sqlite::statements::all(),
        sqlite::limits::all(),
        sqlite::limits::one::all(),
        sqlite::edges::all(),
        backend::statements::all(),
        ops::schedules::statements(),
        ops::operations::statements(),
        outcome::group_statements(),
    ]
    .concat()
}

/// The same on PostgreSQL.
#[doc(hidden)]
pub fn hot_statements_on_postgres() -> Vec<(&'static str, &'static str)> {
    [
        postgres::insert_jobs::all(),
        postgres::insert_keyed::all(),
        postgres::statements::all(),
        postgres::limits::all(),
        postgres::limits::one::all(),
        postgres::edges::all(),
        postgres::edges::one::all(),
    ]
    .concat()
}

/// Has transactions of this thread settle what waits for a job, and groups, without locking them, for tests that must fail then.
#[doc(hidden)]
pub use env::leave_unlocked;

/// Removes a store on PostgreSQL with everything in it, for tests.
#[doc(hidden)]
pub fn drop_schema(location: &PostgresLocation) -> Result<(), StoreError> {
    postgres::open::drop_schema(&location.server)
}
