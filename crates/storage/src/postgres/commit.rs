//! What became of a transaction whose commit was asked for and not answered: the connection may have been lost on the way
//! there or on the way back. The server knows, for it keeps the end of every transaction for a long time.
//!
//! A server that crashed gives the numbers of transactions and jobs out again whose log did not reach the disk. So what
//! is certain is the job itself: one with its number, its contents and the moment at which it was made. A transaction of
//! another that has our number by now proves nothing but that ours is not among those that were committed before.

use diesel::prelude::*;

use super::statements;
use crate::StoreError;

/// What a transaction that stores jobs is known by: its number, and the first of its jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transaction {
    /// The number, which no other transaction of the server has as long as it does not crash.
    pub number: i64,
    /// The number of a job.
    pub job: i64,
    /// When that is said to have been made, UTC in ms.
    pub created_at: i64,
    /// The checksum of that.
    pub sum: i32,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Everything that it wrote is stored.
    Committed,
    /// Nothing is.
    Aborted,
    /// Its connection still has it open, as far as the server knows.
    Open,
    /// The server does not know it any more, is another one that never did, or has removed the job.
    Forgotten,
}

/// Asks for the end of a transaction.
pub fn fate(conn: &mut PgConnection, transaction: Transaction) -> Result<Fate, StoreError> {
    let number = transaction.number.to_string();
    // One after the other: what was committed before the first is seen by the second.
    let (status,) = statements::Fate { transaction: number }.get_result::<(Option<String>,)>(conn)?;
    let same = statements::SameJob {
        id: transaction.job,
        created_at: transaction.created_at,
        sum: transaction.sum,
    };
    let stored = same.get_result::<(i64,)>(conn).optional()?.is_some();
    Ok(match status.as_deref() {
        _ if stored => Fate::Committed,
        Some("aborted") => Fate::Aborted,
        Some("in progress") => Fate::Open,
        _ => Fate::Forgotten,
    })
}
