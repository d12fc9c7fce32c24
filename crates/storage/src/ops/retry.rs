//! Retries by hand: ended jobs become pending with fresh attempts.

use queuectl_core::{Event, JobId, JobRef, Timestamp, transition};

use super::only::Only;
use super::operations::Log;
use super::show::find;
use super::unique;
use crate::backend::{self, Db};
use crate::counts::Deltas;
use crate::outcome::{self, change, standing};
use crate::rows::JobRow;
use crate::state_dir::Lane;
use crate::types::nodes::Wake;
use crate::types::operation::MassDone;
use crate::{Store, StoreError};

/// How often a transaction is begun again because others were quicker.
const TRIES: u32 = 5;

impl Store {
    /// Makes one job ready again at once, with fresh attempts; its history stays. The job must fit `only`.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if the job's state does not allow it; [`StoreError::KeyHeld`];
    /// [`StoreError::LeftAlone`] if it is not one of those that are meant.
    pub fn retry(&mut self, job: &JobRef, only: &Only, now: Timestamp) -> Result<JobId, StoreError> {
        let log = Log::of(self.operation.as_ref());
        let (id, operation) = self.write_again_in(Lane::User, |conn| {
            let entry = log.enter(conn, now)?;
            let row = find(conn, job)?;
            let at = standing(&row)?;
            only.check(job, &row, at.state, "retry")?;
            let refuse = |refused| StoreError::Refused {
                job: job.to_string(),
                refused,
            };
            let decided = transition(at, Event::Retry).map_err(refuse)?;
            unique::check_free(conn, &row)?;
            let mut deltas = Deltas::default();
            let changed = u64::from(change(conn, &row, &decided, now, &mut deltas)?);
            outcome::finish(conn, deltas, now)?;
            let operation = entry.id();
            let done = MassDone {
                changed,
                ..MassDone::default()
            };
            entry.store(conn, &done, None)?;
            Ok((JobId(row.id), operation))
        })?;
        self.has_entered(operation);
        self.wake_all(Wake::Jobs);
        Ok(id)
    }

    /// Does the same as a write transaction, and begins again where another transaction was quicker to take a key, or each
    /// waited for the other.
    pub(super) fn write_again<T>(
        &mut self,
        body: impl Fn(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.write_again_in(Lane::User, body)
    }

    pub(super) fn write_again_in<T>(
        &mut self,
        lane: Lane,
        body: impl Fn(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut tries = 0;
        loop {
            match backend::write(self.backend.as_mut(), lane, &body) {
                Err(error) if (error.is_taken() || error.is_deadlock()) && tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }
}

/// Makes these jobs ready again, which have ended, but those whose keys others have. Returns how many run again, and how many
/// were held back.
pub(super) fn run_again(
    conn: &mut Db,
    rows: Vec<JobRow>,
    now: Timestamp,
    deltas: &mut Deltas,
) -> Result<(u64, u64), StoreError> {
    let (mut jobs, mut held_back) = (0, 0);
    for row in rows {
        // Of two with one key, the first one in this very step has it now.
        if unique::holder_of(conn, &row)?.is_some() {
            held_back += 1;
            continue;
        }
        let decided = transition(standing(&row)?, Event::Retry).map_err(|refused| StoreError::Refused {
            job: row.id.to_string(),
            refused,
        })?;
        jobs += u64::from(change(conn, &row, &decided, now, deltas)?);
    }
    Ok((jobs, held_back))
}
