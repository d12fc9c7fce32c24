//! How urgently a node is stopping. It only ever gets more urgent.

use std::time::Duration;

use crate::env::Instant;

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
    Stopping {
        /// When they are killed, because a worker process does not do so by itself.
        deadline: Instant,
    },
    /// Running jobs were killed.
    Killing {
        /// When their worker processes are, which do not even say so.
        deadline: Instant,
    },
}

/// How long a worker process may be silent beyond what its jobs need. One that is stopped, or hangs, says nothing.
const SILENCE: Duration = Duration::from_secs(15);

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
    /// Kill the worker processes that still have jobs.
    KillWorkers,
}

impl Phase {
    /// Another signal came: finish, then stop, then kill.
    pub fn on_signal(&mut self, grace: Duration, kill_grace: Duration) -> Step {
        match self {
            Phase::Working => {
                *self = Phase::Finishing {
                    deadline: Instant::now() + grace,
                };
                Step::GiveBack
            }
            Phase::Finishing { .. } => self.stop(kill_grace),
            Phase::Stopping { .. } => self.kill(),
            Phase::Killing { .. } => Step::Kill,
        }
    }

    fn kill(&mut self) -> Step {
        *self = Phase::Killing {
            deadline: Instant::now() + SILENCE,
        };
        Step::Kill
    }

    /// Running jobs are to stop now.
    pub fn stop(&mut self, kill_grace: Duration) -> Step {
        match self {
            Phase::Working | Phase::Finishing { .. } => {
                *self = Phase::Stopping {
                    deadline: Instant::now() + kill_grace + SILENCE,
                };
                Step::Stop
            }
            Phase::Stopping { .. } | Phase::Killing { .. } => Step::None,
        }
    }

    /// The node was asked through the store to let running jobs finish.
    pub fn finish(&mut self, grace: Duration) -> Step {
        if *self == Phase::Working {
            self.on_signal(grace, Duration::ZERO)
        } else {
            Step::None
        }
    }

    /// Time has passed.
    pub fn on_time(&mut self, kill_grace: Duration) -> Step {
        if self.deadline().is_none_or(|deadline| Instant::now() < deadline) {
            return Step::None;
        }
        match self {
            Phase::Working => Step::None,
            Phase::Finishing { .. } => self.stop(kill_grace),
            Phase::Stopping { .. } => self.kill(),
            Phase::Killing { deadline } => {
                *deadline = Instant::now() + SILENCE;
                Step::KillWorkers
            }
        }
    }

    /// When time alone changes something.
    pub fn deadline(&self) -> Option<Instant> {
        match self {
            Phase::Working => None,
            Phase::Finishing { deadline } | Phase::Stopping { deadline } | Phase::Killing { deadline } => {
                Some(*deadline)
            }
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
        assert_eq!(phase.on_signal(hour, hour), Step::GiveBack);
        assert_eq!(phase.finish(hour), Step::None);
        assert_eq!(phase.on_time(hour), Step::None);
        assert_eq!(phase.on_signal(hour, hour), Step::Stop);
        assert_eq!(phase.stop(hour), Step::None);
        assert_eq!(phase.on_time(hour), Step::None);
        assert_eq!(phase.on_signal(hour, hour), Step::Kill);
        assert_eq!(phase.on_signal(hour, hour), Step::Kill);
        assert_eq!(phase.finish(hour), Step::None);
        assert_eq!(phase.on_time(hour), Step::None);
        assert!(matches!(phase, Phase::Killing { .. }));
    }

    #[test]
    fn the_grace_ends_by_itself() {
        let mut phase = Phase::Working;
        phase.finish(Duration::ZERO);
        assert_eq!(phase.on_time(Duration::ZERO), Step::Stop);
        assert!(matches!(phase, Phase::Stopping { .. }));
    }

    #[test]
    fn whoever_stays_silent_is_killed_in_the_end() {
        let deadline = Instant::now();
        let mut phase = Phase::Stopping { deadline };
        assert_eq!(phase.on_time(Duration::ZERO), Step::Kill);
        assert_eq!(phase.on_time(Duration::ZERO), Step::None, "it has time for that");
        phase = Phase::Killing { deadline };
        assert_eq!(phase.on_time(Duration::ZERO), Step::KillWorkers);
        assert_eq!(phase.on_time(Duration::ZERO), Step::None);
    }
}
