//! What is going to happen: a list of actions, made from a seed.
//!
//! Actions name what they are about by numbers that are taken modulo what there is, so that a plan can run on any store
//! and goes on making sense when actions are left out of it. Which faults a plan has at all is drawn first ("swarm
//! testing", Groce et al., 2012): a plan with a few of them goes deeper than one with all.

use fastrand::Rng;
use queuectl_storage::sim::Fault;
use queuectl_worker::sim::End;

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
}

/// Which faults a plan has.
#[derive(Debug, Clone, Copy)]
struct Faults {
    crash: bool,
    pause: bool,
    die: bool,
    jump: bool,
    disk: bool,
    refused: bool,
    reply_lost: bool,
    stop: bool,
}

impl Plan {
    /// The plan of that seed, with this many actions.
    pub fn new(seed: u64, actions: usize) -> Plan {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let mut some = || rng.u8(..3) == 0;
        let faults = Faults {
            crash: some(),
            pause: some(),
            die: some(),
            jump: some(),
            disk: some(),
            refused: some(),
            reply_lost: some(),
            stop: some(),
        };
        let (slots, workers, machines) = (rng.u32(1..=2), rng.u32(1..=2), rng.u32(1..=2));
        let mut list = vec![Action::Start(0), Action::Start(1)];
        if rng.bool() {
            list.push(Action::Start(rng.u32(..)));
        }
        while list.len() < actions {
            let next = if rng.u8(..40) == 0 {
                faults.draw(rng)
            } else {
                Some(ordinary(rng))
            };
            list.extend(next);
        }
        Plan {
            actions: list,
            slots,
            workers,
            machines,
        }
    }
}

fn ordinary(rng: &mut Rng) -> Action {
    match rng.u8(..100) {
        0..4 => Action::Enqueue {
            jobs: rng.u8(1..=3),
            retries: rng.bool().then(|| rng.u8(..3)),
            delay: if rng.u8(..4) == 0 { rng.u32(..20_000) } else { 0 },
            queue: rng.u8(..2),
        },
        4..6 => Action::Cancel(rng.u32(..)),
        6..8 => Action::Retry(rng.u32(..)),
        8..44 => Action::Round(rng.u32(..)),
        44..68 => Action::Read(rng.u32(..)),
        68..86 => Action::Finish(rng.u32(..), rng.u32(..4), end(rng)),
        // Rounds follow each other after milliseconds, or after a while.
        86..98 => Action::Advance(rng.u32(1..40)),
        98 => Action::Advance(rng.u32(100..1500)),
        _ if rng.bool() => Action::Advance(rng.u32(500..1500)),
        _ => Action::Advance(rng.u32(1500..9000)),
    }
}

fn end(rng: &mut Rng) -> End {
    match rng.u8(..20) {
        0..10 => End::Stopped,
        10..12 => End::Succeeded,
        12..16 => End::Failed,
        16 => End::FailedForGood,
        17 => End::TimedOut,
        _ => End::NotRun,
    }
}

impl Faults {
    fn draw(&self, rng: &mut Rng) -> Option<Action> {
        let aimed = rng.u8(..3) > 0;
        match rng.u8(..16) {
            0..2 if self.crash => Some(Action::Crash(rng.u32(..), aimed)),
            2..4 => Some(Action::Start(rng.u32(..))),
            4 if self.pause => Some(Action::Pause(rng.u32(..), aimed)),
            5 if self.pause => Some(Action::Suspend(rng.u32(..3))),
            6..8 if self.pause => Some(Action::Resume),
            8 if self.die => Some(Action::Die(rng.u32(..))),
            9 if self.jump => {
                let far = if rng.bool() { 5_000 } else { 3_600_000 };
                Some(Action::Jump(rng.u32(..), rng.i32(-far..far)))
            }
            10 if self.disk => Some(Action::DiskFull(true)),
            11 if self.disk => Some(Action::DiskFull(false)),
            12 if self.refused => Some(Action::Fault(rng.u8(..3), Fault::Refused)),
            13..15 if self.reply_lost => Some(Action::Fault(rng.u8(..3), Fault::ReplyLost)),
            15 if self.stop => {
                let how = [Stop::Signal, Stop::Gracefully, Stop::Now][rng.usize(..3)];
                Some(Action::Stop(rng.u32(..), how))
            }
            _ => None,
        }
    }
}
