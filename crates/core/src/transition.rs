//! The one place that decides a job's next state.
//!
//! [`transition`] is a pure function of where the job stands and what happened. It does not touch the store: the
//! store applies a [`Transition`] guarded on the state (and, for a running job, the fencing token) it was made
//! from, so that a change made from an outdated view changes nothing.

use crate::state::State;
use crate::time::Timestamp;

/// What can happen to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Its due time has come.
    Due,
    /// A node claims it; this starts an attempt.
    Claim,
    /// The attempt succeeded.
    Complete,
    /// The attempt failed. `retry_at` is when to try again; none means that no attempts are left.
    Fail {
        /// When the next attempt is due.
        retry_at: Option<Timestamp>,
    },
    /// The executor could not run the job at all; the attempt does not count. `retry_at` as in `Fail`.
    SystemFail {
        /// When to try again.
        retry_at: Option<Timestamp>,
    },
    /// The node gives the job back unfinished (shutdown, or never started); the attempt does not count.
    Return,
    /// What the job needs is busy; the attempt does not count.
    Busy {
        /// When it is due; none if a limit holds it back for as long.
        until: Option<Timestamp>,
    },
    /// The user cancels it. For a running job this is recorded once it has stopped.
    Cancel,
    /// The user retries it, with fresh attempts.
    Retry,
    /// It is to start later, although its time has come.
    PutOff {
        /// When it is due then.
        until: Timestamp,
    },
    /// The user holds it back.
    Hold,
    /// It has to wait for other jobs, or for room under a limit.
    Block,
    /// The user lets it go on.
    Release(Resume),
    /// It need not wait any more for other jobs, or for room.
    Unblock(Resume),
}

/// What a job does once nothing blocks it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// It is ready.
    Now,
    /// It waits for its first start time.
    Scheduled(Timestamp),
    /// It waits for its retry.
    Retry(Timestamp),
}

impl Event {
    /// The event's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Event::Due => "due",
            Event::Claim => "claim",
            Event::Complete => "complete",
            Event::Fail { .. } => "fail",
            Event::SystemFail { .. } => "system failure",
            Event::Return => "return",
            Event::Busy { .. } => "busy",
            Event::Cancel => "cancel",
            Event::Retry => "retry",
            Event::PutOff { .. } => "put off",
            Event::Hold => "hold",
            Event::Block => "block",
            Event::Release(_) => "release",
            Event::Unblock(_) => "unblock",
        }
    }
}

/// The part of a job that decides what happens next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Its state.
    pub state: State,
    /// Attempts made since it was enqueued or last retried by hand.
    pub attempts: u32,
    /// Attempts in a row that the executor could not run at all.
    pub system_failures: u32,
}

/// A decided change. Only [`transition`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    from: State,
    to: State,
    attempts: u32,
    system_failures: u32,
    due_at: Option<Timestamp>,
}

impl Transition {
    /// The state the job must still be in for the change to apply.
    pub fn from(&self) -> State {
        self.from
    }
    /// The state the job gets.
    pub fn to(&self) -> State {
        self.to
    }
    /// The number of attempts it then has.
    pub fn attempts(&self) -> u32 {
        self.attempts
    }
    /// The number of system failures it then has.
    pub fn system_failures(&self) -> u32 {
        self.system_failures
    }
    /// When it is due, for a job that then waits.
    pub fn due_at(&self) -> Option<Timestamp> {
        self.due_at
    }
}

/// The event does not apply to a job in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is {state}; {}", possible(*.state, .event))]
pub struct Refused {
    /// The state the job is in.
    pub state: State,
    /// The event's name.
    pub event: &'static str,
}

/// Returns the next state of a job, or why the event does not apply.
///
/// # Errors
/// [`Refused`] when the event has no meaning in that state.
pub fn transition(job: Standing, event: Event) -> Result<Transition, Refused> {
    use State::{Blocked, Cancelled, Completed, Dead, Failed, Pending, Processing, Scheduled};
    let Standing {
        state,
        attempts,
        system_failures,
    } = job;
    let next = |to, attempts, system_failures, due_at| {
        Ok(Transition {
            from: state,
            to,
            attempts,
            system_failures,
            due_at,
        })
    };
    match (state, event) {
        (Scheduled | Failed, Event::Due) => next(Pending, attempts, system_failures, None),
        (Pending, Event::Claim) => next(Processing, attempts + 1, system_failures, None),
        (Processing, Event::Complete) => next(Completed, attempts, 0, None),
        (Processing, Event::Fail { retry_at: Some(due) }) => next(Failed, attempts, 0, Some(due)),
        (Processing, Event::Fail { retry_at: None }) => next(Dead, attempts, 0, None),
        (Processing, Event::SystemFail { retry_at: Some(due) }) => {
            next(Failed, attempts.saturating_sub(1), system_failures + 1, Some(due))
        }
        (Processing, Event::SystemFail { retry_at: None }) => next(Dead, attempts, system_failures + 1, None),
        (Processing, Event::Return) => next(Pending, attempts.saturating_sub(1), system_failures, None),
        (Processing, Event::Busy { until: None }) => next(Pending, attempts.saturating_sub(1), 0, None),
        (Processing, Event::Busy { until: Some(due) }) => {
            next(Failed, attempts.saturating_sub(1), 0, Some(due))
        }
        (Blocked | Pending | Scheduled | Failed | Processing, Event::Cancel) => {
            next(Cancelled, attempts, system_failures, None)
        }
        (Dead | Cancelled | Failed, Event::Retry) => next(Pending, 0, 0, None),
        (Pending, Event::PutOff { until }) => next(Scheduled, attempts, system_failures, Some(until)),
        (Pending | Scheduled | Failed, Event::Hold | Event::Block) => {
            next(Blocked, attempts, system_failures, None)
        }
        (Blocked, Event::Release(resume) | Event::Unblock(resume)) => match resume {
            Resume::Now => next(Pending, attempts, system_failures, None),
            Resume::Scheduled(due) => next(Scheduled, attempts, system_failures, Some(due)),
            Resume::Retry(due) => next(Failed, attempts, system_failures, Some(due)),
        },
        _ => Err(Refused {
            state,
            event: event.name(),
        }),
    }
}

/// What is possible, in words, for an event that a user asked for.
fn possible(state: State, event: &str) -> String {
    match event {
        // The other states that can be retried are refused where the dead are meant.
        "retry" if matches!(state, State::Failed | State::Cancelled) => {
            "only dead jobs are meant here; `queuectl retry` takes failed and cancelled ones, too".to_owned()
        }
        "signal" => "only running jobs can be sent a signal".to_owned(),
        "suspend" => {
            "only running jobs can be suspended; `queuectl hold` keeps one from starting".to_owned()
        }
        "resume" => "only running jobs can be suspended and resumed; `queuectl release` lets a held one go".to_owned(),
        "edit" if state == State::Processing => {
            "a running job cannot be changed; `queuectl cancel` stops it, `queuectl rerun` stores a copy of what has ended"
                .to_owned()
        }
        "edit" => "only jobs that have not ended can be changed, and dead ones; `queuectl rerun` stores a copy"
            .to_owned(),
        "hold" if state == State::Processing => {
            "a running job cannot be held; `queuectl cancel` stops it".to_owned()
        }
        "hold" => "only jobs that have not started can be held".to_owned(),
        "start" => "only jobs that wait can be started; `queuectl retry` or `queuectl rerun` runs one that has ended"
            .to_owned(),
        "release" => "only held jobs can be released".to_owned(),
        "retry" if state == State::Blocked => {
            "only failed, dead or cancelled jobs can be retried; `queuectl show` says what it waits for"
                .to_owned()
        }
        "retry" if state == State::Completed => {
            "only failed, dead or cancelled jobs can be retried; `queuectl rerun` stores a copy".to_owned()
        }
        "retry" => "only failed, dead or cancelled jobs can be retried".to_owned(),
        "rerun" if state == State::Failed => {
            "only jobs that have ended can be run again as a copy; `queuectl retry` runs it now".to_owned()
        }
        "rerun" => "only jobs that have ended can be run again as a copy; `queuectl wait` waits for its end"
            .to_owned(),
        "cancel" => "only jobs that have not ended can be cancelled".to_owned(),
        "purge" if state.is_final() => "only dead jobs are meant here".to_owned(),
        "purge" => "only jobs that have ended can be purged".to_owned(),
        "show as a dead letter" => {
            "only dead jobs are in the dead letter queue; `queuectl show` shows any job".to_owned()
        }
        _ => format!("the event '{event}' does not apply to it"),
    }
}

/// Every transition there is, as `(from, event, to)`: the source of the diagram in `design.md`.
pub fn table() -> Vec<(State, &'static str, State)> {
    let later = Some(Timestamp(0));
    let events = [
        Event::Due,
        Event::Claim,
        Event::Complete,
        Event::Fail { retry_at: later },
        Event::Fail { retry_at: None },
        Event::SystemFail { retry_at: later },
        Event::SystemFail { retry_at: None },
        Event::Return,
        Event::Busy { until: None },
        Event::Busy { until: later },
        Event::Cancel,
        Event::Retry,
        Event::PutOff { until: Timestamp(0) },
        Event::Hold,
        Event::Block,
        Event::Release(Resume::Now),
        Event::Release(Resume::Scheduled(Timestamp(0))),
        Event::Release(Resume::Retry(Timestamp(0))),
        Event::Unblock(Resume::Now),
        Event::Unblock(Resume::Scheduled(Timestamp(0))),
        Event::Unblock(Resume::Retry(Timestamp(0))),
    ];
    let mut rows = Vec::new();
    for state in State::ALL {
        for event in events {
            let job = Standing {
                state,
                attempts: 1,
                system_failures: 0,
            };
            if let Ok(change) = transition(job, event) {
                rows.push((state, event.name(), change.to()));
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(state: State) -> Standing {
        Standing {
            state,
            attempts: 3,
            system_failures: 1,
        }
    }

    /// Every pair of state and event, spelled out: what is not in the list must be refused.
    #[test]
    fn every_pair_of_state_and_event() {
        use State::*;
        let due = Timestamp(99);
        let (later, never) = (Some(due), None);
        type Row = (State, Event, State, u32, u32, Option<Timestamp>);
        let allowed: &[Row] = &[
            (Scheduled, Event::Due, Pending, 3, 1, None),
            (Failed, Event::Due, Pending, 3, 1, None),
            (Pending, Event::Claim, Processing, 4, 1, None),
            (Processing, Event::Complete, Completed, 3, 0, None),
            (Processing, Event::Fail { retry_at: later }, Failed, 3, 0, later),
            (Processing, Event::Fail { retry_at: never }, Dead, 3, 0, None),
            (
                Processing,
                Event::SystemFail { retry_at: later },
                Failed,
                2,
                2,
                later,
            ),
            (
                Processing,
                Event::SystemFail { retry_at: never },
                Dead,
                3,
                2,
                None,
            ),
            (Processing, Event::Return, Pending, 2, 1, None),
            (Processing, Event::Busy { until: never }, Pending, 2, 0, None),
            (Processing, Event::Busy { until: later }, Failed, 2, 0, later),
            (Pending, Event::Cancel, Cancelled, 3, 1, None),
            (Scheduled, Event::Cancel, Cancelled, 3, 1, None),
            (Failed, Event::Cancel, Cancelled, 3, 1, None),
            (Processing, Event::Cancel, Cancelled, 3, 1, None),
            (Dead, Event::Retry, Pending, 0, 0, None),
            (Cancelled, Event::Retry, Pending, 0, 0, None),
            (Failed, Event::Retry, Pending, 0, 0, None),
            (Pending, Event::PutOff { until: due }, Scheduled, 3, 1, later),
            (Blocked, Event::Cancel, Cancelled, 3, 1, None),
            (Pending, Event::Hold, Blocked, 3, 1, None),
            (Scheduled, Event::Hold, Blocked, 3, 1, None),
            (Failed, Event::Hold, Blocked, 3, 1, None),
            (Pending, Event::Block, Blocked, 3, 1, None),
            (Scheduled, Event::Block, Blocked, 3, 1, None),
            (Failed, Event::Block, Blocked, 3, 1, None),
            (Blocked, Event::Release(Resume::Now), Pending, 3, 1, None),
            (
                Blocked,
                Event::Release(Resume::Scheduled(due)),
                Scheduled,
                3,
                1,
                later,
            ),
            (Blocked, Event::Unblock(Resume::Retry(due)), Failed, 3, 1, later),
        ];
        let events = [
            Event::Due,
            Event::Claim,
            Event::Complete,
            Event::Fail { retry_at: later },
            Event::Fail { retry_at: never },
            Event::SystemFail { retry_at: later },
            Event::SystemFail { retry_at: never },
            Event::Return,
            Event::Busy { until: never },
            Event::Busy { until: later },
            Event::Cancel,
            Event::Retry,
            Event::PutOff { until: Timestamp(99) },
            Event::Hold,
            Event::Block,
            Event::Release(Resume::Now),
            Event::Release(Resume::Scheduled(due)),
            Event::Unblock(Resume::Retry(due)),
        ];
        for state in State::ALL {
            for event in events {
                let got = transition(at(state), event);
                match allowed.iter().find(|row| row.0 == state && row.1 == event) {
                    Some(&(from, _, to, attempts, system_failures, due_at)) => {
                        assert_eq!(
                            got,
                            Ok(Transition {
                                from,
                                to,
                                attempts,
                                system_failures,
                                due_at
                            })
                        );
                    }
                    None => assert_eq!(
                        got,
                        Err(Refused {
                            state,
                            event: event.name()
                        })
                    ),
                }
            }
        }
    }

    /// Whatever the counts are: what an event does to them, and that what it says of the time fits the state.
    #[test]
    fn every_pair_with_every_count() {
        let later = Some(Timestamp(99));
        let events = [
            Event::Due,
            Event::Claim,
            Event::Complete,
            Event::Fail { retry_at: later },
            Event::Fail { retry_at: None },
            Event::SystemFail { retry_at: later },
            Event::SystemFail { retry_at: None },
            Event::Return,
            Event::Busy { until: None },
            Event::Busy { until: later },
            Event::Cancel,
            Event::Retry,
            Event::PutOff { until: Timestamp(99) },
            Event::Hold,
            Event::Block,
            Event::Release(Resume::Now),
            Event::Release(Resume::Scheduled(Timestamp(99))),
            Event::Release(Resume::Retry(Timestamp(99))),
            Event::Unblock(Resume::Now),
            Event::Unblock(Resume::Scheduled(Timestamp(99))),
            Event::Unblock(Resume::Retry(Timestamp(99))),
        ];
        let mut allowed = 0;
        for (state, attempts, system_failures) in State::ALL
            .into_iter()
            .flat_map(|state| (0..=8).flat_map(move |a| (0..=6).map(move |s| (state, a, s))))
        {
            let job = Standing {
                state,
                attempts,
                system_failures,
            };
            for event in events {
                let Ok(change) = transition(job, event) else {
                    continue;
                };
                allowed += 1;
                let less = attempts.saturating_sub(1);
                let counts = match event {
                    Event::Claim => (attempts + 1, system_failures),
                    Event::Return => (less, system_failures),
                    Event::Busy { .. } => (less, 0),
                    Event::Complete | Event::Fail { .. } => (attempts, 0),
                    Event::SystemFail { retry_at: Some(_) } => (less, system_failures + 1),
                    Event::SystemFail { retry_at: None } => (attempts, system_failures + 1),
                    Event::Retry => (0, 0),
                    Event::Due
                    | Event::Cancel
                    | Event::PutOff { .. }
                    | Event::Hold
                    | Event::Block
                    | Event::Release(_)
                    | Event::Unblock(_) => (attempts, system_failures),
                };
                assert_eq!(
                    (change.attempts(), change.system_failures()),
                    counts,
                    "{job:?} {event:?}"
                );
                assert_eq!(change.from(), state);
                assert_eq!(
                    change.due_at().is_some(),
                    change.to().waits(),
                    "{job:?} {event:?}"
                );
                assert_ne!(change.from(), change.to(), "{job:?} {event:?}");
            }
        }
        assert_eq!(allowed, table().len() * 9 * 7);
    }

    #[test]
    fn nothing_leaves_completed() {
        assert!(table().iter().all(|(from, _, _)| *from != State::Completed));
    }

    /// The lifecycle table in design.md lists exactly the transitions that exist.
    #[test]
    fn design_page_shows_this_table() {
        let page = include_str!("../../../design.md");
        let (_, rest) = page
            .split_once("<!-- transitions -->")
            .expect("start marker in design.md");
        let (shown, _) = rest
            .split_once("<!-- /transitions -->")
            .expect("end marker in design.md");
        let mut rows: Vec<String> = shown
            .lines()
            .filter(|line| line.starts_with("| `"))
            .map(|line| line.trim().to_owned())
            .collect();
        let mut want: Vec<String> = table()
            .iter()
            .map(|(from, event, to)| format!("| `{from}` | {event} | `{to}` |"))
            .collect();
        rows.sort();
        want.sort();
        assert_eq!(rows, want, "design.md must hold these rows:\n{}", want.join("\n"));
    }

    /// The diagram in design.md has exactly the arrows that exist.
    #[test]
    fn design_page_draws_this_table() {
        let page = include_str!("../../../design.md");
        let (_, rest) = page.split_once("```mermaid\n").expect("a diagram in design.md");
        let (diagram, _) = rest.split_once("```").expect("its end");
        let arrows = diagram.lines().filter_map(|line| line.split_once(": "));
        let mut drawn: Vec<String> = arrows
            .map(|(arrow, event)| format!("{}: {}", arrow.trim(), event.trim()))
            .collect();
        let mut want: Vec<String> = table()
            .iter()
            .map(|(from, event, to)| format!("{from} --> {to}: {event}"))
            .collect();
        drawn.sort();
        want.sort();
        assert_eq!(
            drawn,
            want,
            "design.md must draw these arrows:\n{}",
            want.join("\n")
        );
    }
}
