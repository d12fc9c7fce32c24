//! How keys of limits stood when the last cycle ended. If nothing was stored since, the next cycle need not read them.
//!
//! SQLite says both halves of that: `data_version` changes with every commit of another connection, and `total_changes`
//! counts the rows that this one has written. What a transaction knew that was rolled back is lost with its error.

use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;

use super::statements::Version;
use crate::StoreError;
use crate::env::{self, Guard};
use crate::limits::Keys;

/// What is known between two cycles.
#[derive(Debug, Default)]
pub struct Known {
    keys: Option<Keys>,
    /// When it was known: changes of others, and rows written here.
    data_version: i64,
    total_changes: i64,
    /// Whether the last cycle had to do with limits. Without, looking costs more than it saves.
    is_wanted: bool,
}

impl Known {
    /// Takes out what is known, in a transaction that writes. Empty if something was stored since.
    pub fn take(&mut self, conn: &mut SqliteConnection) -> Result<Keys, StoreError> {
        let keys = self.keys.take();
        if !self.is_wanted {
            return Ok(Keys::default());
        }
        let (total_changes, data_version) = Version {}.get_result::<(i64, i64)>(conn)?;
        let is_current = (self.data_version, self.total_changes) == (data_version, total_changes);
        self.data_version = data_version;
        let keys = keys.filter(|_| is_current).unwrap_or_default();
        if cfg!(any(debug_assertions, feature = "sim")) {
            keys.verify(conn)?;
        }
        Ok(keys)
    }

    /// Keeps what is known when all is written but the commit; `total_changes` are the rows written by then.
    pub fn keep(&mut self, keys: Keys, total_changes: i64) {
        let keys = keys.carry_over();
        let was_looked = std::mem::replace(&mut self.is_wanted, keys.is_some());
        self.keys = keys.filter(|_| was_looked && !env::is_disabled(Guard::Commit));
        self.total_changes = total_changes;
    }
}
