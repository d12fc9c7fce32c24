//! The number of a store in a file. It is random and made with the schema.

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use crate::StoreError;
use crate::schema::{NUMBER_KEY, settings};

/// SQL for a new number.
pub const FRESH: &str = "lower(hex(randomblob(8)))";

/// The number; none if an older version made the file.
pub fn stored(conn: &mut SqliteConnection) -> Result<Option<String>, StoreError> {
    Ok(settings::table
        .find(NUMBER_KEY)
        .select(settings::value)
        .first(conn)
        .optional()?)
}

/// Gives a store a number that has none.
pub fn make(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let sql =
        format!("INSERT INTO settings (key, value) VALUES ('{NUMBER_KEY}', {FRESH}) ON CONFLICT DO NOTHING");
    Ok(conn.batch_execute(&sql)?)
}
