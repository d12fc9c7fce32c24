//! How urgently a node is stopping. It only ever gets more urgent.

use std::time::Duration;

use crate::world::Instant;

/// The phases of a node's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Claiming and running.
    Working,
    /// Claiming no more; running jobs may finish until the deadline.
    Finishing {
        /// When they are stopped.
        deadline: Instant,
    },
    /// Running jobs were asked to stop and have their kill grace.
    Stopping,
    /// Running jobs were killed.
    Killing,
}

/// What a change of phase asks of the dispatcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Nothing new.
    None,
    /// Give back what was not started.
    GiveBack,
    /// Give back what was not started and ask the rest to stop.
    Stop,
    /// Kill the rest.
    Kill,
}

impl Phase {
    /// Another signal came: finish, then stop, then kill.
    pub fn on_signal(&mut self, grace: Duration) -> Step {
        match self {
            Phase::Working => {
                *self = Phase::Finishing {
                    deadline: Instant::now() + grace,
                };
                Step::GiveBack
            }
            Phase::Finishing { .. } => self.stop(),
            Phase::Stopping | Phase::Killing => {
                *self = Phase::Killing;
                Step::Kill
            }
        }
    }

    /// Running jobs are to stop now.
    pub fn stop(&mut self) -> Step {
        match self {
            Phase::Working | Phase::Finishing { .. } => {
                *self = Phase::Stopping;
                Step::Stop
            }
            Phase::Stopping | Phase::Killing => Step::None,
        }
    }

    /// The node was asked through the store to let running jobs finish.
    pub fn finish(&mut self, grace: Duration) -> Step {
        if *self == Phase::Working {
            self.on_signal(grace)
        } else {
            Step::None
        }
    }

    /// Time has passed.
    pub fn on_time(&mut self) -> Step {
        match self {
            Phase::Finishing { deadline } if Instant::now() >= *deadline => self.stop(),
            _ => Step::None,
        }
    }

    /// When time alone changes something.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Phase::Finishing { deadline } => Some(*deadline),
            _ => None,
        }
    }

    pub fn is_working(&self) -> bool {
        *self == Phase::Working
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_get_more_urgent_and_never_less() {
        let mut phase = Phase::Working;
        let hour = Duration::from_secs(3600);
        assert_eq!(phase.on_signal(hour), Step::GiveBack);
        assert_eq!(phase.finish(hour), Step::None);
        assert_eq!(phase.on_time(), Step::None);
        assert_eq!(phase.on_signal(hour), Step::Stop);
        assert_eq!(phase.stop(), Step::None);
        assert_eq!(phase.on_signal(hour), Step::Kill);
        assert_eq!(phase.on_signal(hour), Step::Kill);
        assert_eq!(phase.finish(hour), Step::None);
        assert_eq!(phase, Phase::Killing);
    }

    #[test]
    fn the_grace_ends_by_itself() {
        let mut phase = Phase::Working;
        phase.finish(Duration::ZERO);
        assert_eq!(phase.on_time(), Step::Stop);
        assert_eq!(phase, Phase::Stopping);
    }
}
