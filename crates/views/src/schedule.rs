//! A schedule, its ticks, and what was done to it.

use queuectl_core::schedule::{MissedPolicy, Overlap, Schedule, Tick, TickResult};
use queuectl_core::{Command, ExecutorName, JobId, QueueName, Timestamp};
use serde::{Serialize, Serializer};

/// A schedule. Every field is always there; what does not apply is null.
#[derive(Debug, Serialize)]
pub struct ScheduleView {
    /// Its name.
    pub schedule: String,
    /// When it runs, as it was given.
    pub when: String,
    /// Its time zone.
    pub tz: String,
    /// The next tick; null if there is none to come.
    pub next_due: Option<Timestamp>,
    /// The command of its jobs as one line, for people.
    pub command: String,
    /// The exact program and arguments, for a command without a shell.
    pub argv: Option<Vec<String>>,
    /// The queue of its jobs.
    pub queue: QueueName,
    /// The executor of its jobs.
    pub executor: ExecutorName,
    /// What becomes of missed ticks: `skip`, `last` or `all`.
    #[serde(serialize_with = "word")]
    pub missed: MissedPolicy,
    /// Age of a missed tick up to which it is caught up with, in ms.
    pub missed_within_ms: u64,
    /// What becomes of a tick while a run has not ended.
    #[serde(serialize_with = "word")]
    pub overlap: Overlap,
    /// The spread of its jobs after the tick, in ms.
    pub jitter_ms: Option<u64>,
    /// Dead runs in a row after which it pauses.
    pub pause_after: Option<u32>,
    /// Dead runs in a row, as far as the last tick saw.
    pub dead_in_a_row: u32,
    /// Since when it is paused.
    pub paused_at: Option<Timestamp>,
    /// Why it is paused.
    pub paused_reason: Option<String>,
    /// Whose file it came from.
    pub owner: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When a user last changed it.
    pub updated_at: Timestamp,
    /// What of it cannot be read.
    pub unreadable: Option<String>,
}

impl From<Schedule> for ScheduleView {
    fn from(schedule: Schedule) -> ScheduleView {
        let Schedule { spec, paused, .. } = schedule;
        let argv = match &spec.job.payload.command {
            Some(Command::Argv(argv)) => Some(argv.clone()),
            _ => None,
        };
        ScheduleView {
            schedule: spec.name.to_string(),
            when: spec.when,
            tz: spec.zone,
            next_due: schedule.next_due,
            command: spec.job.payload.display(),
            argv,
            queue: spec.job.queue.unwrap_or_default(),
            executor: spec.job.executor.unwrap_or_default(),
            missed: spec.missed,
            missed_within_ms: spec.missed_within_ms,
            overlap: spec.overlap,
            jitter_ms: spec.jitter_ms,
            pause_after: spec.pause_after,
            dead_in_a_row: schedule.dead_in_a_row,
            paused_at: paused.as_ref().map(|paused| paused.at),
            paused_reason: paused.and_then(|paused| paused.reason),
            owner: spec.owner.map(|owner| owner.to_string()),
            created_at: schedule.created_at,
            updated_at: schedule.updated_at,
            unreadable: schedule.unreadable,
        }
    }
}

/// A schedule with its newest ticks.
#[derive(Debug, Serialize)]
pub struct ScheduleDetailView {
    /// The schedule.
    #[serde(flatten)]
    pub schedule: ScheduleView,
    /// How many ticks of the last 24 hours were skipped because a run had not ended.
    pub overlapped: u64,
    /// Its newest ticks, newest first.
    pub ticks: Vec<TickView>,
}

/// A tick of a schedule, or several in a row that were skipped for the same reason.
#[derive(Debug, Serialize)]
pub struct TickView {
    /// Its time; that of the first if there are several.
    pub at: Timestamp,
    /// What became of it.
    #[serde(serialize_with = "word")]
    pub result: TickResult,
    /// When that was decided.
    pub made_at: Timestamp,
    /// The number of its job, which may have been purged.
    pub job: Option<JobId>,
    /// More on why there is no job.
    pub reason: Option<String>,
    /// How many ticks it stands for.
    pub count: u32,
    /// Whether there were more than were counted.
    pub more: bool,
    /// The time of the last of them.
    pub last_at: Timestamp,
}

impl From<Tick> for TickView {
    fn from(tick: Tick) -> TickView {
        TickView {
            at: tick.at,
            result: tick.result,
            made_at: tick.made_at,
            job: tick.job,
            reason: tick.reason,
            count: tick.count,
            more: tick.more,
            last_at: tick.last_at,
        }
    }
}

/// A time at which a schedule will run.
#[derive(Debug, Serialize)]
pub struct NextTickView {
    /// By the clock of its time zone, with the offset.
    pub local: String,
    /// In UTC.
    pub at: Timestamp,
}

/// A schedule that was changed.
#[derive(Debug, Serialize)]
pub struct ScheduleChangedView {
    /// Its name.
    pub schedule: String,
    /// What became of it.
    pub result: &'static str,
    /// Its next tick.
    pub next_due: Option<Timestamp>,
}

/// A job that was made for a time of a schedule.
#[derive(Debug, Serialize)]
pub struct TickJobView {
    /// The schedule.
    pub schedule: String,
    /// The tick's time.
    pub at: Timestamp,
    /// The job's number; none if it only would be made.
    pub job: Option<JobId>,
}

/// An entry of a crontab, as the schedule that it becomes.
#[derive(Debug, Serialize)]
pub struct ImportedView {
    /// The line it stands on.
    pub line: usize,
    /// The schedule's name.
    pub schedule: String,
    /// When it runs.
    pub when: String,
    /// Its time zone.
    pub tz: String,
    /// What it runs.
    pub command: String,
    /// The first time it will run.
    pub next_due: Option<Timestamp>,
    /// How often it will run in the next seven days.
    pub runs_in_a_week: u64,
}

fn word<T: ToString, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&value.to_string())
}
