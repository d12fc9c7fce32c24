//! What a plan uses besides plain jobs: limits, unique keys, jobs that wait for others, schedules, pauses, groups, hooks.
//!
//! A plan has some of them, as it has some faults. One in four has none: those plans go deepest into what all jobs share.

use fastrand::Rng;
use queuectl_core::{Condition, Unmet};

use super::{Action, Conflict, Deed, Extras, Planned};

/// Limits that there may be; each has a bit in [`Extras::limits`].
pub const LIMITS: u8 = 3;
/// The exit status that means "busy", where a limit has one.
pub const BUSY: i32 = 75;
/// Longest that something is busy, in ms.
pub const BUSY_MS: u16 = 3000;
/// Groups at a time that are not closed.
pub const GROUPS: u8 = 2;
/// Schedules at a time.
pub const SCHEDULES: u8 = 2;
/// Hooks at a time that are not of a job alone.
pub const HOOKS: u8 = 2;
/// Rates that limits have, as (starts, ms, burst).
pub const RATES: [(u32, u64, u32); 4] = [(2, 1000, 1), (5, 1000, 3), (1, 2000, 2), (10, 1000, 5)];

/// Which of them a plan uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mechanisms {
    /// Limits and rates.
    pub limits: bool,
    /// Unique keys.
    pub keys: bool,
    /// Jobs that wait for others.
    pub graphs: bool,
    /// Schedules.
    pub schedules: bool,
    /// Paused queues.
    pub queues: bool,
    /// Held jobs.
    pub holds: bool,
    /// Groups and their callbacks.
    pub groups: bool,
    /// Hooks of jobs, of queues and of all jobs.
    pub hooks: bool,
}

impl Mechanisms {
    /// None in one of four plans; else each with one in two chances.
    pub fn some(rng: &mut Rng) -> Mechanisms {
        if rng.u8(..4) == 0 {
            return Mechanisms::default();
        }
        Mechanisms {
            limits: rng.bool(),
            keys: rng.bool(),
            graphs: rng.bool(),
            schedules: rng.u8(..3) == 0,
            queues: rng.u8(..3) == 0,
            holds: rng.u8(..3) == 0,
            groups: rng.u8(..3) == 0,
            hooks: rng.u8(..3) == 0,
        }
    }

    /// Whether there is one.
    pub fn any(&self) -> bool {
        *self != Mechanisms::default()
    }

    /// What a plan begins with.
    pub fn first(&self, rng: &mut Rng) -> Vec<Action> {
        let mut first = Vec::new();
        if self.limits {
            first.extend((0..LIMITS).map(|which| set_limit(rng, which)));
        }
        if self.schedules {
            first.push(self.add_schedule(rng));
        }
        first
    }

    /// Something that an operator does, or none.
    pub fn draw(&self, rng: &mut Rng) -> Option<Action> {
        match rng.u8(..21) {
            0..3 if self.limits => {
                let which = rng.u8(..LIMITS);
                Some(match rng.u8(..6) {
                    0 => Action::SetLimit(which, None, None, None),
                    _ => set_limit(rng, which),
                })
            }
            3..8 if self.graphs => {
                let deed = [Deed::Cancel, Deed::Retry, Deed::Retry, Deed::Purge][rng.usize(..4)];
                Some(Action::Parent(rng.u32(..), deed))
            }
            8..11 if self.schedules => Some(self.schedule(rng)),
            11 if self.queues => {
                let ms = rng.bool().then(|| rng.u32(1..4000));
                Some(Action::PauseQueue(rng.u8(..2), ms))
            }
            12 | 13 if self.queues => Some(Action::ResumeQueue(rng.u8(..2))),
            14 if self.holds => Some(Action::Hold(rng.u32(..))),
            15 if self.holds || self.graphs => Some(Action::Release(rng.u32(..))),
            16 | 17 if self.groups => Some(Action::CloseGroup(rng.u8(..GROUPS))),
            18 if self.hooks => {
                let queue = rng.bool().then(|| rng.u8(..2));
                Some(Action::AddHook(rng.u8(..HOOKS), queue, rng.u8(1..8)))
            }
            19.. if self.hooks => Some(Action::RemoveHook(rng.u8(..HOOKS))),
            _ => None,
        }
    }

    /// What some new jobs have besides.
    pub fn extras(&self, rng: &mut Rng) -> Extras {
        if !self.any() {
            return Extras::default();
        }
        Extras {
            priority: rng.i8(-1..=1),
            limits: if self.limits { rng.u8(..1 << LIMITS) } else { 0 },
            key: rng.u8(..2),
            unique: (self.keys && rng.bool()).then(|| (rng.u8(..3), conflict(rng))),
            after: (self.graphs && rng.bool()).then(|| after(rng)),
            chained: self.graphs && rng.u8(..3) == 0,
            hold: self.holds && rng.u8(..8) == 0,
            group: (self.groups && rng.bool()).then(|| rng.u8(..GROUPS)),
            hooks: self.hooks && rng.u8(..3) == 0,
        }
    }

    fn add_schedule(&self, rng: &mut Rng) -> Action {
        let extras = Extras {
            after: None,
            chained: false,
            group: None,
            ..self.extras(rng)
        };
        let planned = Planned::Add(rng.u8(1..8), rng.u8(..5), rng.u8(..3), extras);
        Action::Schedule(rng.u8(..SCHEDULES), planned)
    }

    fn schedule(&self, rng: &mut Rng) -> Action {
        let planned = match rng.u8(..12) {
            0..3 => return self.add_schedule(rng),
            3 | 4 => Planned::Edit(rng.u8(..5), rng.u8(..3)),
            5 => Planned::Remove,
            6 => Planned::Pause,
            7 | 8 => Planned::Resume,
            9 | 10 => Planned::Run,
            _ => Planned::Backfill,
        };
        Action::Schedule(rng.u8(..SCHEDULES), planned)
    }
}

fn set_limit(rng: &mut Rng, which: u8) -> Action {
    // The last one is mostly a rate.
    let is_rate = which + 1 == LIMITS;
    let running = (!is_rate || rng.u8(..3) == 0).then(|| rng.u8(..4));
    let rate = (is_rate || rng.u8(..6) == 0).then(|| rng.u8(..RATES.len() as u8));
    let busy = (rng.u8(..3) == 0).then(|| rng.u16(1..BUSY_MS));
    Action::SetLimit(which, running, rate, busy)
}

fn conflict(rng: &mut Rng) -> Conflict {
    match rng.u8(..8) {
        0 => Conflict::Return,
        1 => Conflict::Reject,
        2..6 => Conflict::Replace,
        _ => Conflict::Debounce(rng.u16(10..2000)),
    }
}

fn after(rng: &mut Rng) -> (u32, Condition, Unmet) {
    let condition = [Condition::Ok, Condition::Ok, Condition::Failed, Condition::Any][rng.usize(..4)];
    let unmet = [Unmet::Cancel, Unmet::Cancel, Unmet::Hold, Unmet::Run][rng.usize(..4)];
    (rng.u32(..), condition, unmet)
}
