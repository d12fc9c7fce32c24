//! Ends this process when a plugin does not return from being loaded.
//!
//! A worker process has one thread that calls plugins, so a plugin that hangs would hold every job of it for ever. When
//! the process ends, the node starts another and records what ran as crashed. Jobs of other processes go on.

use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::os;

/// How long loading a plugin and making an instance may take.
pub const LOAD_LIMIT: Duration = Duration::from_secs(30);
/// The status with which a worker process ends because of a plugin that hangs while it is loaded.
pub const HANGING_STATUS: u8 = 71;

/// Watches until it is dropped.
pub(super) struct Watchdog {
    _watching: Option<Sender<()>>,
}

impl Watchdog {
    /// Ends the process unless dropped within `limit`.
    pub(super) fn start(file: &Path, limit: Duration) -> Watchdog {
        let (watching, dropped) = channel::<()>();
        let file = file.display().to_string();
        let watch = move || {
            if dropped.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                let seconds = limit.as_secs_f32();
                tracing::error!(
                    "the plugin {file} hangs: it did not return from being loaded within {seconds} s; this worker process \
                     ends, and its jobs count as crashed"
                );
                os::exit_at_once(HANGING_STATUS);
            }
        };
        let thread = std::thread::Builder::new()
            .name("watchdog".to_owned())
            .spawn(watch);
        if let Err(error) = &thread {
            tracing::warn!("loading a plugin is not watched: {error}");
        }
        Watchdog {
            _watching: thread.is_ok().then_some(watching),
        }
    }
}
