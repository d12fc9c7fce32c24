//! What only SQLite has.
//!
//! The verbs are written against the schema; what differs from another database is here: opening and checking the
//! file, the statements of the hot path in SQLite's words, and the folder beside the file.

pub mod cycle;
pub mod enqueue;
pub mod inserts;
pub mod log;
pub mod make;
pub mod open;
pub mod os;
pub mod pair;
pub mod state_dir;
pub mod statements;
#[cfg(feature = "sim")]
mod unfenced;
