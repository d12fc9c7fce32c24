//! What becomes of a job that waits for others, as its edges stand. Decides only; reads and stores nothing.

use queuectl_core::gates::{block, unblock};
use queuectl_core::transition::Standing;
use queuectl_core::{
    BlockedBy, Event, Gates, Refused, Resume, State, Timestamp, Transition, Unmet, Waits, transition,
};

/// A job that waits for others, or waited, and how its edges stand.
#[derive(Debug, Clone)]
pub struct Child {
    pub id: i64,
    pub at: Standing,
    pub gates: Gates,
    pub waits: Waits,
    /// When it is due once nothing blocks it.
    pub resume_at: Option<i64>,
    /// Whether it was ever claimed.
    pub was_claimed: bool,
    /// The job for which it was cancelled or held.
    pub unmet: Option<i64>,
    pub unique_key: Option<String>,
    /// How many jobs that it waits for have not ended.
    pub open: i64,
    /// The first of those that did not end as it needs.
    pub failed: Option<i64>,
    /// What becomes of it then.
    pub policy: Unmet,
}

/// One step of a job: what its row has from then on. Jobs that take the same one are stored by one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Step {
    pub from: State,
    pub to: State,
    pub attempts: u32,
    pub system_failures: u32,
    pub due_at: Option<Timestamp>,
    pub waits: i32,
    pub resume_at: Option<i64>,
    pub unmet: Option<i64>,
    /// Whether it is held again if it is revived.
    pub was_held: bool,
}

/// What becomes of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Stays,
    /// These steps, one after the other.
    Takes(Vec<Step>),
    /// It stays cancelled or held, now for this job.
    StaysFor(i64),
}

impl Child {
    /// Whether [`verdict`] would run it although it has been cancelled. It cannot if another job has its unique key.
    pub fn would_be_revived(&self) -> bool {
        self.at.state == State::Cancelled && self.failed.is_none() && self.unmet.is_some()
    }

    /// What it does once nothing blocks it.
    fn resume(&self, now: Timestamp) -> Resume {
        Resume::at(self.resume_at.map(Timestamp), self.was_claimed, now)
    }

    /// A step that leaves the job blocked.
    fn blocked(&self, at: Standing, from: State, waits: Waits, unmet: Option<i64>) -> Step {
        Step {
            from,
            to: State::Blocked,
            attempts: at.attempts,
            system_failures: at.system_failures,
            due_at: None,
            waits: waits.code(),
            resume_at: self.resume_at,
            unmet,
            was_held: false,
        }
    }
}

impl Step {
    /// The step that a transition is, with no reason to wait.
    pub fn of(change: &Transition) -> Step {
        Step {
            from: change.from(),
            to: change.to(),
            attempts: change.attempts(),
            system_failures: change.system_failures(),
            due_at: change.due_at(),
            waits: Waits::NONE.code(),
            resume_at: None,
            unmet: None,
            was_held: false,
        }
    }
}

/// Decides.
///
/// # Errors
/// [`Refused`] if the job does not stand where its reasons say.
pub fn verdict(child: &Child, now: Timestamp) -> Result<Verdict, Refused> {
    let step = match (child.at.state, child.failed) {
        (State::Blocked, Some(parent)) if child.waits.has(BlockedBy::Dependency) => match child.policy {
            Unmet::Hold => {
                let waits = child.waits.without(BlockedBy::Dependency);
                child.blocked(
                    child.at,
                    State::Blocked,
                    waits.with(BlockedBy::Held),
                    Some(parent),
                )
            }
            // It keeps its time and its hold, for if it is revived.
            _ => Step {
                resume_at: child.resume_at,
                unmet: Some(parent),
                was_held: child.waits.has(BlockedBy::Held),
                ..Step::of(&transition(child.at, Event::Cancel)?)
            },
        },
        (State::Blocked | State::Cancelled, Some(parent)) => {
            let was_for_another = child.unmet.is_some_and(|unmet| unmet != parent);
            return Ok(match was_for_another {
                true => Verdict::StaysFor(parent),
                false => Verdict::Stays,
            });
        }
        (State::Blocked, None) => {
            // It was held for a job that has ended as it has to after all.
            let was_held = child.unmet.is_some() && !child.waits.has(BlockedBy::Dependency);
            let by = match (was_held, child.open) {
                (true, 0) => BlockedBy::Held,
                (true, _) => {
                    let waits = child.waits.without(BlockedBy::Held);
                    let waits = waits.with(BlockedBy::Dependency);
                    let step = child.blocked(child.at, State::Blocked, waits, None);
                    return Ok(Verdict::Takes(vec![step]));
                }
                (false, 0) if child.waits.has(BlockedBy::Dependency) => BlockedBy::Dependency,
                (false, _) => return Ok(Verdict::Stays),
            };
            let unmet = child.unmet.filter(|_| !was_held);
            let going_on = unblock(child.at, child.waits, by, child.resume(now))?;
            match &going_on.change {
                Some(change) => Step::of(change),
                None => child.blocked(child.at, State::Blocked, going_on.waits, unmet),
            }
        }
        (State::Cancelled, None) if child.unmet.is_some() => return revive(child, now),
        _ => return Ok(Verdict::Stays),
    };
    Ok(Verdict::Takes(vec![step]))
}

/// Has a job go on that was cancelled for one which has ended as it has to after all. Others may still have to end, its time
/// may still have to come, and an operator may have held it.
fn revive(child: &Child, now: Timestamp) -> Result<Verdict, Refused> {
    let retried = transition(child.at, Event::Retry)?;
    let mut steps = vec![Step::of(&retried)];
    let mut waits = Waits::NONE;
    if child.gates.has(Gates::WAS_HELD) {
        waits = waits.with(BlockedBy::Held);
    }
    if child.open > 0 {
        waits = waits.with(BlockedBy::Dependency);
    }
    let resume = child.resume(now);
    if waits.is_empty() && resume == Resume::Now {
        return Ok(Verdict::Takes(steps));
    }
    let standing = Standing {
        state: retried.to(),
        attempts: retried.attempts(),
        system_failures: retried.system_failures(),
    };
    let by = waits.first().unwrap_or(BlockedBy::Dependency);
    let blocked = block(standing, waits, by)?;
    steps.push(child.blocked(standing, standing.state, blocked.waits, None));
    if waits.is_empty() {
        let standing = Standing {
            state: State::Blocked,
            ..standing
        };
        let going_on = unblock(standing, blocked.waits, by, resume)?;
        steps.extend(going_on.change.as_ref().map(Step::of));
    }
    Ok(Verdict::Takes(steps))
}
