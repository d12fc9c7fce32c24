//! What became of a transaction whose commit was asked for and not answered: the connection may have been lost on the way
//! there or on the way back. The server knows, for it keeps the end of every transaction for a long time.

use diesel::prelude::*;

use super::statements;
use crate::StoreError;

/// The number of a transaction, which no other of the server has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transaction(pub i64);

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Everything that it wrote is stored.
    Committed,
    /// Nothing is.
    Aborted,
    /// Its connection still has it open, as far as the server knows.
    Open,
    /// The server does not know it any more, or is another one that never did.
    Forgotten,
}

/// Asks for the end of a transaction.
pub fn fate(conn: &mut PgConnection, transaction: Transaction) -> Result<Fate, StoreError> {
    let transaction = transaction.0.to_string();
    let (status,) = statements::Fate { transaction }.get_result::<(Option<String>,)>(conn)?;
    Ok(match status.as_deref() {
        Some("committed") => Fate::Committed,
        Some("aborted") => Fate::Aborted,
        Some("in progress") => Fate::Open,
        _ => Fate::Forgotten,
    })
}
