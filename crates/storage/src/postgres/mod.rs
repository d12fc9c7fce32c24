//! What only PostgreSQL has.
//!
//! The verbs are written against the schema; what differs from SQLite is here: where a server is and how to connect to
//! it, statements that take a whole turn's worth of jobs at a time, because each costs a way to the server, leases
//! instead of file locks, and notifications instead of pipes.

pub mod check;
pub mod claim;
pub mod commit;
pub mod enqueue;
pub mod lease;
pub mod libpq;
pub mod listen;
pub mod open;
pub mod server;
pub mod sqlstate;
pub mod statements;
pub mod turn;
pub mod within;

use diesel::prelude::*;
use queuectl_core::JobRef;

use crate::StoreError;

/// Locks a job's row, if there is one, until the transaction ends.
pub fn lock_job(conn: &mut PgConnection, job: &JobRef) -> Result<(), StoreError> {
    match job {
        JobRef::Number(id) => statements::LockJob { id: id.0 }.execute(conn)?,
        JobRef::Name(name) => {
            let name = name.to_string();
            statements::LockNamedJob { name }.execute(conn)?
        }
    };
    Ok(())
}

/// Text as PostgreSQL can store it: it has no character with the number 0.
pub fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}
