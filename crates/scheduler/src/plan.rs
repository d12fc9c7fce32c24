//! What becomes of the ticks of a schedule that have come: which make a job, and why the others do not.
//!
//! Ticks come due one at a time while a node is there. If several have come, or the newest is old, no node was there, or it
//! slept, or the clock was set: those are missed, and the schedule's policy decides. Then overlap decides for each that
//! is left, in their order.

use std::time::Duration;

use queuectl_core::Timestamp;
use queuectl_core::limits::{MISSED_TICKS, QUEUED_RUNS, TICK_LATE, TICK_ON_TIME};
use queuectl_core::schedule::{MissedPolicy, Overlap, TickResult};

use crate::cron::{Expr, Older, Zone, missed};

/// The part of a schedule that decides.
#[derive(Debug, Clone)]
pub struct Timing<'a> {
    /// When it runs.
    pub expr: &'a Expr,
    /// Its time zone.
    pub zone: &'a Zone,
    /// From when an `@every` counts.
    pub start: Timestamp,
    /// What becomes of missed ticks.
    pub missed: MissedPolicy,
    /// Age of a missed tick up to which it is caught up with.
    pub missed_within: Duration,
    /// What becomes of a tick while a run has not ended.
    pub overlap: Overlap,
}

/// What becomes of a tick, or of several in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Its time; that of the first if there are several.
    pub at: Timestamp,
    /// What becomes of it.
    pub result: TickResult,
    /// Why, where the result does not say all.
    pub reason: Option<&'static str>,
    /// Those it stands for, if there are several.
    pub several: Option<Older>,
}

impl Step {
    fn new(at: Timestamp, result: TickResult) -> Step {
        Step {
            at,
            result,
            reason: None,
            several: None,
        }
    }
}

/// What becomes of all ticks that have come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// In the order of their times.
    pub steps: Vec<Step>,
    /// The first tick that has not come.
    pub next: Option<Timestamp>,
}

const REPLACED: &str = "a newer tick runs instead";
const TOO_OLD: &str = "it is older than missed_within";
const NOT_NOW: &str = "no node made it in time";
const TOO_MANY: &str = "more were missed than are caught up with";
const RUNNING: &str = "a run had not ended";
const ONE_WAITS: &str = "a run had not ended, and another waited for it";
const MANY_WAIT: &str = "a run had not ended, and as many waited for it as are allowed";

/// The runs of a schedule that have not ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Runs {
    /// All of them.
    pub open: usize,
    /// Those that wait for earlier ones.
    pub waiting: usize,
}

/// Decides about the ticks from `due`, which is one of them, to `now`.
pub fn plan(timing: &Timing<'_>, due: Timestamp, now: Timestamp, runs: Runs) -> Plan {
    let come = missed(timing.expr, timing.zone, timing.start, due, now, MISSED_TICKS);
    let mut steps = Vec::with_capacity(come.newest.len() + 1);
    if let Some(older) = come.older {
        let reason = match timing.missed {
            MissedPolicy::All => TOO_MANY,
            MissedPolicy::Last => REPLACED,
            MissedPolicy::Skip => NOT_NOW,
        };
        steps.push(Step {
            reason: Some(reason),
            several: Some(older),
            ..Step::new(older.first, TickResult::Missed)
        });
    }
    let newest = come.newest.len().saturating_sub(1);
    let mut runs = runs;
    for (index, at) in come.newest.into_iter().enumerate() {
        let mut step = by_age(timing, at, now, index == newest);
        if step.result.ran() {
            match overlaps(timing.overlap, runs) {
                Some(reason) => {
                    step = Step {
                        reason: Some(reason),
                        ..Step::new(at, TickResult::Overlap)
                    };
                }
                None => {
                    runs.waiting += usize::from(runs.open > 0);
                    runs.open += 1;
                }
            }
        }
        steps.push(step);
    }
    if timing.overlap == Overlap::Cancel {
        // Each would be cancelled by the next at once.
        let last = steps.iter().rposition(|step| step.result.ran());
        for (index, step) in steps.iter_mut().enumerate() {
            if step.result.ran() && Some(index) != last {
                (step.result, step.reason) = (TickResult::Missed, Some(REPLACED));
            }
        }
    }
    Plan {
        steps,
        next: come.next,
    }
}

/// Says why a tick is skipped beside these runs.
fn overlaps(overlap: Overlap, runs: Runs) -> Option<&'static str> {
    match overlap {
        Overlap::Skip if runs.open > 0 => Some(RUNNING),
        Overlap::QueueOne if runs.waiting > 0 => Some(ONE_WAITS),
        Overlap::Queue if runs.waiting >= QUEUED_RUNS => Some(MANY_WAIT),
        _ => None,
    }
}

fn by_age(timing: &Timing<'_>, at: Timestamp, now: Timestamp, is_newest: bool) -> Step {
    let age = now.since(at);
    let within = |ms| age <= Duration::from_millis(ms);
    let skipped = |reason| Step {
        reason: Some(reason),
        ..Step::new(at, TickResult::Missed)
    };
    if is_newest && within(TICK_LATE) {
        let result = match within(TICK_ON_TIME) {
            true => TickResult::OnTime,
            false => TickResult::Late,
        };
        return Step::new(at, result);
    }
    match timing.missed {
        MissedPolicy::Skip => skipped(NOT_NOW),
        MissedPolicy::Last if !is_newest => skipped(REPLACED),
        _ if age > timing.missed_within => skipped(TOO_OLD),
        _ => Step::new(at, TickResult::CatchUp),
    }
}

/// Accounts for ticks that came while the schedule was paused.
pub fn paused(timing: &Timing<'_>, due: Timestamp, now: Timestamp) -> Plan {
    let come = missed(timing.expr, timing.zone, timing.start, due, now, MISSED_TICKS);
    let older = come.older.map(|older| Step {
        several: Some(older),
        ..Step::new(older.first, TickResult::Paused)
    });
    let newest = come
        .newest
        .into_iter()
        .map(|at| Step::new(at, TickResult::Paused));
    Plan {
        steps: older.into_iter().chain(newest).collect(),
        next: come.next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn decide(
        missed: MissedPolicy,
        overlap: Overlap,
        due: i64,
        now: i64,
        running: bool,
    ) -> Vec<(i64, TickResult)> {
        let expr: Expr = "0 * * * *".parse().unwrap();
        let timing = Timing {
            expr: &expr,
            zone: &Zone::UTC,
            start: Timestamp(0),
            missed,
            missed_within: Duration::from_secs(24 * 3600),
            overlap,
        };
        let runs = Runs {
            open: usize::from(running),
            waiting: 0,
        };
        let plan = plan(&timing, Timestamp(due * HOUR), Timestamp(now), runs);
        assert_eq!(plan.next, Some(Timestamp((now / HOUR + 1) * HOUR)));
        let shown = plan.steps.iter().map(|step| (step.at.0 / HOUR, step.result));
        shown.collect()
    }

    use TickResult as T;

    #[test]
    fn a_tick_is_on_time_or_late_or_missed() {
        for policy in MissedPolicy::ALL {
            let at = |late| decide(*policy, Overlap::Skip, 5, 5 * HOUR + late, false);
            assert_eq!(at(5000), [(5, T::OnTime)]);
            assert_eq!(at(5001), [(5, T::Late)]);
            assert_eq!(at(60_000), [(5, T::Late)]);
            let caught = match policy {
                MissedPolicy::Skip => T::Missed,
                _ => T::CatchUp,
            };
            assert_eq!(at(60_001), [(5, caught)]);
        }
    }

    #[test]
    fn policies_decide_about_those_that_were_missed() {
        let of = |policy, now| decide(policy, Overlap::Allow, 5, now, false);
        let half_past_seven = 7 * HOUR + HOUR / 2;
        assert_eq!(
            of(MissedPolicy::Skip, half_past_seven),
            [(5, T::Missed), (6, T::Missed), (7, T::Missed)]
        );
        assert_eq!(
            of(MissedPolicy::Last, half_past_seven),
            [(5, T::Missed), (6, T::Missed), (7, T::CatchUp)]
        );
        assert_eq!(
            of(MissedPolicy::All, half_past_seven),
            [(5, T::CatchUp), (6, T::CatchUp), (7, T::CatchUp)]
        );
        // Back just in time for the newest.
        assert_eq!(
            of(MissedPolicy::Skip, 7 * HOUR),
            [(5, T::Missed), (6, T::Missed), (7, T::OnTime)]
        );
        assert_eq!(of(MissedPolicy::All, 7 * HOUR)[2], (7, T::OnTime));
        // Too old: more than a day.
        let later = of(MissedPolicy::All, 31 * HOUR + 90_000);
        assert_eq!(
            (later[0], later[1], later[2]),
            ((5, T::Missed), (6, T::Missed), (7, T::Missed))
        );
        assert_eq!((later[3], later[26]), ((8, T::CatchUp), (31, T::CatchUp)));
    }

    #[test]
    fn of_a_long_gap_the_newest_have_rows_and_the_others_share_one() {
        let long = decide(MissedPolicy::All, Overlap::Allow, 5, 1000 * HOUR + 1, false);
        assert_eq!((long.len(), long[0]), (101, (5, T::Missed)));
        assert_eq!((long[1], long[100]), ((901, T::Missed), (1000, T::OnTime)));
        assert_eq!(long.iter().filter(|(_, result)| result.ran()).count(), 24);
    }

    #[test]
    fn overlap_is_decided_for_each_that_is_left() {
        let of = |overlap, running| decide(MissedPolicy::All, overlap, 5, 7 * HOUR, running);
        assert_eq!(
            of(Overlap::Skip, true),
            [(5, T::Overlap), (6, T::Overlap), (7, T::Overlap)]
        );
        assert_eq!(
            of(Overlap::Skip, false),
            [(5, T::CatchUp), (6, T::Overlap), (7, T::Overlap)]
        );
        assert_eq!(
            of(Overlap::Allow, true),
            [(5, T::CatchUp), (6, T::CatchUp), (7, T::OnTime)]
        );
        assert_eq!(
            of(Overlap::Cancel, true),
            [(5, T::Missed), (6, T::Missed), (7, T::OnTime)]
        );
        assert_eq!(
            of(Overlap::QueueOne, true),
            [(5, T::CatchUp), (6, T::Overlap), (7, T::Overlap)]
        );
        assert_eq!(
            of(Overlap::QueueOne, false),
            [(5, T::CatchUp), (6, T::CatchUp), (7, T::Overlap)]
        );
        assert_eq!(of(Overlap::Queue, true), of(Overlap::Allow, true));
        let many = Runs {
            open: QUEUED_RUNS + 1,
            waiting: QUEUED_RUNS,
        };
        assert_eq!(overlaps(Overlap::Queue, many), Some(MANY_WAIT));
        // What was missed anyway does not overlap.
        let last = decide(MissedPolicy::Last, Overlap::Skip, 5, 7 * HOUR, true);
        assert_eq!(last, [(5, T::Missed), (6, T::Missed), (7, T::Overlap)]);
    }
}
