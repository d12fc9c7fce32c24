//! Ends this process when a plugin does not return from a call.
//!
//! A worker process has one thread that calls plugins, so a plugin that hangs would hold every job of it for ever. When
//! the process ends, the node starts another and records what ran as crashed. Jobs of other processes go on.
//!
//! One thread looks now and then whether the call under way is too old: so the calls themselves, several for each job,
//! cost next to nothing for being watched.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::os;

/// How long a call into a plugin may take, loading it included.
pub const CALL_LIMIT: Duration = Duration::from_secs(30);
/// The status with which a worker process ends because of a plugin that hangs.
pub const HANGING_STATUS: u8 = 71;
/// Looks per limit: a call that hangs is found at most a quarter later than it might be.
const LOOKS: u32 = 4;

/// What a thread is calling, if it is.
#[derive(Debug, Default)]
pub(crate) struct Watchdog {
    call: Mutex<Option<Call>>,
}

#[derive(Debug, Clone)]
struct Call {
    since: Instant,
    whom: Arc<str>,
    what: &'static str,
}

/// A call under way. Over when dropped.
pub(super) struct Watched<'a>(&'a Watchdog);

impl Watchdog {
    /// Starts watching, until the watchdog is dropped.
    pub(super) fn start(limit: Duration) -> Arc<Watchdog> {
        let watchdog = Arc::<Watchdog>::default();
        let weak = Arc::downgrade(&watchdog);
        let thread = std::thread::Builder::new().name("watchdog".to_owned());
        if let Err(error) = thread.spawn(move || watch(&weak, limit)) {
            tracing::warn!("calls into plugins are not watched: {error}");
        }
        watchdog
    }

    /// The thread calls a plugin. `what` it does is said in case of need.
    pub(super) fn enter(&self, whom: &Arc<str>, what: &'static str) -> Watched<'_> {
        *self.call() = Some(Call {
            since: Instant::now(),
            whom: Arc::clone(whom),
            what,
        });
        Watched(self)
    }

    fn call(&self) -> MutexGuard<'_, Option<Call>> {
        self.call.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        *self.0.call() = None;
    }
}

fn watch(watchdog: &Weak<Watchdog>, limit: Duration) {
    loop {
        std::thread::sleep(limit / LOOKS);
        let Some(watchdog) = watchdog.upgrade() else {
            return;
        };
        let call = watchdog.call().clone();
        if let Some(Call { whom, what, .. }) = call.filter(|call| call.since.elapsed() >= limit) {
            let seconds = limit.as_secs_f32();
            tracing::error!(
                "the plugin {whom} hangs: it did not return from {what} within {seconds} s; this worker process ends, and \
                 its jobs count as crashed"
            );
            os::exit_at_once(HANGING_STATUS);
        }
    }
}
