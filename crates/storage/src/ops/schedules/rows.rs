//! Rows of `schedules` and `ticks`, and what they mean.

use std::time::Duration;

use diesel::prelude::*;
use queuectl_core::limits::{MISSED_WITHIN, PAUSE_AFTER, SCHEDULE_JITTER};
use queuectl_core::schedule::{
    MissedPolicy, Overlap, Paused, Schedule, ScheduleSpec, Tick, TickResult, template_fault,
};
use queuectl_core::{JobId, JobSpec, OwnerName, ScheduleName, Timestamp, show_time};
use queuectl_scheduler::cron::{Expr, Zone};
use serde::{Deserialize, Serialize};

use super::job::job_of;
use crate::StoreError;
use crate::schema::{schedules, ticks};
use crate::types::readable::count;
use crate::types::text::{MaybeWords, Words};

/// A row of `schedules`.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable, AsChangeset, Serialize, Deserialize)]
#[diesel(table_name = schedules, treat_none_as_default_value = false, treat_none_as_null = true)]
pub struct ScheduleRow {
    #[diesel(deserialize_as = Words)]
    pub name: String,
    #[diesel(deserialize_as = Words)]
    pub expression: String,
    #[diesel(deserialize_as = Words)]
    pub zone: String,
    #[diesel(deserialize_as = Words)]
    pub template: String,
    pub missed: i16,
    pub missed_ms: i64,
    pub overlap: i16,
    pub jitter_ms: Option<i64>,
    pub pause_after: Option<i32>,
    #[diesel(deserialize_as = MaybeWords)]
    pub owner: Option<String>,
    pub start_at: i64,
    pub next_due: Option<i64>,
    pub paused_at: Option<i64>,
    #[diesel(deserialize_as = MaybeWords)]
    pub paused_reason: Option<String>,
    #[diesel(deserialize_as = Words)]
    pub runs: String,
    pub dead_runs: i32,
    pub tick_rows: i64,
    pub seen_at: i64,
    pub created_at: i64,
    pub updated_at: i64,
}

/// A row of `ticks`.
#[derive(Debug, Clone, PartialEq, Queryable, Selectable, Insertable)]
#[diesel(table_name = ticks, treat_none_as_default_value = false)]
pub struct TickRow {
    #[diesel(deserialize_as = Words)]
    pub schedule: String,
    pub at: i64,
    pub result: i16,
    pub made_at: i64,
    pub job_id: Option<i64>,
    #[diesel(deserialize_as = MaybeWords)]
    pub reason: Option<String>,
    pub count: i32,
    pub more: bool,
    pub last_at: i64,
}

/// What a row says, understood.
pub struct Understood {
    pub expr: Expr,
    pub zone: Zone,
    pub spec: ScheduleSpec,
}

/// Why a schedule cannot be understood.
pub enum Fault {
    /// This machine does not know its time zone; another may.
    Zone(String),
    /// Anything else.
    Other(String),
}

impl From<Fault> for String {
    fn from(fault: Fault) -> String {
        match fault {
            Fault::Zone(problem) | Fault::Other(problem) => problem,
        }
    }
}

/// Finds a time zone by its name.
pub fn zone(name: &str) -> Result<Zone, String> {
    Zone::get(name).map_err(|_| {
        format!("unknown time zone '{name}': expected an IANA name such as Europe/Berlin or UTC")
    })
}

/// Checks what was given, and reads its expression and zone.
pub fn check(spec: ScheduleSpec, now: Timestamp) -> Result<Understood, Fault> {
    let expr: Expr = spec
        .when
        .parse()
        .map_err(|error| Fault::Other(format!("{error}")))?;
    let zone = zone(&spec.zone).map_err(Fault::Zone)?;
    let bad = |what: &str, ms: u64, allowed: &dyn std::fmt::Display| {
        Fault::Other(format!(
            "invalid value '{}' for {what}: expected {allowed}",
            show_time(ms)
        ))
    };
    if !MISSED_WITHIN.contains(spec.missed_within_ms) {
        return Err(bad("missed_within", spec.missed_within_ms, &MISSED_WITHIN));
    }
    if let Some(ms) = spec.jitter_ms.filter(|ms| !SCHEDULE_JITTER.contains(*ms)) {
        return Err(bad("jitter", ms, &SCHEDULE_JITTER));
    }
    if let Some(runs) = spec.pause_after.filter(|runs| !PAUSE_AFTER.contains(*runs)) {
        return Err(Fault::Other(format!(
            "invalid value '{runs}' for pause_after: expected {PAUSE_AFTER}"
        )));
    }
    if let Some(fault) = template_fault(&spec.job) {
        return Err(Fault::Other(fault.to_owned()));
    }
    // With what every tick adds to it, it must still be a job.
    job_of(&spec, now, TickResult::OnTime, now).map_err(|error| Fault::Other(error.to_string()))?;
    Ok(Understood { expr, zone, spec })
}

/// Ticks come at whole seconds.
pub fn whole_second(now: Timestamp) -> i64 {
    now.0.div_euclid(1000) * 1000
}

impl ScheduleRow {
    /// A new schedule, which begins at `now`.
    pub fn new(spec: &ScheduleSpec, now: Timestamp) -> ScheduleRow {
        let mut row = ScheduleRow {
            name: spec.name.to_string(),
            expression: String::new(),
            zone: String::new(),
            template: String::new(),
            missed: 0,
            missed_ms: 0,
            overlap: 0,
            jitter_ms: None,
            pause_after: None,
            owner: None,
            start_at: whole_second(now),
            next_due: None,
            paused_at: None,
            paused_reason: None,
            runs: String::new(),
            dead_runs: 0,
            tick_rows: 0,
            seen_at: now.0,
            created_at: now.0,
            updated_at: now.0,
        };
        row.set(spec);
        row
    }

    /// Takes over what was given.
    pub fn set(&mut self, spec: &ScheduleSpec) {
        self.expression.clone_from(&spec.when);
        self.zone.clone_from(&spec.zone);
        self.template = spec.job.to_json();
        self.missed = spec.missed.code();
        self.missed_ms = i64::try_from(spec.missed_within_ms).unwrap_or(i64::MAX);
        self.overlap = spec.overlap.code();
        self.jitter_ms = spec.jitter_ms.map(|ms| i64::try_from(ms).unwrap_or(i64::MAX));
        self.pause_after = spec
            .pause_after
            .map(|runs| i32::try_from(runs).unwrap_or(i32::MAX));
        self.owner = spec.owner.as_ref().map(OwnerName::to_string);
    }

    /// What was given.
    pub fn spec(&self) -> Result<ScheduleSpec, String> {
        Ok(ScheduleSpec {
            name: ScheduleName::as_stored(self.name.clone()),
            when: self.expression.clone(),
            zone: self.zone.clone(),
            job: JobSpec::from_written(&self.template).map_err(|error| format!("its job: {error}"))?,
            missed: MissedPolicy::from_code(self.missed).ok_or("its policy for missed ticks")?,
            missed_within_ms: u64::try_from(self.missed_ms).unwrap_or(0),
            overlap: Overlap::from_code(self.overlap).ok_or("its policy for overlap")?,
            jitter_ms: self.jitter_ms.map(|ms| u64::try_from(ms).unwrap_or(0)),
            pause_after: self.pause_after.map(count),
            owner: self.owner.clone().map(OwnerName::as_stored),
        })
    }

    /// What the row says, with its expression and zone.
    pub fn understand(&self, now: Timestamp) -> Result<Understood, Fault> {
        check(self.spec().map_err(Fault::Other)?, now)
    }

    pub fn due(&self) -> Option<Timestamp> {
        self.next_due.map(Timestamp)
    }

    pub fn start(&self) -> Timestamp {
        Timestamp(self.start_at)
    }

    /// The jobs not known to have ended, oldest first.
    pub fn runs(&self) -> Vec<i64> {
        self.runs.split(' ').filter_map(|id| id.parse().ok()).collect()
    }

    /// The schedule that the row is.
    pub fn into_schedule(self) -> Schedule {
        let (spec, unreadable) = match self.spec() {
            Ok(spec) => (spec, None),
            Err(what) => (self.placeholder(), Some(what)),
        };
        Schedule {
            spec,
            start_at: self.start(),
            next_due: self.due(),
            paused: self.paused_at.map(|at| Paused {
                at: Timestamp(at),
                reason: self.paused_reason,
            }),
            dead_in_a_row: count(self.dead_runs),
            created_at: Timestamp(self.created_at),
            updated_at: Timestamp(self.updated_at),
            unreadable,
        }
    }

    fn placeholder(&self) -> ScheduleSpec {
        ScheduleSpec {
            name: ScheduleName::as_stored(self.name.clone()),
            when: self.expression.clone(),
            zone: self.zone.clone(),
            job: JobSpec::default(),
            missed: MissedPolicy::Skip,
            missed_within_ms: 0,
            overlap: Overlap::Skip,
            jitter_ms: None,
            pause_after: None,
            owner: self.owner.clone().map(OwnerName::as_stored),
        }
    }
}

impl Understood {
    pub fn missed_within(&self) -> Duration {
        Duration::from_millis(self.spec.missed_within_ms)
    }
}

impl TickRow {
    /// The tick that the row is.
    pub fn into_tick(self) -> Result<Tick, StoreError> {
        let result = TickResult::from_code(self.result).ok_or(StoreError::UnreadableTick {
            schedule: self.schedule,
            at: Timestamp(self.at),
        })?;
        Ok(Tick {
            at: Timestamp(self.at),
            result,
            made_at: Timestamp(self.made_at),
            job: self.job_id.map(JobId),
            reason: self.reason,
            count: count(self.count),
            more: self.more,
            last_at: Timestamp(self.last_at),
        })
    }
}
