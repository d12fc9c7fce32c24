//! What only SQLite has: opening and checking the file, the statements of the hot path in SQLite's words, locks of files
//! to tell who lives, and pipes to wake nodes.

mod backend;
pub mod claim;
pub mod control_requests;
pub mod cycle;
mod dialect;
pub mod edges;
pub mod enqueue;
pub mod insert_keyed;
pub mod inserts;
mod known;
mod ledger;
pub mod limits;
pub mod log;
mod maintenance;
pub mod make;
pub mod number;
pub mod open;
pub mod pair;
mod release;
pub mod statements;

pub use backend::SqliteBackend;
