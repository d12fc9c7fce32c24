//! What keeps a job from running besides time, and what has to be looked at when it ends.
//!
//! Both are bit masks on the job's row. [`block`] and [`unblock`] decide what a reason that comes or goes does to a job;
//! what the reasons mean is known where they are looked at, in the store's outcome transaction.

use serde::Serialize;

use crate::State;
use crate::time::Timestamp;
use crate::transition::{Event, Refused, Resume, Standing, Transition, transition};

/// A reason for which a job is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[repr(i32)]
pub enum BlockedBy {
    /// An operator holds it.
    Held = 1,
    /// Jobs that it waits for have not ended.
    Dependency = 2,
    /// A limit has no room.
    Limit = 4,
    /// The running job whose unique key it takes has not ended.
    Unique = 8,
    /// An earlier run of its schedule has not ended.
    Overlap = 16,
}

impl BlockedBy {
    /// Every reason, in the order in which one is named if there are several.
    pub const ALL: [BlockedBy; 5] = [
        BlockedBy::Held,
        BlockedBy::Dependency,
        BlockedBy::Limit,
        BlockedBy::Unique,
        BlockedBy::Overlap,
    ];

    /// The reason's name in text and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            BlockedBy::Held => "held",
            BlockedBy::Dependency => "dependency",
            BlockedBy::Limit => "limit",
            BlockedBy::Unique => "unique",
            BlockedBy::Overlap => "overlap",
        }
    }
}

/// The reasons for which a job is blocked. A job is blocked exactly if there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Waits(i32);

impl Waits {
    /// No reason.
    pub const NONE: Waits = Waits(0);

    /// The reasons that a stored number stands for.
    pub const fn from_code(code: i32) -> Waits {
        Waits(code)
    }

    /// The number that the store keeps.
    pub const fn code(self) -> i32 {
        self.0
    }

    /// Whether there is no reason.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether this is one of the reasons.
    pub const fn has(self, by: BlockedBy) -> bool {
        self.0 & by as i32 != 0
    }

    /// These reasons and that one.
    #[must_use]
    pub const fn with(self, by: BlockedBy) -> Waits {
        Waits(self.0 | by as i32)
    }

    /// These reasons without that one.
    #[must_use]
    pub const fn without(self, by: BlockedBy) -> Waits {
        Waits(self.0 & !(by as i32))
    }

    /// The first of the reasons.
    pub fn first(self) -> Option<BlockedBy> {
        BlockedBy::ALL.into_iter().find(|by| self.has(*by))
    }
}

/// What has to be looked at when a job ends or before it starts. A plain job has no such gate and costs nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Gates(i32);

impl Gates {
    /// Nothing.
    pub const NONE: Gates = Gates(0);
    /// It has keys of limits.
    pub const LIMITS: Gates = Gates(1);
    /// Other jobs wait for it, or waited.
    pub const DEPENDANTS: Gates = Gates(2);
    /// It waits for other jobs, or waited.
    pub const DEPENDS: Gates = Gates(4);
    /// It is a member of a group.
    pub const MEMBER: Gates = Gates(8);
    /// It has hooks.
    pub const HOOKS: Gates = Gates(16);
    /// A tick of a schedule made it.
    pub const SCHEDULE: Gates = Gates(32);
    /// Its unique key needs a successor.
    pub const SUCCESSOR: Gates = Gates(64);
    /// It has labels or a comment. Nothing is looked at for them, but they go with it.
    pub const LABELS: Gates = Gates(128);
    /// An operator held it when it was cancelled for a job that it waits for; it is held again if it is revived.
    pub const WAS_HELD: Gates = Gates(1 << 16);

    /// The gates that a stored number stands for.
    pub const fn from_code(code: i32) -> Gates {
        Gates(code)
    }

    /// The number that the store keeps.
    pub const fn code(self) -> i32 {
        self.0
    }

    /// Whether there is nothing to look at.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether one of those gates is among these.
    pub const fn has(self, gates: Gates) -> bool {
        self.0 & gates.0 != 0
    }

    /// These gates without those.
    #[must_use]
    pub const fn without(self, gates: Gates) -> Gates {
        Gates(self.0 & !gates.0)
    }

    /// These gates and those.
    #[must_use]
    pub const fn with(self, gates: Gates) -> Gates {
        Gates(self.0 | gates.0)
    }
}

/// What a reason that came or went does to a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blocking {
    /// The reasons that it has then.
    pub waits: Waits,
    /// Its change of state, if it has one: a job with several reasons stays blocked.
    pub change: Option<Transition>,
}

/// Adds a reason for which a job is blocked.
///
/// # Errors
/// [`Refused`] if the job runs or has ended.
pub fn block(job: Standing, waits: Waits, by: BlockedBy) -> Result<Blocking, Refused> {
    let change = match job.state {
        State::Blocked => None,
        _ if by == BlockedBy::Held => Some(transition(job, Event::Hold)?),
        _ => Some(transition(job, Event::Block)?),
    };
    let waits = waits.with(by);
    Ok(Blocking { waits, change })
}

/// Takes a reason away. Once there is none, the job waits for its time, which `resume` tells, or is ready.
///
/// # Errors
/// [`Refused`] if that is not one of the job's reasons.
pub fn unblock(job: Standing, waits: Waits, by: BlockedBy, resume: Resume) -> Result<Blocking, Refused> {
    let event = match by {
        BlockedBy::Held => Event::Release(resume),
        _ => Event::Unblock(resume),
    };
    let change = transition(job, event)?;
    if !waits.has(by) {
        return Err(Refused {
            state: job.state,
            event: event.name(),
        });
    }
    let waits = waits.without(by);
    let change = waits.is_empty().then_some(change);
    Ok(Blocking { waits, change })
}

impl Resume {
    /// Returns what a blocked job does at `now` that was due at some time before it was blocked. One that was claimed
    /// before waits for its retry, and no other does.
    pub fn at(due: Option<Timestamp>, was_claimed: bool, now: Timestamp) -> Resume {
        match due.filter(|due| *due > now) {
            None => Resume::Now,
            Some(due) if was_claimed => Resume::Retry(due),
            Some(due) => Resume::Scheduled(due),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(state: State) -> Standing {
        Standing {
            state,
            attempts: 1,
            system_failures: 0,
        }
    }

    #[test]
    fn a_job_is_blocked_until_its_last_reason_goes() {
        let held = block(at(State::Pending), Waits::NONE, BlockedBy::Held).unwrap();
        assert_eq!(held.change.map(|change| change.to()), Some(State::Blocked));
        let both = block(at(State::Blocked), held.waits, BlockedBy::Limit).unwrap();
        assert_eq!(both.change, None);
        assert_eq!(both.waits.first(), Some(BlockedBy::Held));
        let one = unblock(at(State::Blocked), both.waits, BlockedBy::Held, Resume::Now).unwrap();
        assert_eq!((one.change, one.waits.first()), (None, Some(BlockedBy::Limit)));
        let due = Resume::at(Some(Timestamp(9)), true, Timestamp(5));
        let none = unblock(at(State::Blocked), one.waits, BlockedBy::Limit, due).unwrap();
        assert!(none.waits.is_empty());
        let change = none.change.unwrap();
        assert_eq!(
            (change.to(), change.due_at()),
            (State::Failed, Some(Timestamp(9)))
        );
    }

    #[test]
    fn a_reason_that_is_not_there_cannot_go() {
        for waits in [Waits::NONE, Waits::NONE.with(BlockedBy::Dependency)] {
            assert!(unblock(at(State::Blocked), waits, BlockedBy::Held, Resume::Now).is_err());
        }
        assert!(unblock(at(State::Pending), Waits::NONE, BlockedBy::Held, Resume::Now).is_err());
        for state in [State::Processing, State::Completed, State::Dead, State::Cancelled] {
            assert!(block(at(state), Waits::NONE, BlockedBy::Held).is_err(), "{state}");
        }
    }

    #[test]
    fn what_was_due_is_due_again() {
        let at = |due, claimed| Resume::at(due, claimed, Timestamp(5));
        assert_eq!(at(None, true), Resume::Now);
        assert_eq!(at(Some(Timestamp(5)), false), Resume::Now);
        assert_eq!(at(Some(Timestamp(6)), false), Resume::Scheduled(Timestamp(6)));
        assert_eq!(at(Some(Timestamp(6)), true), Resume::Retry(Timestamp(6)));
    }

    #[test]
    fn masks_have_a_bit_for_each() {
        let all = BlockedBy::ALL.into_iter().fold(Waits::NONE, Waits::with);
        assert_eq!(all.code(), 31);
        let gates = [
            Gates::LIMITS,
            Gates::DEPENDANTS,
            Gates::DEPENDS,
            Gates::MEMBER,
            Gates::HOOKS,
            Gates::SCHEDULE,
            Gates::SUCCESSOR,
            Gates::LABELS,
        ];
        for (bit, gate) in gates.into_iter().enumerate() {
            assert_eq!(gate.code(), 1 << bit);
        }
        assert_eq!(gates.into_iter().fold(Gates::NONE, Gates::with).code(), 255);
    }
}
