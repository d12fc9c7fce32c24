//! Retries after the clock was set back: a job that failed while it showed a later time would wait until it shows that
//! again, for a day or a year instead of its seconds.
//!
//! Jobs that somebody scheduled are left alone: their time is one of the clock's.

use diesel::dsl::{exists, select, sql};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use queuectl_core::{State, Timestamp};

use crate::schema::jobs;
use crate::{Store, StoreError};

/// What clocks differ by without having been set: less is no reason to look at any job, in ms.
const SLACK_MS: i64 = 1000;

/// The jobs that failed later than `now`, by more than clocks differ anyway, and wait.
macro_rules! failed_later {
    ($now:expr) => {
        jobs::table
            .filter(jobs::state.eq(State::Failed.code()))
            .filter(jobs::due_at.gt($now.0))
            .filter(jobs::updated_at.gt($now.0.saturating_add(SLACK_MS)))
    };
}

impl Store {
    /// Has jobs that failed later than `now` wait for as long as they were to wait, from `now` on. Returns how many there
    /// were; schedules go on at their next time, too. To be called when a node begins, and when it finds the clock set back.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn heed_clock(&mut self, now: Timestamp) -> Result<usize, StoreError> {
        self.heed_clock_in_schedules(now)?;
        // A read takes no lock, and mostly there is nothing to change.
        if !select(exists(failed_later!(now))).get_result::<bool>(self.conn()?)? {
            return Ok(0);
        }
        self.write_busily(|conn| {
            let waits = sql::<Nullable<BigInt>>("due_at - updated_at + ").bind::<BigInt, _>(now.0);
            diesel::update(failed_later!(now))
                .set((jobs::due_at.eq(waits), jobs::updated_at.eq(now.0)))
                .execute(conn)
                .map_err(StoreError::from)
        })
    }
}
