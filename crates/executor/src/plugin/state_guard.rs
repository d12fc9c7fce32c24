//! Around every call into a plugin: what the process shares is the same after it as before.
//!
//! What a plugin changed is put back and the plugin named in the log. What cannot be put back ends the worker process, as
//! does a plugin that hangs: jobs of other executors would inherit it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::process_state::{self, Changes, ProcessState};
use crate::supervisor::Shared;
use crate::{Report, RunKey, os};

/// The status with which a worker process ends whose surroundings a plugin changed for good.
const SPOILED_STATUS: u8 = 74;
/// Calls after each of which the descriptors are looked at one by one. Later on they are looked at now and then; they are
/// kept from children in any case.
const EXACT_CALLS: u64 = 64;
/// Different warnings that are remembered, so that each comes once.
const WARNINGS_MAX: usize = 256;

pub(super) struct StateGuard {
    state: ProcessState,
    /// Descriptors that children inherited before there was any plugin.
    known: Vec<i32>,
    shared: Arc<Shared>,
    calls: AtomicU64,
    /// The plugin that was called last.
    last: Mutex<Arc<str>>,
    warned: Mutex<HashSet<String>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StateGuard {
    pub(super) fn new(shared: Arc<Shared>) -> StateGuard {
        StateGuard {
            state: ProcessState::now(),
            known: process_state::inheritable_descriptors(),
            shared,
            calls: AtomicU64::new(0),
            last: Mutex::new("".into()),
            warned: Mutex::default(),
        }
    }

    /// A plugin is about to be called. What changed since the last call was another one's thread.
    pub(super) fn before(&self, plugin: &Arc<str>) {
        let last = std::mem::replace(&mut *lock(&self.last), Arc::clone(plugin));
        if !last.is_empty() && last != *plugin {
            let changes = self.state.changes(true);
            self.report(&changes, &last, "some time after a call", None);
        }
    }

    /// A plugin returned from a call for that run. `signals`: the thread's were left alone.
    pub(super) fn after(&self, plugin: &str, what: &str, signals: bool, run: u64) {
        let mut changes = self.state.changes(true);
        changes.note_unless(signals, "the signals of the calling thread");
        let call = self.calls.fetch_add(1, Ordering::Relaxed);
        if call < EXACT_CALLS || call.is_power_of_two() {
            let same = process_state::close_on_exec_except(&self.known).is_empty();
            changes.note_unless(same, "descriptors that jobs would inherit");
        } else {
            process_state::close_all_on_exec();
        }
        if !changes.is_empty() {
            self.report(&changes, plugin, what, self.shared.key_of(run));
        }
    }

    fn report(&self, changes: &Changes, plugin: &str, what: &str, culprit: Option<RunKey>) {
        if changes.is_empty() {
            return;
        }
        let words = changes.words();
        if !changes.lost.is_empty() {
            let reason = format!("the plugin {plugin} changed in {what} what cannot be put back: {words}");
            self.shared.report(Report::Ending { reason, culprit });
            os::exit_at_once(SPOILED_STATUS);
        }
        let warning = format!(
            "the plugin {plugin} changed in {what} what it shares with all jobs: {words}; it is put back"
        );
        let mut warned = lock(&self.warned);
        if warned.len() < WARNINGS_MAX && !warned.contains(&warning) {
            tracing::warn!("{warning}");
            warned.insert(warning);
        }
    }
}
