//! What is going to happen: a list of actions, made from a seed.
//!
//! Actions name what they are about by numbers that are taken modulo what there is, so that a plan can run on any store
//! and goes on making sense when actions are left out of it. Which faults a plan has at all is drawn first ("swarm
//! testing", Groce et al., 2012): a plan with a few of them goes deeper than one with all.

mod faults;
mod mechanisms;

use fastrand::Rng;
use queuectl_core::{Condition, Unmet};
use queuectl_storage::sim::Fault;
use queuectl_worker::sim::End;

use self::faults::Faults;
pub use self::mechanisms::{BUSY, BUSY_MS, GROUPS, HOOKS, LIMITS, Mechanisms, RATES};

/// Actions between two looks, in plans that are new.
const LOOK_EVERY: u32 = 64;

/// Something that happens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Action {
    /// A client stores some jobs, with a number of retries and a delay.
    Enqueue {
        /// How many, from 1.
        jobs: u8,
        /// Their own maximum, if they have one.
        retries: Option<u8>,
        /// When they are due, in ms from now.
        delay: u32,
        /// Their queue.
        queue: u8,
        /// What else they have.
        extras: Extras,
    },
    /// A client cancels a job.
    Cancel(u32),
    /// A client retries a job.
    Retry(u32),
    /// A dispatcher goes through its loop once.
    Round(u32),
    /// A worker process reads what it was sent.
    Read(u32),
    /// A job of a worker process ends.
    Finish(u32, u32, End),
    /// A worker process is killed.
    Die(u32),
    /// The dispatcher that has most jobs is killed, or any.
    Crash(u32, bool),
    /// The dispatcher that has most jobs is suspended, or any.
    Pause(u32, bool),
    /// No process is suspended any more.
    Resume,
    /// A machine with all that is on it stands still; none if it is none of the numbers.
    Suspend(u32),
    /// A node is started.
    Start(u32),
    /// A node is told to stop, by a signal or through the store.
    Stop(u32, Stop),
    /// Time passes, in ms.
    Advance(u32),
    /// The wall clock of a machine jumps, by this many ms.
    Jump(u32, i32),
    /// The disk gets full, or has room again.
    DiskFull(bool),
    /// One of the next transactions meets a fault.
    Fault(u8, Fault),
    /// A dispatcher is killed in the middle of its loop: one of the next transactions is its last, and is stored or not.
    CrashIn(u32, u8, Fault),
    /// A job is cancelled, retried or purged that others wait for.
    Parent(u32, Deed),
    /// A job is held back.
    Hold(u32),
    /// A held job is let go.
    Release(u32),
    /// A limit is set: most at a time, one of some rates, and for how many ms a key waits that is found busy. With none of
    /// them it is removed.
    SetLimit(u8, Option<u8>, Option<u8>, Option<u16>),
    /// A queue is paused, for this many ms or until it is resumed.
    PauseQueue(u8, Option<u32>),
    /// A queue is resumed.
    ResumeQueue(u8),
    /// Something is done to a schedule.
    Schedule(u8, Planned),
    /// A hook is added, of a queue or of all, for what a mask of [`HookOns`](queuectl_core::HookOns) says.
    AddHook(u8, Option<u8>, u8),
    /// A hook is removed.
    RemoveHook(u8),
    /// A group is closed; jobs that name it go to a new one from then on.
    CloseGroup(u8),
}

/// What a job has that others do not.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Extras {
    /// Its priority.
    pub priority: i8,
    /// The limits that it counts for, a bit each.
    pub limits: u8,
    /// Its key, for limits that count by key.
    pub key: u8,
    /// Its unique key, and what becomes of it if another has that.
    pub unique: Option<(u8, Conflict)>,
    /// A job that it waits for, and how.
    pub after: Option<(u32, Condition, Unmet)>,
    /// Each of the jobs that are stored together waits for the one before.
    pub chained: bool,
    /// It is held.
    pub hold: bool,
    /// The group that it is a member of.
    pub group: Option<u8>,
    /// It has hooks for all that can happen.
    pub hooks: bool,
}

/// What becomes of a job whose unique key is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conflict {
    /// The other counts.
    Return,
    /// It is refused.
    Reject,
    /// It takes the place of the other.
    Replace,
    /// It puts the other off by this many ms.
    Debounce(u16),
}

/// What is done to a job that others wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It is cancelled.
    Cancel,
    /// It is retried.
    Retry,
    /// It is removed.
    Purge,
}

/// What is done to a schedule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Planned {
    /// It is made: every this number of seconds, with these policies for overlap and for missed ticks, and these jobs.
    Add(u8, u8, u8, Extras),
    /// Its policies change.
    Edit(u8, u8),
    /// It is removed.
    Remove,
    /// It is paused.
    Pause,
    /// It goes on.
    Resume,
    /// A job of it is made now.
    Run,
    /// Jobs are made for the ticks of the last minute that had none.
    Backfill,
}

/// How a node is told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// By a signal.
    Signal,
    /// Through the store, letting jobs finish.
    Gracefully,
    /// Through the store, at once.
    Now,
}

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What happens.
    pub actions: Vec<Action>,
    /// Jobs that a worker process runs at a time.
    pub slots: u32,
    /// Worker processes of a node.
    pub workers: u32,
    /// Machines; SQLite has one.
    pub machines: u32,
    /// What is used besides plain jobs.
    pub mechanisms: Mechanisms,
    /// Actions between two looks at what must hold in between. A plan that is shrunk is looked at after each, so that leaving
    /// one out does not move the looks.
    pub look_every: u32,
}

impl Plan {
    /// The plan of that seed, with this many actions.
    pub fn new(seed: u64, actions: usize) -> Plan {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let faults = Faults::some(rng);
        let (slots, workers, machines) = (rng.u32(1..=2), rng.u32(1..=2), rng.u32(1..=2));
        let mut list = vec![Action::Start(0), Action::Start(1)];
        if rng.bool() {
            list.push(Action::Start(rng.u32(..)));
        }
        let mechanisms = Mechanisms::some(rng);
        list.extend(mechanisms.first(rng));
        while list.len() < actions {
            let next = match rng.u8(..40) {
                0 => faults.draw(rng),
                1 | 2 if mechanisms.any() => mechanisms.draw(rng),
                _ => Some(ordinary(rng, &mechanisms)),
            };
            list.extend(next);
        }
        Plan {
            actions: list,
            slots,
            workers,
            machines,
            mechanisms,
            look_every: LOOK_EVERY,
        }
    }
}

fn ordinary(rng: &mut Rng, mechanisms: &Mechanisms) -> Action {
    match rng.u8(..100) {
        0..4 => Action::Enqueue {
            jobs: rng.u8(1..=3),
            retries: rng.bool().then(|| rng.u8(..3)),
            delay: if rng.u8(..4) == 0 { rng.u32(..20_000) } else { 0 },
            queue: rng.u8(..2),
            extras: mechanisms.extras(rng),
        },
        4..6 => Action::Cancel(rng.u32(..)),
        6..8 => Action::Retry(rng.u32(..)),
        8..44 => Action::Round(rng.u32(..)),
        44..68 => Action::Read(rng.u32(..)),
        68..86 => Action::Finish(rng.u32(..), rng.u32(..4), end(rng, mechanisms)),
        // Rounds follow each other after milliseconds, or after a while.
        86..98 => Action::Advance(rng.u32(1..40)),
        98 => Action::Advance(rng.u32(100..1500)),
        _ if rng.bool() => Action::Advance(rng.u32(500..1500)),
        _ => Action::Advance(rng.u32(1500..9000)),
    }
}

fn end(rng: &mut Rng, mechanisms: &Mechanisms) -> End {
    // Without limits it is a failure like any other, or one with a wait of its own.
    if mechanisms.limits && rng.u8(..6) == 0 {
        return if rng.u8(..3) > 0 {
            End::Exited(BUSY)
        } else {
            End::SaysBusy(rng.u16(1..BUSY_MS))
        };
    }
    match rng.u8(..20) {
        0..10 => End::Stopped,
        10..12 => End::Succeeded,
        12..16 => End::Failed,
        16 => End::FailedForGood,
        17 => End::TimedOut,
        _ => End::NotRun,
    }
}
