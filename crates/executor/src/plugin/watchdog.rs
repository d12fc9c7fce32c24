//! Ends this process when a plugin does not return from a call.
//!
//! A worker process has one thread that calls plugins, so a plugin that hangs would hold every job of it for ever. The
//! process tells its node which plugin hangs, in what, and for which run, and ends; the node starts another. Only that run
//! counts as crashed. Jobs of other processes go on.
//!
//! One thread looks now and then whether the call under way is too old: so the calls themselves, several for each job,
//! cost next to nothing for being watched.
//!
//! A call may hang anywhere, also inside the dynamic loader while a library's constructors run; see
//! [`crate::last_words`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::guard::Guard;
use crate::Report;
use crate::last_words::{LastWords, start_thread};
use crate::os::HeldSignals;
use crate::supervisor::Shared;

/// How long a call into a plugin may take, loading it included.
pub const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The status with which a worker process ends because of a plugin that hangs.
pub const HANGING_STATUS: u8 = 71;
/// Looks per limit: a call that hangs is found at most a quarter later than it might be.
const LOOKS: u32 = 4;

/// What a thread is calling, if it is.
#[derive(Default)]
pub(crate) struct Watchdog {
    call: Mutex<Option<Call>>,
    /// None where the process runs no jobs.
    guard: Option<Guard>,
    /// The run on whose behalf calls are made that name none; 0 if there is none.
    behalf: AtomicU64,
}

#[derive(Debug, Clone)]
struct Call {
    since: Instant,
    whom: Arc<str>,
    what: &'static str,
    run: u64,
}

/// A call under way. Over when dropped.
pub(super) struct Watched<'a> {
    watchdog: &'a Watchdog,
    signals: Option<HeldSignals>,
}

impl Watchdog {
    /// Starts watching, until the watchdog is dropped.
    pub(super) fn start(limit: Duration, shared: Arc<Shared>) -> Arc<Watchdog> {
        let watchdog = Arc::new(Watchdog {
            guard: Some(Guard::new(Arc::clone(&shared))),
            ..Watchdog::default()
        });
        let weak = Arc::downgrade(&watchdog);
        let runs = Arc::clone(&shared);
        let started = LastWords::prepare(HANGING_STATUS, move |report| shared.report(report))
            .and_then(|end| start_thread("watchdog", move || watch(&weak, limit, &runs, end)));
        if let Err(error) = started {
            tracing::warn!("calls into plugins are not watched: {error}");
        }
        watchdog
    }

    /// The calls that follow are made for that run; 0: for none.
    pub(crate) fn on_behalf_of(&self, run: u64) {
        self.behalf.store(run, Ordering::Relaxed);
    }

    /// The thread calls a plugin, for a run if it is not 0. `what` it does is said in case of need.
    pub(super) fn enter(&self, whom: &Arc<str>, what: &'static str, run: u64) -> Watched<'_> {
        if let Some(guard) = &self.guard {
            guard.before(whom);
        }
        *self.call() = Some(Call {
            since: Instant::now(),
            whom: Arc::clone(whom),
            what,
            run: if run == 0 {
                self.behalf.load(Ordering::Relaxed)
            } else {
                run
            },
        });
        Watched {
            watchdog: self,
            signals: Some(HeldSignals::hold()),
        }
    }

    fn call(&self) -> MutexGuard<'_, Option<Call>> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let signals = self.signals.take().is_none_or(HeldSignals::release);
        let call = self.watchdog.call().take();
        if let (Some(guard), Some(call)) = (&self.watchdog.guard, call) {
            guard.after(&call.whom, call.what, signals, call.run);
        }
    }
}

fn watch(watchdog: &Weak<Watchdog>, limit: Duration, runs: &Shared, end: LastWords<Report>) {
    loop {
        std::thread::sleep(limit / LOOKS);
        let Some(watchdog) = watchdog.upgrade() else {
            return;
        };
        let call = watchdog.call().clone();
        if let Some(call) = call.filter(|call| call.since.elapsed() >= limit) {
            let (whom, what, seconds) = (call.whom, call.what, limit.as_secs_f32());
            end.say(Report::Ending {
                reason: format!("the plugin {whom} hangs: it did not return from {what} within {seconds} s"),
                culprit: runs.key_of(call.run),
            });
        }
    }
}
