//! Faults, and which of them a plan has.

use fastrand::Rng;
use queuectl_storage::sim::Fault;

use super::{Action, Stop};

/// Which faults a plan has.
#[derive(Debug, Clone, Copy)]
pub struct Faults {
    crash: bool,
    pause: bool,
    die: bool,
    jump: bool,
    disk: bool,
    refused: bool,
    reply_lost: bool,
    stop: bool,
    crash_in: bool,
}

impl Faults {
    /// Each with one in three chances.
    pub fn some(rng: &mut Rng) -> Faults {
        let mut some = || rng.u8(..3) == 0;
        Faults {
            crash: some(),
            pause: some(),
            die: some(),
            jump: some(),
            disk: some(),
            refused: some(),
            reply_lost: some(),
            stop: some(),
            crash_in: some(),
        }
    }

    /// One of those that the plan has, or none.
    pub fn draw(&self, rng: &mut Rng) -> Option<Action> {
        let aimed = rng.u8(..3) > 0;
        match rng.u8(..18) {
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
            16.. if self.crash_in => {
                let fault = if rng.bool() {
                    Fault::Refused
                } else {
                    Fault::ReplyLost
                };
                Some(Action::CrashIn(rng.u32(..), rng.u8(..3), fault))
            }
            _ => None,
        }
    }
}
