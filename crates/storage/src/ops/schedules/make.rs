//! One tick: its row, and the job if it makes one. The row comes first: where there is one already, there is no second job.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Integer, Nullable, SmallInt, Text};
use queuectl_core::limits::TICKS_KEPT;
use queuectl_core::schedule::{ScheduleSpec, TickResult};
use queuectl_core::{Gates, JobId, Timestamp, ValidJob};

use super::job::job_of;
use super::rows::ScheduleRow;
use crate::backend::statements::{MarkParent, statements};
use crate::backend::{Db, on_any};
use crate::env::{self, Guard};
use crate::ops::enqueue::insert;
use crate::schema::ticks;
use crate::types::placed::Placed;
use crate::types::text::storable;
use crate::{StoreError, limits};

statements! { crate::backend::AnySql, Db;
    /// Enters a tick; nothing if there is one.
    EnterTick {
        schedule: String as Text,
        at: i64 as BigInt,
        result: i16 as SmallInt,
        made_at: i64 as BigInt,
        reason: Option<String> as Nullable<Text>,
        count: i32 as Integer,
        more: bool as Bool,
        last_at: i64 as BigInt,
    } -> () {
        "INSERT INTO ticks (schedule, at, result, made_at, reason, count, more, last_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (schedule, at) DO NOTHING"
    }

    /// Removes the ticks of a schedule before the newest ones.
    TrimTicks { schedule: String as Text, same: String as Text, keep: i64 as BigInt } -> () {
        "DELETE FROM ticks WHERE schedule = ? AND at < (SELECT at FROM ticks WHERE schedule = ? \
         ORDER BY at DESC LIMIT 1 OFFSET ?)"
    }
}

/// Rows of a schedule above its limit after which they are removed together.
const TRIM_STEP: i64 = 100;

/// A tick to enter.
#[derive(Debug)]
pub struct NewTick {
    pub at: Timestamp,
    pub result: TickResult,
    pub reason: Option<String>,
    pub count: u32,
    pub more: bool,
    pub last_at: Timestamp,
}

impl NewTick {
    pub fn one(at: Timestamp, result: TickResult) -> NewTick {
        NewTick {
            at,
            result,
            reason: None,
            count: 1,
            more: false,
            last_at: at,
        }
    }
}

/// Enters a tick. False if it is accounted for already.
pub fn enter(
    conn: &mut Db,
    row: &mut ScheduleRow,
    tick: &NewTick,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let entered = EnterTick {
        schedule: row.name.clone(),
        at: tick.at.0,
        result: tick.result.code(),
        made_at: now.0,
        reason: tick.reason.as_deref().map(storable),
        count: i32::try_from(tick.count).unwrap_or(i32::MAX),
        more: tick.more,
        last_at: tick.last_at.0,
    }
    .execute(conn)?;
    row.tick_rows += 1;
    Ok(entered == 1 || env::is_disabled(Guard::Ticks))
}

/// What became of the job of a tick.
pub enum Made {
    Job(JobId),
    /// There is none, and why. The job that has its unique key, if that is why.
    None(String, Option<JobId>),
}

/// Makes the job of a tick that has been entered, or has the tick say why there is none.
pub fn make_job(
    conn: &mut Db,
    spec: &ScheduleSpec,
    at: Timestamp,
    result: TickResult,
    now: Timestamp,
) -> Result<Made, StoreError> {
    let mut holder = None;
    let reason = match job_of(spec, at, result, now) {
        Ok(job) => match check_limits(conn, &job).and_then(|()| insert(conn, &[job], now)) {
            Ok(placed) => match placed.first() {
                Some(Placed {
                    id, existing: None, ..
                }) => {
                    diesel::update(ticks::table.find((spec.name.as_str(), at.0)))
                        .set(ticks::job_id.eq(Some(id.0)))
                        .execute(conn)?;
                    // Its end is looked at, and its retry.
                    MarkParent {
                        gates: Gates::SCHEDULE.code(),
                        id: id.0,
                    }
                    .get_result::<(i16,)>(conn)?;
                    return Ok(Made::Job(*id));
                }
                Some(Placed {
                    existing: Some(existing),
                    ..
                }) => {
                    holder = Some(existing.id);
                    format!("job {} has its unique key", existing.public_id)
                }
                None => "the store gave no number".to_owned(),
            },
            // The job is to blame, and would be at every tick.
            Err(error) if error.problem().is_none() => error.to_string(),
            Err(error) => return Err(error),
        },
        // What was given was checked; a limit is lower now.
        Err(error) => error.to_string(),
    };
    diesel::update(ticks::table.find((spec.name.as_str(), at.0)))
        .set((
            ticks::result.eq(TickResult::Refused.code()),
            ticks::reason.eq(Some(storable(&reason))),
        ))
        .execute(conn)?;
    Ok(Made::None(reason, holder))
}

/// Refuses a job that names a limit which is not there (any more), or does not fit how it counts.
pub fn check_limits(conn: &mut Db, job: &ValidJob) -> Result<(), StoreError> {
    on_any!(conn, conn => limits::check(conn, std::slice::from_ref(job)))
}

/// Removes the oldest ticks of a schedule that has too many.
pub fn trim(conn: &mut Db, row: &mut ScheduleRow) -> Result<(), StoreError> {
    if row.tick_rows >= TICKS_KEPT + TRIM_STEP {
        TrimTicks {
            schedule: row.name.clone(),
            same: row.name.clone(),
            keep: TICKS_KEPT - 1,
        }
        .execute(conn)?;
        row.tick_rows = TICKS_KEPT;
    }
    Ok(())
}
