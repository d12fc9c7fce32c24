//! Schedules: what makes jobs at given times. What the times are is not here but in the scheduler, which reads the
//! expression.

use std::fmt;
use std::str::FromStr;

use crate::id::{JobId, OwnerName, ScheduleName};
use crate::job::JobSpec;
use crate::time::Timestamp;

/// An enum whose values have a word for people and a code for the store.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident, $what:literal { $($(#[$of:meta])* $value:ident $code:literal $word:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$of])* $value,)* }

        impl $name {
            /// All values.
            pub const ALL: &[$name] = &[$($name::$value),*];

            /// Returns the word for it.
            pub fn as_str(self) -> &'static str {
                match self { $($name::$value => $word,)* }
            }

            /// Returns its code in the store.
            pub fn code(self) -> i16 {
                match self { $($name::$value => $code,)* }
            }

            /// Returns the value with that code.
            pub fn from_code(code: i16) -> Option<$name> {
                match code { $($code => Some($name::$value),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = String;
            fn from_str(text: &str) -> Result<$name, String> {
                let found = $name::ALL.iter().find(|value| value.as_str() == text);
                found.copied().ok_or_else(|| {
                    let words: Vec<&str> = $name::ALL.iter().map(|value| value.as_str()).collect();
                    format!("expected {}: {}", $what, words.join(", "))
                })
            }
        }
    };
}

words! {
    /// What becomes of ticks for which no node was there in time.
    MissedPolicy, "what becomes of missed ticks" {
        /// None of them runs.
        Skip 0 "skip",
        /// The newest runs.
        Last 1 "last",
        /// All of them run, the newest [`crate::limits::MISSED_TICKS`] of them.
        All 2 "all",
    }
}

words! {
    /// What becomes of a tick while a run of the schedule has not ended. A run that waits for its retry has not.
    Overlap, "what to do while a run has not ended" {
        /// The tick is skipped.
        Skip 0 "skip",
        /// That run is cancelled, and the tick runs.
        Cancel 1 "cancel",
        /// The tick runs beside it.
        Allow 2 "allow",
        /// The tick runs after it, after all that wait already.
        Queue 3 "queue",
        /// The tick runs after it; another that comes meanwhile is skipped.
        QueueOne 4 "queue-one",
    }
}

words! {
    /// What became of a tick.
    TickResult, "what became of a tick" {
        /// A job was made when it was time.
        OnTime 1 "on-time",
        /// A job was made a little after that.
        Late 2 "late",
        /// A job was made for a tick that had been missed.
        CatchUp 3 "catch-up",
        /// A job was made for a time of the past because somebody asked for it.
        Backfill 4 "backfill",
        /// A job was made because somebody asked for it.
        Manual 5 "manual",
        /// No job: a run had not ended.
        Overlap 6 "skipped: overlap",
        /// No job: it was missed.
        Missed 7 "skipped: missed",
        /// No job: the schedule was paused.
        Paused 8 "skipped: paused",
        /// No job: it could not be made.
        Refused 9 "skipped: refused",
    }
}

impl Overlap {
    /// Whether a run can wait for the end of an earlier one.
    pub fn waits(self) -> bool {
        matches!(self, Overlap::Cancel | Overlap::Queue | Overlap::QueueOne)
    }
}

impl TickResult {
    /// Whether a job was made.
    pub fn ran(self) -> bool {
        self.code() <= TickResult::Manual.code()
    }
}

/// Age of a missed tick up to which it is caught up with unless the schedule says otherwise, in ms.
pub const MISSED_WITHIN_DEFAULT: u64 = 24 * 60 * 60 * 1000;

/// A schedule as its user described it.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleSpec {
    /// Its name.
    pub name: ScheduleName,
    /// When it runs, as the scheduler reads it.
    pub when: String,
    /// The IANA name of its time zone.
    pub zone: String,
    /// The job that each tick makes.
    pub job: JobSpec,
    /// What becomes of missed ticks.
    pub missed: MissedPolicy,
    /// Age of a missed tick up to which it is caught up with, in ms.
    pub missed_within_ms: u64,
    /// What becomes of a tick while a run has not ended.
    pub overlap: Overlap,
    /// The spread of its jobs after the tick, in ms.
    pub jitter_ms: Option<u64>,
    /// Dead runs in a row after which it pauses.
    pub pause_after: Option<u32>,
    /// Whose file it came from.
    pub owner: Option<OwnerName>,
}

/// Since when, and why, a schedule is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// Since when.
    pub at: Timestamp,
    /// Why, if somebody said so.
    pub reason: Option<String>,
}

/// A schedule as the store knows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    /// What was given.
    pub spec: ScheduleSpec,
    /// From when an `@every` counts.
    pub start_at: Timestamp,
    /// The next tick; none if there is none to come.
    pub next_due: Option<Timestamp>,
    /// Since when it is paused, if it is.
    pub paused: Option<Paused>,
    /// Dead runs in a row, as far as the last tick saw.
    pub dead_in_a_row: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed by a user.
    pub updated_at: Timestamp,
    /// What of it this version cannot read.
    pub unreadable: Option<String>,
}

/// A tick of a schedule, or several in a row that were skipped for the same reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// Its time; that of the first if there are several.
    pub at: Timestamp,
    /// What became of it.
    pub result: TickResult,
    /// When that was decided.
    pub made_at: Timestamp,
    /// The number of the job that was made. It may have been purged.
    pub job: Option<JobId>,
    /// More on why there is none.
    pub reason: Option<String>,
    /// How many ticks it stands for.
    pub count: u32,
    /// Whether there were more than were counted.
    pub more: bool,
    /// The time of the last of them.
    pub last_at: Timestamp,
}

/// Says what of a job cannot be part of a schedule.
pub fn template_fault(job: &JobSpec) -> Option<&'static str> {
    if job.id.is_some() {
        Some("its jobs cannot all have the same id; leave --id out")
    } else if job.start.is_some() {
        Some("the schedule says when its jobs start; leave --delay and --run-at out, --jitter spreads them")
    } else if !job.after.is_empty() {
        Some("a schedule makes jobs at its times, whatever other jobs do; leave --after out")
    } else if job.close_group == Some(true) {
        Some("its jobs could not all be members of a closed group; leave --close-group out")
    } else {
        None
    }
}

/// Returns how long after a tick its job starts: fixed for that tick, spread over the jitter.
pub fn jitter(name: &ScheduleName, at: Timestamp, jitter_ms: Option<u64>) -> u64 {
    let Some(spread) = jitter_ms.filter(|ms| *ms > 0) else {
        return 0;
    };
    // FNV-1a: the same on every machine and in every version.
    let bytes = name.as_str().bytes().chain(at.0.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    // Its low bits depend on little; the multiplication spreads the high ones.
    ((u128::from(hash) * u128::from(spread)) >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_codes_are_read_back() {
        for result in TickResult::ALL {
            assert_eq!(TickResult::from_code(result.code()), Some(*result));
            assert_eq!(result.ran(), !result.as_str().starts_with("skipped"), "{result}");
        }
        assert_eq!("allow".parse(), Ok(Overlap::Allow));
        let said = "both".parse::<MissedPolicy>().unwrap_err();
        assert_eq!(said, "expected what becomes of missed ticks: skip, last, all");
    }

    #[test]
    fn jitter_is_fixed_and_spread() {
        let name: ScheduleName = "nightly".parse().unwrap();
        let of = |minute: i64| jitter(&name, Timestamp(minute * 60_000), Some(60_000));
        assert_eq!(of(5), of(5));
        let mut quarters = [0; 4];
        for minute in 0..1000 {
            quarters[usize::try_from(of(minute) / 15_000).unwrap()] += 1;
        }
        assert!(
            quarters.iter().all(|count| (200..300).contains(count)),
            "{quarters:?}"
        );
        assert_eq!(jitter(&name, Timestamp(5), None), 0);
    }
}
