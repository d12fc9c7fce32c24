//! Reading schedules and their ticks.

use diesel::prelude::*;
use queuectl_core::schedule::{Schedule, Tick};
use queuectl_core::{JobId, OwnerName, ScheduleName, Timestamp};

use super::edit::find;
use super::rows::{ScheduleRow, TickRow};
use crate::schema::{schedules, ticks};
use crate::types::text::Words;
use crate::{Store, StoreError};

/// The tick that made a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickOf {
    /// Its schedule.
    pub schedule: ScheduleName,
    /// Its time.
    pub at: Timestamp,
}

impl Store {
    /// The schedules by name: those of an owner, or all.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn schedules(&mut self, owner: Option<&OwnerName>) -> Result<Vec<Schedule>, StoreError> {
        let mut query = schedules::table.into_boxed();
        if let Some(owner) = owner {
            query = query.filter(schedules::owner.eq(owner.as_str()));
        }
        let rows: Vec<ScheduleRow> = query
            .order(schedules::name)
            .select(ScheduleRow::as_select())
            .load(self.conn()?)?;
        Ok(rows.into_iter().map(ScheduleRow::into_schedule).collect())
    }

    /// The schedule of that name.
    ///
    /// # Errors
    /// [`StoreError::NoSuchSchedule`].
    pub fn schedule(&mut self, name: &ScheduleName) -> Result<Schedule, StoreError> {
        Ok(find(self.conn()?, name)?.into_schedule())
    }

    /// The newest ticks of a schedule, newest first.
    ///
    /// # Errors
    /// [`StoreError::UnreadableTick`] if another version wrote it.
    pub fn ticks(&mut self, name: &ScheduleName, limit: u32) -> Result<Vec<Tick>, StoreError> {
        let rows: Vec<TickRow> = ticks::table
            .filter(ticks::schedule.eq(name.as_str()))
            .order(ticks::at.desc())
            .limit(limit.into())
            .select(TickRow::as_select())
            .load(self.conn()?)?;
        rows.into_iter().map(TickRow::into_tick).collect()
    }

    /// The tick that made a job, if one did.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn tick_of(&mut self, job: JobId) -> Result<Option<TickOf>, StoreError> {
        let found: Option<(Words, i64)> = ticks::table
            .filter(ticks::job_id.eq(job.0))
            .select((ticks::schedule, ticks::at))
            .first(self.conn()?)
            .optional()?;
        Ok(found.map(|(schedule, at)| TickOf {
            schedule: ScheduleName::as_stored(schedule.text),
            at: Timestamp(at),
        }))
    }
}
