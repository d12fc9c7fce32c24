//! Progress of long work, on standard error, if that is a terminal. It is gone when the work is done.
//!
//! What takes less than half a second has no bar. Notes and errors are printed above it. Standard output is not looked after:
//! who prints there while a bar is shown prints nothing to the same terminal.

use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use queuectl_core::show_rough;

/// Time after which work has a bar.
const PATIENCE: Duration = Duration::from_millis(500);
/// Time between two frames of work that cannot say how far it is.
const FRAME: Duration = Duration::from_millis(200);

/// Whether no progress is shown whatever standard error is.
static IS_HIDDEN: AtomicBool = AtomicBool::new(false);
/// The bar that is shown.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Shows no progress from now on.
pub fn hide() {
    IS_HIDDEN.store(true, Ordering::Relaxed);
}

/// Writes something to standard error while no bar is in the way.
pub fn above<T>(write: impl FnOnce() -> T) -> T {
    let shown = SHOWN.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match shown {
        Some(bar) => bar.suspend(write),
        None => write(),
    }
}

/// How far some work is.
pub struct Progress {
    what: &'static str,
    total: Option<u64>,
    /// The number is a percentage that somebody else measures, so there is no rate.
    is_percentage: bool,
    started: Instant,
    patience: Duration,
    bar: Option<ProgressBar>,
    is_shown: bool,
}

impl Progress {
    /// Returns the progress of work on that many things, if that is known.
    pub fn new(what: &'static str, total: Option<u64>) -> Progress {
        let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let is_shown = !IS_HIDDEN.load(Ordering::Relaxed) && !is_dumb && io::stderr().is_terminal();
        Progress {
            what,
            total,
            is_percentage: false,
            started: Instant::now(),
            patience: PATIENCE,
            bar: None,
            is_shown,
        }
    }

    /// Shows it with the first number and not only when some time has passed.
    #[must_use]
    pub fn at_once(mut self) -> Progress {
        self.patience = Duration::ZERO;
        self
    }

    /// The progress of work of which others say how far it is, shown at once.
    pub fn in_percent(what: &'static str) -> Progress {
        let mut progress = Progress::new(what, Some(100)).at_once();
        progress.is_percentage = true;
        progress
    }

    /// The progress of work that cannot say how far it is: only for how long it has lasted.
    pub fn of_unknown(what: &'static str) -> Progress {
        let mut progress = Progress::new(what, None);
        if progress.is_shown {
            let bar = progress.show(style("{msg} for {time}"));
            bar.enable_steady_tick(FRAME);
        }
        progress
    }

    /// Says how many are done.
    pub fn set(&mut self, done: u64) {
        if !self.is_shown || self.bar.is_none() && self.started.elapsed() < self.patience {
            return;
        }
        let template = match self.total {
            Some(_) if self.is_percentage => "{msg} [{bar:30}] {pos} %",
            Some(_) => "{msg} [{bar:30}] {human_pos}/{human_len}, {rate}/s, {left} left",
            None => "{msg} {human_pos}, {rate}/s",
        };
        if self.bar.is_none() {
            self.show(style(template));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
    }

    fn show(&mut self, style: ProgressStyle) -> ProgressBar {
        let bar = match self.total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::no_length(),
        };
        let bar = bar
            .with_style(style)
            .with_message(self.what)
            .with_elapsed(self.started.elapsed());
        *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = Some(bar.clone());
        self.bar = Some(bar.clone());
        bar
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            *SHOWN.lock().unwrap_or_else(PoisonError::into_inner) = None;
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style
        .progress_chars("=> ")
        .with_key("rate", |state: &ProgressState, to: &mut dyn std::fmt::Write| {
            let _ = write!(to, "{:.0}", state.per_sec());
        })
        .with_key("left", |state: &ProgressState, to: &mut dyn std::fmt::Write| {
            let _ = to.write_str(&show_rough(state.eta()));
        })
        .with_key("time", |state: &ProgressState, to: &mut dyn std::fmt::Write| {
            let _ = to.write_str(&show_rough(state.elapsed()));
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_shown_without_a_terminal() {
        // Standard error of tests is none, or is not wanted there.
        hide();
        let mut progress = Progress::new("testing", Some(2));
        progress.started = Instant::now().checked_sub(PATIENCE * 2).unwrap();
        progress.set(1);
        assert!(progress.bar.is_none());
        assert_eq!(above(|| 7), 7);
    }
}
