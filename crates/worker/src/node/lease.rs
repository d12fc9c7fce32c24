//! Keeping the lease of a node whose store is on a server.
//!
//! On SQLite a node holds a file lock and there is nothing to keep. On a server it has a lease, by the server's clock,
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
//! One thread renews, over a connection of its own, and another looks at the time: the first may hang in a call to a
//! server that does not answer, and so may the dispatcher. When the server is back the lease is renewed and the node
//! goes on, unless another has taken it over meanwhile: then it ends, and is entered again as a new node.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use queuectl_core::NodeId;
use queuectl_executor::StopReason;
use queuectl_storage::{Location, OpenMode, Store, StoreError};

use super::dispatcher::Dispatcher;
use super::events::Event;
use crate::deadline::Deadline;
use crate::env::{self, Instant};
use crate::protocol::ToWorker;

/// Between two tries to renew that fail.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_MOST: Duration = Duration::from_secs(1);

/// A node's hold on its lease; none is needed on SQLite. Nothing is renewed any more when it is dropped.
pub struct Lease(Option<Arc<Shared>>);

struct Shared {
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
    /// Tells worker processes.
    deadline: Option<Deadline>,
    /// When everything that ran was killed, because the dispatcher did not get round to it.
    swept: Option<Instant>,
    /// Another node has taken this one over.
    lost: bool,
    done: bool,
}

/// How far a lease has gone without renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Held,
    Stop,
    Kill,
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
        if let Some(deadline) = &self.deadline
            && let Err(error) = deadline.set(self.deadline_at())
        {
            tracing::error!(%error, "cannot tell worker processes that the lease was renewed");
        }
    }

    /// By then worker processes have killed their jobs.
    fn deadline_at(&self) -> Instant {
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
}

impl Lease {
    /// Starts keeping the lease of a node that has entered. `entered` is a moment before it did.
    pub fn keep(
        location: &Location,
        node: NodeId,
        cookie: &str,
        length: Duration,
        entered: Instant,
        tell: impl Fn(Event) + Send + Clone + 'static,
    ) -> std::io::Result<Lease> {
        if let Location::Sqlite(_) = location {
            return Ok(Lease(None));
        }
        let file = location.state_dir().join("nodes").join(format!("{node}.lease"));
        let state = State {
            wanted: length,
            granted: length,
            renewed: entered,
            running: false,
            deadline: match cfg!(feature = "sim") {
                true => None,
                false => Some(Deadline::create(file)?),
            },
            swept: None,
            lost: false,
            done: false,
        };
        state.tell_workers();
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            changed: Condvar::new(),
        });
        let lease = Lease(Some(Arc::clone(&shared)));
        let (location, renewing, wake) = (location.clone(), Arc::clone(&shared), tell.clone());
        env::thread("lease", move || renew(&location, node, &renewing, &wake))?;
        let cookie = cookie.to_owned();
        env::thread("lease watch", move || watch(&shared, &cookie, &tell))?;
        Ok(lease)
    }

    /// The file that tells worker processes until when they may run jobs.
    pub fn file(&self) -> Option<PathBuf> {
        let shared = self.0.as_ref()?;
        let state = shared.state();
        state.deadline.as_ref().map(|deadline| deadline.path().to_owned())
    }

    /// Until when worker processes may run jobs, if the node has a lease.
    #[cfg(feature = "sim")]
    pub fn deadline(&self) -> Option<Instant> {
        Some(self.0.as_ref()?.state().deadline_at())
    }

    /// Whether jobs may be claimed and started.
    pub fn is_held(&self) -> bool {
        self.stage() == Stage::Held
    }

    fn stage(&self) -> Stage {
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
        self.0.as_ref().is_some_and(|shared| shared.state().lost)
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

/// Renews until the node is done or lost.
fn renew(location: &Location, node: NodeId, shared: &Shared, tell: &impl Fn(Event)) {
    let mut store: Option<Store> = None;
    let mut renewal = Renewal::new();
    loop {
        let mut state = shared.state();
        while !state.done && Instant::now() < renewal.next {
            state = shared.wait(state, renewal.next);
            renewal.next = renewal.next.min(state.renewed + state.wanted / 6);
        }
        if state.done {
            return;
        }
        let (wanted, asked) = (state.wanted, Instant::now());
        drop(state);
        let renewed = match &mut store {
            Some(store) => store.renew_lease(node, wanted),
            None => Store::open(location, OpenMode::MustExist)
                .and_then(|opened| store.insert(opened).renew_lease(node, wanted)),
        };
        let held = renewal.tried(&mut shared.state(), wanted, asked, renewed);
        shared.changed.notify_all();
        if !held {
            tell(Event::Lease);
            return;
        }
    }
}

/// Looks at the time, and has the dispatcher do what the lease's stage asks for. What the dispatcher did not get round
/// to is done here in the end.
fn watch(shared: &Shared, cookie: &str, tell: &impl Fn(Event)) {
    let mut seen = Stage::Held;
    let mut state = shared.state();
    while !state.done && !state.lost {
        let stage = state.stage(Instant::now());
        if stage != seen {
            seen = stage;
            let sweep = stage == Stage::Sweep && state.running;
            if sweep {
                // Before anybody can notice.
                state.swept = Some(Instant::now());
            }
            drop(state);
            tell(Event::Lease);
            if sweep {
                let killed = env::kill_marked(cookie);
                tracing::error!(
                    processes = killed,
                    "the lease is as good as over; killed what was still running"
                );
            }
            state = shared.state();
            continue;
        }
        let until = stage
            .next()
            .map_or_else(|| Instant::now() + RETRY_MOST, |next| state.at(next));
        state = shared.wait(state, until);
    }
}

/// What the two threads do, step by step.
#[cfg(feature = "sim")]
pub struct Keeper {
    renewal: Renewal,
    seen: Stage,
}

#[cfg(feature = "sim")]
impl Keeper {
    pub fn new() -> Keeper {
        Keeper {
            renewal: Renewal::new(),
            seen: Stage::Held,
        }
    }

    /// Renews the lease if it is time, and looks at the time. Says whether the dispatcher is to be told.
    pub fn step(&mut self, lease: &Lease, store: &mut Store, node: NodeId, cookie: &str) -> bool {
        let Some(shared) = &lease.0 else {
            return false;
        };
        let mut state = shared.state();
        if state.lost {
            return false;
        }
        if self.renewal.next <= Instant::now() {
            let (wanted, asked) = (state.wanted, Instant::now());
            let renewed = store.renew_lease(node, wanted);
            if !self.renewal.tried(&mut state, wanted, asked, renewed) {
                return true;
            }
        }
        let stage = state.stage(Instant::now());
        if stage == Stage::Sweep && state.running {
            env::kill_marked(cookie);
        }
        std::mem::replace(&mut self.seen, stage) != stage
    }
}

impl Dispatcher {
    /// The lease came to another stage. An event may be late, so what counts is how it stands now.
    pub(super) fn lease_changed(&mut self) {
        let kill = match self.lease.stage() {
            Stage::Held => {
                tracing::info!("the lease could be renewed again; going on");
                return;
            }
            Stage::Stop => false,
            Stage::Kill | Stage::Sweep => true,
        };
        self.give_back_unassigned();
        self.recall_all();
        let running = self.claims.running();
        let reason = StopReason::Returned;
        if kill {
            tracing::error!(running, "the lease is nearly over; killing running jobs");
            for (worker, key) in self.claims.all() {
                self.worker_pool.send(worker, &ToWorker::Kill(key, reason));
            }
        } else {
            tracing::error!(
                running,
                "the lease could not be renewed for long; stopping running jobs"
            );
            for (worker, key) in self.claims.stop_all(reason) {
                self.worker_pool.send(worker, &ToWorker::Stop(key, reason));
            }
        }
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
            deadline: None,
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
