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
//! [`crate::final_message`].

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use queuectl_core::show_short;

use super::state_guard::StateGuard;
use crate::final_message::{FinalMessage, start_thread};
use crate::process_state::BlockedSignals;
use crate::shared::Shared;
use crate::{CallRecord, Report};

/// How long a call into a plugin may take, loading it included.
pub const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The status with which a worker process ends because of a plugin that hangs.
pub const HANGING_STATUS: u8 = 71;
/// Polls per limit, so that a hang is detected within 1.25 times the limit.
const LOOKS: u32 = 4;

/// What a thread is calling, if it is.
#[derive(Default)]
pub(crate) struct Watchdog {
    call: Mutex<Option<Call>>,
    /// None where the process runs no jobs.
    guard: Option<StateGuard>,
    /// For the node, should this process crash.
    record: Option<CallRecord>,
    /// The run for which calls that name no run are made; 0 for none.
    current_run: AtomicU64,
}

#[derive(Debug, Clone)]
struct Call {
    since: Instant,
    plugin: Arc<str>,
    what: &'static str,
    run: u64,
}

/// A call under way. Over when dropped.
pub(super) struct WatchedCall<'a> {
    watchdog: &'a Watchdog,
    signals: Option<BlockedSignals>,
}

impl Watchdog {
    /// Starts watching, until the watchdog is dropped.
    pub(super) fn start(limit: Duration, record: Option<CallRecord>, shared: Arc<Shared>) -> Arc<Watchdog> {
        let watchdog = Arc::new(Watchdog {
            guard: Some(StateGuard::new(Arc::clone(&shared))),
            record,
            ..Watchdog::default()
        });
        let weak = Arc::downgrade(&watchdog);
        let runs = Arc::clone(&shared);
        let started = FinalMessage::prepare(HANGING_STATUS, move |report| shared.report(report))
            .and_then(|end| start_thread("watchdog", move || watch(&weak, limit, &runs, end)));
        if let Err(error) = started {
            tracing::warn!("calls into plugins are not watched: {error}");
        }
        watchdog
    }

    /// The calls that follow are made for that run; 0: for none.
    pub(crate) fn set_current_run(&self, run: u64) {
        self.current_run.store(run, Ordering::Relaxed);
    }

    /// The thread calls a plugin, for a run if it is not 0. `what` it does is said in case of need.
    pub(super) fn enter(&self, plugin: &Arc<str>, what: &'static str, run: u64) -> WatchedCall<'_> {
        if let Some(guard) = &self.guard {
            guard.before(plugin);
        }
        *self.call() = Some(Call {
            since: Instant::now(),
            plugin: Arc::clone(plugin),
            what,
            run: if run == 0 {
                self.current_run.load(Ordering::Relaxed)
            } else {
                run
            },
        });
        if let Some(record) = &self.record {
            record.enter(plugin, what);
        }
        WatchedCall {
            watchdog: self,
            signals: Some(BlockedSignals::block()),
        }
    }

    fn call(&self) -> MutexGuard<'_, Option<Call>> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for WatchedCall<'_> {
    fn drop(&mut self) {
        let signals = self.signals.take().is_none_or(BlockedSignals::restore);
        let call = self.watchdog.call().take();
        if let Some(record) = &self.watchdog.record {
            record.leave();
        }
        if let (Some(guard), Some(call)) = (&self.watchdog.guard, call) {
            guard.after(&call.plugin, call.what, signals, call.run);
        }
    }
}

fn watch(watchdog: &Weak<Watchdog>, limit: Duration, runs: &Shared, end: FinalMessage<Report>) {
    loop {
        std::thread::sleep(limit / LOOKS);
        let Some(watchdog) = watchdog.upgrade() else {
            return;
        };
        let call = watchdog.call().clone();
        if let Some(call) = call.filter(|call| call.since.elapsed() >= limit) {
            let (plugin, what, limit) = (call.plugin, call.what, show_short(limit));
            end.send_and_exit(Report::Ending {
                reason: format!("the plugin {plugin} hangs: it did not return from {what} within {limit}"),
                culprit: runs.key_of(call.run),
            });
        }
    }
}
