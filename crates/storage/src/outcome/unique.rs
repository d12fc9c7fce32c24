//! The successor of a job with a key: it takes the key in the transaction that ends the job, and can run.
//!
//! A transaction that gives a running job a successor changes its gates first, and so waits for the one that ends it, or has
//! that one wait: a successor is never left behind.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer};
use queuectl_core::gates::unblock;
use queuectl_core::{BlockedBy, Gates, JobId, JobRef, Resume, State, Timestamp, Transition, Waits};

use super::{Change, Mechanism, apply_blocking, standing};
use crate::StoreError;
use crate::backend::Db;
use crate::counts::Deltas;
use crate::env::{self, Guard};
use crate::rows::JobRow;
use crate::schema::jobs;
use crate::states::sql as states;

pub const MECHANISM: Mechanism = Mechanism {
    gates: Gates::SUCCESSOR,
    follow,
    forget: |_, _| Ok(()),
};

/// Whether this end of an attempt must not be stored: the job has a successor, and would run again.
pub fn is_superseded(gates: Gates, change: &Transition) -> bool {
    gates.has(Gates::SUCCESSOR) && !change.to().is_final() && !env::is_disabled(Guard::Successors)
}

fn follow(db: &mut Db, change: &Change, now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    if !change.to.is_final() {
        return Ok(());
    }
    let own = jobs::table.find(change.job);
    let key: Option<String> = own.select(jobs::unique_key).first(db).optional()?.flatten();
    let others = sql::<Integer>("gates & ").bind::<Integer, _>(!Gates::SUCCESSOR.code());
    diesel::update(own).set(jobs::gates.eq(others)).execute(db)?;
    let Some(key) = key else { return Ok(()) };
    loop {
        let found: Option<i64> = jobs::table
            .filter(jobs::unique_key.is_not_null())
            .filter(jobs::unique_key.eq(&key))
            .filter(sql::<Bool>(states!("state <= {failed} AND follows IS NOT NULL")))
            .select(jobs::id)
            .first(db)
            .optional()?;
        let Some(id) = found else { return Ok(()) };
        // Waits for a transaction that is changing it.
        db.dialect().lock_job(&JobRef::Number(JobId(id)))?;
        let row: Option<JobRow> = jobs::table
            .filter(jobs::id.eq(id))
            .select(JobRow::as_select())
            .first(db)
            .optional()?;
        let blocked = row.filter(|row| row.follows.is_some() && row.state == State::Blocked.code());
        if let Some(row) = blocked {
            return take_key(db, &row, now, deltas);
        }
    }
}

/// Gives the key to the successor, which can run unless something else blocks it.
fn take_key(db: &mut Db, row: &JobRow, now: Timestamp, deltas: &mut Deltas) -> Result<(), StoreError> {
    let own = diesel::update(jobs::table.find(row.id));
    own.set(jobs::follows.eq(None::<i64>)).execute(db)?;
    let resume = Resume::at(row.resume_at.map(Timestamp), row.fence > 0, now);
    let waits = Waits::from_code(row.waits);
    let unblocked =
        unblock(standing(row)?, waits, BlockedBy::Unique, resume).map_err(|refused| StoreError::Refused {
            job: row.id.to_string(),
            refused,
        })?;
    apply_blocking(db, row, &unblocked, now, deltas)?;
    Ok(())
}
