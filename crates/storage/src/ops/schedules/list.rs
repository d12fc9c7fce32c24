//! Reading schedules and their ticks.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, SmallInt};
use queuectl_core::schedule::{Overlap, Schedule, Tick, TickResult};
use queuectl_core::{JobId, LimitName, OwnerName, ScheduleName, Timestamp};

use super::edit::find;
use super::rows::{ScheduleRow, TickRow};
use crate::backend::Db;
use crate::schema::{jobs, schedules, ticks};
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

    /// The schedules whose jobs name a limit.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn schedules_naming(&mut self, limit: &LimitName) -> Result<Vec<ScheduleName>, StoreError> {
        let mut naming = Vec::new();
        for schedule in self.schedules(None)? {
            let mut limits = schedule.spec.job.limit.iter();
            if limits.any(|key| key.name() == limit.as_str()) {
                naming.push(schedule.spec.name);
            }
        }
        Ok(naming)
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

    /// How many of the ticks that are kept of a schedule were skipped because a run had not ended, since a time.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn overlapped_ticks(&mut self, name: &ScheduleName, since: Timestamp) -> Result<u64, StoreError> {
        let counts: Vec<i32> = ticks::table
            .filter(ticks::schedule.eq(name.as_str()))
            .filter(ticks::at.ge(since.0))
            .filter(ticks::result.eq(TickResult::Overlap.code()))
            .select(ticks::count)
            .load(self.conn()?)?;
        Ok(counts
            .into_iter()
            .map(|count| u64::try_from(count).unwrap_or(0))
            .sum())
    }

    /// The schedules that skipped a tick since a time because a run had not ended, by name, at most `most` of them. Looks
    /// only at those that skip such ticks.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn overlapping_schedules(
        &mut self,
        since: Timestamp,
        most: u32,
    ) -> Result<Vec<ScheduleName>, StoreError> {
        let skipped = sql::<Bool>(
            "EXISTS (SELECT 1 FROM ticks WHERE ticks.schedule = schedules.name AND ticks.result = ",
        )
        .bind::<SmallInt, _>(TickResult::Overlap.code())
        .sql(" AND ticks.at >= ")
        .bind::<BigInt, _>(since.0)
        .sql(")");
        let names: Vec<Words> = schedules::table
            .filter(schedules::overlap.ne_all([Overlap::Allow.code(), Overlap::Cancel.code()]))
            .filter(skipped)
            .order(schedules::name)
            .limit(most.into())
            .select(schedules::name)
            .load(self.conn()?)?;
        Ok(names
            .into_iter()
            .map(|name| ScheduleName::as_stored(name.text))
            .collect())
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

/// The runs of a schedule that are not known to have ended, oldest first; none if it was removed.
pub fn open_runs(conn: &mut Db, schedule: &str) -> Result<Vec<i64>, StoreError> {
    let row: Option<ScheduleRow> = schedules::table
        .find(schedule)
        .select(ScheduleRow::as_select())
        .get_result(conn)
        .optional()?;
    let runs = row.map(|row| row.runs()).unwrap_or_default();
    let open: Vec<i64> = jobs::table
        .filter(jobs::id.eq_any(runs))
        .filter(jobs::finished_at.is_null())
        .order(jobs::id)
        .select(jobs::id)
        .load(conn)?;
    Ok(open)
}
