//! Hooks: commands that run as jobs of their own when an attempt of another job has ended.
//!
//! What there is to run, and when, is decided here. The jobs are made and stored by the store, in the transaction that
//! records the end of the attempt.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use super::payload::Command;
use crate::State;
use crate::id::{HookName, JobId, QueueName, ScheduleName};
use crate::time::Timestamp;

/// What a hook runs for. The numbers are what the store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i16)]
pub enum HookOn {
    /// The job is completed.
    Success = 1,
    /// An attempt failed, whether another follows or not.
    Failure = 2,
    /// The job is dead: no further attempt follows.
    Death = 4,
}

impl HookOn {
    /// All of them.
    pub const ALL: [HookOn; 3] = [HookOn::Success, HookOn::Failure, HookOn::Death];

    /// The name in text and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            HookOn::Success => "success",
            HookOn::Failure => "failure",
            HookOn::Death => "death",
        }
    }

    /// The number that the store keeps.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// What a stored number stands for.
    pub fn from_code(code: i16) -> Option<HookOn> {
        HookOn::ALL.into_iter().find(|on| on.code() == code)
    }
}

impl fmt::Display for HookOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for HookOn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Several of these, as a bit mask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HookOns(i16);

impl HookOns {
    /// None of them.
    pub const NONE: HookOns = HookOns(0);

    /// Returns what the end of an attempt fires, by the state that the job had and the one that it has then. An attempt
    /// that was cancelled, or given back by its node, fires nothing, and neither does a job that ends without an attempt.
    pub const fn of(from: State, to: State) -> HookOns {
        match (from, to) {
            (State::Processing, State::Completed) => HookOns::NONE.with(HookOn::Success),
            (State::Processing, State::Failed) => HookOns::NONE.with(HookOn::Failure),
            (State::Processing, State::Dead) => HookOns::NONE.with(HookOn::Failure).with(HookOn::Death),
            _ => HookOns::NONE,
        }
    }

    /// The set that a stored number stands for.
    pub const fn from_code(code: i16) -> HookOns {
        HookOns(code)
    }

    /// The number that the store keeps.
    pub const fn code(self) -> i16 {
        self.0
    }

    /// Whether there is none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this is one of them.
    pub const fn has(self, on: HookOn) -> bool {
        self.0 & on.code() != 0
    }

    /// These and that one.
    #[must_use]
    pub const fn with(self, on: HookOn) -> HookOns {
        HookOns(self.0 | on.code())
    }

    /// Those that are in it.
    pub fn iter(self) -> impl Iterator<Item = HookOn> {
        HookOn::ALL.into_iter().filter(move |on| self.has(*on))
    }
}

impl FromStr for HookOns {
    type Err = String;
    fn from_str(text: &str) -> Result<HookOns, String> {
        let mut ons = HookOns::NONE;
        for word in text.split(',') {
            let found = HookOn::ALL.into_iter().find(|on| on.name() == word);
            let expected = || "expected success, failure or death, or several separated by commas".to_owned();
            ons = ons.with(found.ok_or_else(expected)?);
        }
        Ok(ons)
    }
}

impl fmt::Display for HookOns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.iter().map(HookOn::name).collect();
        f.pad(&names.join(","))
    }
}

/// The hooks of one job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct JobHooks {
    /// Runs when the job is completed.
    pub on_success: Option<Command>,
    /// Runs after each attempt that failed.
    pub on_failure: Option<Command>,
    /// Runs when the job is dead.
    pub on_death: Option<Command>,
    /// The queue that these go to; the job's own if absent.
    pub to_queue: Option<QueueName>,
}

impl JobHooks {
    /// Whether there is nothing to run.
    pub fn is_empty(&self) -> bool {
        HookOn::ALL.into_iter().all(|on| self.get(on).is_none())
    }

    /// What runs for that.
    pub fn get(&self, on: HookOn) -> Option<&Command> {
        match on {
            HookOn::Success => self.on_success.as_ref(),
            HookOn::Failure => self.on_failure.as_ref(),
            HookOn::Death => self.on_death.as_ref(),
        }
    }

    /// Returns what this says, and where it says nothing, what `other` says.
    #[must_use]
    pub fn or(self, other: JobHooks) -> JobHooks {
        JobHooks {
            on_success: self.on_success.or(other.on_success),
            on_failure: self.on_failure.or(other.on_failure),
            on_death: self.on_death.or(other.on_death),
            to_queue: self.to_queue.or(other.to_queue),
        }
    }
}

/// A hook of all jobs, or of those of a queue or a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hook {
    /// Its name.
    pub name: HookName,
    /// What it runs for.
    pub on: HookOns,
    /// The queue whose jobs it is for; all if absent.
    pub queue: Option<QueueName>,
    /// The schedule whose jobs it is for.
    pub schedule: Option<ScheduleName>,
    /// The queue that its jobs go to; that of the ended job if absent.
    pub to_queue: Option<QueueName>,
    /// What it runs.
    pub command: Command,
    /// The folder that it runs in.
    pub cwd: Option<String>,
    /// When it was added.
    pub created_at: Timestamp,
    /// How many jobs have to be dead, if it is about their number and not about single ones.
    pub alert: Option<Alert>,
}

/// When a hook runs that is about the number of dead jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alert {
    /// It runs once this many jobs are dead.
    pub dead: u32,
    /// It runs again when another job dies this long after, in ms, even if no fewer were dead since.
    pub again_ms: Option<u64>,
    /// When it last ran; none if fewer jobs were dead since.
    pub fired_at: Option<Timestamp>,
}

impl Alert {
    /// Whether it runs now that jobs have died. `before` are the dead jobs without those that just died, `after` with them.
    pub fn fires(self, before: u64, after: u64, now: Timestamp) -> bool {
        let dead = u64::from(self.dead);
        let is_armed = self.fired_at.is_none_or(|fired| {
            let since = u64::try_from(now.0.saturating_sub(fired.0)).unwrap_or(0);
            before < dead || self.again_ms.is_some_and(|again| since >= again)
        });
        after >= dead && is_armed
    }
}

/// Which job had another stored: one that ran a command which enqueued it, or one for whose end it is a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EnqueuedBy {
    /// The job's number. It may have been purged.
    pub job: JobId,
    /// What the new job is a hook for; none if a command of the other job enqueued it.
    pub hook: Option<HookOn>,
    /// How many hooks led to the new job, itself included.
    pub depth: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_of_an_attempt_fires_its_hooks() {
        let of = |to| HookOns::of(State::Processing, to).to_string();
        assert_eq!(of(State::Completed), "success");
        assert_eq!(of(State::Failed), "failure");
        assert_eq!(of(State::Dead), "failure,death");
        for nothing in [State::Cancelled, State::Pending, State::Blocked] {
            assert!(HookOns::of(State::Processing, nothing).is_empty());
        }
        assert!(HookOns::of(State::Blocked, State::Cancelled).is_empty());
    }

    #[test]
    fn an_alert_runs_once_until_it_is_armed_again() {
        let alert = |fired_at: Option<i64>, again_ms| Alert {
            dead: 10,
            again_ms,
            fired_at: fired_at.map(Timestamp),
        };
        let now = Timestamp(5000);
        for (alert, before, after, fires) in [
            (alert(None, None), 8, 9, false),
            (alert(None, None), 9, 10, true),
            (alert(None, None), 7, 12, true),
            // It was added late.
            (alert(None, None), 20, 21, true),
            (alert(Some(1000), None), 10, 11, false),
            // Fewer were dead since.
            (alert(Some(1000), None), 9, 10, true),
            (alert(Some(1000), None), 3, 4, false),
            (alert(Some(1000), Some(4001)), 10, 11, false),
            (alert(Some(1000), Some(4000)), 10, 11, true),
            // A clock that was set back.
            (alert(Some(9000), Some(1)), 10, 11, false),
        ] {
            assert_eq!(
                alert.fires(before, after, now),
                fires,
                "{alert:?} {before} {after}"
            );
        }
    }

    #[test]
    fn sets_are_read_as_they_are_written() {
        for text in ["success", "failure,death", "success,failure,death"] {
            assert_eq!(
                text.parse::<HookOns>().map(|ons| ons.to_string()),
                Ok(text.into())
            );
        }
        assert!("dead".parse::<HookOns>().is_err());
        for on in HookOn::ALL {
            assert_eq!(HookOn::from_code(on.code()), Some(on));
        }
        assert_eq!(HookOn::from_code(3), None);
    }
}
