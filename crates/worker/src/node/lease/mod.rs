//! The lease of a node whose store is on a server: how long it is held, and what is due when it cannot be renewed.
//!
//! On SQLite a node holds a file lock and there is nothing to renew. On a server it has a lease, by the server's clock,
//! and other nodes take its jobs over when that is over. So a node that cannot renew it must have stopped its jobs
//! before. It goes by its own monotonic clock for that, from the moment when it *asked* for the last renewal, which is
//! before the server began to count:
//!
//! | after so much of the lease without renewal | what happens |
//! |---|---|
//! | 1/6 | it is renewed; a try that fails is repeated after a tenth of a second, and then ever later up to a second |
//! | 2/3 | nothing is claimed or started any more; running jobs are asked to stop |
//! | 5/6 | they are killed |
//! | 11/12 | if the dispatcher did not get round to it, whatever carries the node's mark is killed |
//! | 23/24 | worker processes kill their jobs and end, for the whole dispatcher may be stopped; see [`crate::deadline`] |
//!
//! Here is the state that the dispatcher and the lease's threads share. The threads are in [`keeper`]; the simulator takes
//! their steps one by one.

pub mod keeper;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use queuectl_storage::StoreError;

use crate::env::Instant;

/// Between two tries to renew that fail.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(1);

/// How long the server keeps a connection of a node that asks nothing, by the lease. The dispatcher asks every second, and the
/// lease is renewed six times in its length.
pub fn longest_silence(lease: Duration) -> Duration {
    lease * 2
}

/// A node's hold on its lease; none is needed on SQLite. Nothing is renewed any more when it is dropped.
pub struct Lease(Option<Arc<Shared>>);

/// What the dispatcher shares with those who renew and watch.
pub struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// How long the lease is to be from the next renewal on.
    wanted: Duration,
    /// How long it is, from the moment when the last renewal that succeeded was asked for.
    granted: Duration,
    renewed: Instant,
    /// Whether the dispatcher has anything running.
    running: bool,
    /// Tells worker processes until when they may run jobs.
    tell: Box<dyn Fn(Instant) -> io::Result<()> + Send>,
    /// When everything that ran was killed, because the dispatcher did not get round to it.
    swept: Option<Instant>,
    /// Another node has taken this one over.
    lost: bool,
    done: bool,
}

/// How far a lease has gone without renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Jobs may be claimed and started.
    Held,
    /// Running jobs are to stop.
    Stop,
    /// They are to be killed.
    Kill,
    /// They are killed without the dispatcher.
    Sweep,
}

impl Stage {
    /// How much of a lease has passed when the stage begins, in twelfths.
    fn begins(self) -> u32 {
        match self {
            Stage::Held => 0,
            Stage::Stop => 8,
            Stage::Kill => 10,
            Stage::Sweep => 11,
        }
    }

    fn next(self) -> Option<Stage> {
        match self {
            Stage::Held => Some(Stage::Stop),
            Stage::Stop => Some(Stage::Kill),
            Stage::Kill => Some(Stage::Sweep),
            Stage::Sweep => None,
        }
    }
}

impl State {
    /// Tells worker processes until when they may run jobs.
    fn tell_workers(&self) {
        if let Err(error) = (self.tell)(self.deadline()) {
            tracing::error!(%error, "cannot tell worker processes that the lease was renewed");
        }
    }

    /// By then worker processes have killed their jobs.
    fn deadline(&self) -> Instant {
        self.renewed + self.granted / 24 * 23
    }

    fn at(&self, stage: Stage) -> Instant {
        self.renewed + self.granted / 12 * stage.begins()
    }

    fn stage(&self, now: Instant) -> Stage {
        let mut stage = Stage::Held;
        while let Some(next) = stage.next().filter(|next| self.at(*next) <= now) {
            stage = next;
        }
        stage
    }
}

/// What a look at the time found.
pub struct Watched {
    /// The dispatcher is to be told that the stage changed.
    pub changed: bool,
    /// Everything that carries the node's mark is to be killed.
    pub sweep: bool,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until that moment or until something changed.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, until: Instant) -> MutexGuard<'a, State> {
        let wait = until.saturating_duration_since(Instant::now());
        let waited = self.changed.wait_timeout(state, wait);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    /// Renews the lease with `renew`, which takes the length and says whether the node still has it. False once it is
    /// lost.
    pub fn renew(
        &self,
        renewal: &mut Renewal,
        renew: impl FnOnce(Duration) -> Result<bool, StoreError>,
    ) -> bool {
        let (wanted, asked) = (self.state().wanted, Instant::now());
        // Without the lock: the server may not answer.
        let renewed = renew(wanted);
        let held = renewal.tried(&mut self.state(), wanted, asked, renewed);
        self.changed.notify_all();
        held
    }

    /// Looks at the time. `seen` is the stage of the look before.
    pub fn watch(&self, seen: &mut Stage) -> Watched {
        let mut state = self.state();
        let stage = state.stage(Instant::now());
        let changed = std::mem::replace(seen, stage) != stage;
        let sweep = changed && stage == Stage::Sweep && state.running;
        if sweep {
            // Before anybody can notice.
            state.swept = Some(Instant::now());
        }
        Watched { changed, sweep }
    }

    /// Whether another node has taken this one over.
    pub fn is_lost(&self) -> bool {
        self.state().lost
    }
}

impl Lease {
    /// Of a node that needs none.
    pub fn not_needed() -> Lease {
        Lease(None)
    }

    /// Of a node that entered after the moment `entered`, with a lease of that length. `tell` tells worker processes until
    /// when they may run jobs.
    pub fn held(
        length: Duration,
        entered: Instant,
        tell: impl Fn(Instant) -> io::Result<()> + Send + 'static,
    ) -> Lease {
        let state = State {
            wanted: length,
            granted: length,
            renewed: entered,
            running: false,
            tell: Box::new(tell),
            swept: None,
            lost: false,
            done: false,
        };
        state.tell_workers();
        Lease(Some(Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        })))
    }

    /// What those share who renew and watch, if there is anything to renew.
    pub fn shared(&self) -> Option<&Arc<Shared>> {
        self.0.as_ref()
    }

    /// Whether jobs may be claimed and started.
    pub fn is_held(&self) -> bool {
        self.stage() == Stage::Held
    }

    /// How it stands now.
    pub fn stage(&self) -> Stage {
        match &self.0 {
            None => Stage::Held,
            Some(shared) => match shared.state() {
                state if state.lost => Stage::Sweep,
                state => state.stage(Instant::now()),
            },
        }
    }

    /// Whether another node has taken this one over.
    pub fn is_lost(&self) -> bool {
        self.0.as_ref().is_some_and(|shared| shared.is_lost())
    }

    /// From the next renewal on it lasts that long.
    pub fn set_length(&self, length: Duration) {
        if let Some(shared) = &self.0 {
            shared.state().wanted = length;
            shared.changed.notify_all();
        }
    }

    /// Whether a process that was started then was killed because of the lease.
    pub fn has_killed(&self, started_at: Instant) -> bool {
        let shared = self.0.as_ref();
        shared.is_some_and(|shared| shared.state().swept.is_some_and(|at| started_at < at))
    }

    /// Whether anything runs that would have to be stopped.
    pub fn set_running(&self, running: bool) {
        if let Some(shared) = &self.0 {
            shared.state().running = running;
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(shared) = &self.0 {
            shared.state().done = true;
            shared.changed.notify_all();
        }
    }
}

/// When the lease is renewed next, and how long to wait after a try that failed.
pub struct Renewal {
    next: Instant,
    retry: Duration,
}

impl Renewal {
    /// At once.
    pub fn new() -> Renewal {
        Renewal {
            next: Instant::now(),
            retry: RETRY_FIRST,
        }
    }

    /// Whether it is time to renew.
    pub fn is_due(&self) -> bool {
        self.next <= Instant::now()
    }

    /// Takes note of a try, and when it was asked for. False if the lease is lost.
    fn tried(
        &mut self,
        state: &mut State,
        wanted: Duration,
        asked: Instant,
        renewed: Result<bool, StoreError>,
    ) -> bool {
        match renewed {
            Ok(true) => {
                (state.renewed, state.granted) = (asked, wanted);
                state.tell_workers();
                self.next = asked + wanted / 6;
                self.retry = RETRY_FIRST;
            }
            Ok(false) => state.lost = true,
            Err(error) => {
                tracing::debug!("the lease could not be renewed: {error}");
                self.next = Instant::now() + self.retry;
                self.retry = (self.retry * 2).min(RETRY_MOST);
            }
        }
        !state.lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_follow_from_the_time_since_the_last_renewal() {
        let renewed = Instant::now();
        let mut state = State {
            wanted: Duration::from_secs(12),
            granted: Duration::from_secs(12),
            renewed,
            running: false,
            tell: Box::new(|_| Ok(())),
            swept: None,
            lost: false,
            done: false,
        };
        let after = |state: &State, ms| state.stage(renewed + Duration::from_millis(ms));
        for (ms, stage) in [
            (0, Stage::Held),
            (7_999, Stage::Held),
            (8_000, Stage::Stop),
            (10_000, Stage::Kill),
            (11_000, Stage::Sweep),
            (99_000, Stage::Sweep),
        ] {
            assert_eq!(after(&state, ms), stage, "{ms}");
        }
        // What was granted counts, also if the next is to be longer.
        state.wanted = Duration::from_secs(3600);
        assert_eq!(after(&state, 8_000), Stage::Stop);
    }
}
