//! Around calls into plugins: restores what a plugin changed of the state that all jobs of this process inherit, and names
//! the plugin in the log. If it cannot be restored, the worker process ends, as it does when a plugin hangs.
//!
//! A full look takes some sixty system calls, so it is not always made. While one plugin alone has ever been called in this
//! process, no job of another plugin can inherit anything: its calls are looked at one by one at first, then now and then, and once
//! more before another plugin is called for the first time. From then on every call is followed by a look, because jobs of
//! both may start at any time. The action of SIGCHLD is always looked at, because the host learns by it that jobs end.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::process_state::{self, Changes, ProcessState};
use crate::shared::Shared;
use crate::{Report, RunKey, os};

/// Exit status of a worker process in which a plugin changed something that cannot be restored.
const SPOILED_STATUS: u8 = 74;
/// Calls of a plugin that is alone in its process after each of which there is a full look.
const FIRST_CALLS: u64 = 16;
/// From then on there is one full look in this many calls.
const CALLS_PER_LOOK: u64 = 256;
/// Looks that check descriptors one by one. Later ones, but for a few, close all of them in children unseen.
const DESCRIPTOR_LOOKS: u64 = 64;
/// Most different warnings that are remembered, so that each comes once.
const WARNINGS_MAX: usize = 256;

pub(super) struct StateGuard {
    state: ProcessState,
    /// Descriptors that children inherited before there was any plugin.
    known: Vec<i32>,
    shared: Arc<Shared>,
    /// More than one plugin has been called.
    shared_by_plugins: AtomicBool,
    calls: AtomicU64,
    looks: AtomicU64,
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
            shared_by_plugins: AtomicBool::new(false),
            calls: AtomicU64::new(0),
            looks: AtomicU64::new(0),
            last: Mutex::new("".into()),
            warned: Mutex::default(),
        }
    }

    /// Looks before a plugin is called if another one was called last: what changed meanwhile is the work of the last one, by
    /// one of its threads or in a call that no look followed.
    pub(super) fn before(&self, plugin: &Arc<str>) {
        let last = std::mem::replace(&mut *lock(&self.last), Arc::clone(plugin));
        if !last.is_empty() && last != *plugin {
            self.shared_by_plugins.store(true, Ordering::Relaxed);
            let changes = self.look();
            self.report(&changes, &last, "an earlier call, or between calls,", None);
        }
    }

    /// Looks after a plugin returned from a call for that run. `signals_same`: the calling thread's mask was left alone.
    pub(super) fn after(&self, plugin: &str, call: &str, signals_same: bool, run: u64) {
        let calls = self.calls.fetch_add(1, Ordering::Relaxed);
        let after_each = self.shared_by_plugins.load(Ordering::Relaxed) || calls < FIRST_CALLS;
        let mut changes = if after_each {
            self.look()
        } else {
            Changes::default()
        };
        if !after_each {
            self.state.check_child_signal(&mut changes);
        }
        changes.note_unless(signals_same, "the signals of the calling thread");
        if !changes.is_empty() {
            self.report(&changes, plugin, call, self.shared.key_of(run));
        }
        if !after_each && calls.is_multiple_of(CALLS_PER_LOOK) {
            self.report(
                &self.look(),
                plugin,
                "one of its last calls, or between calls,",
                None,
            );
        }
    }

    /// Finds and restores everything that changed.
    fn look(&self) -> Changes {
        let mut changes = self.state.changes(true);
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        if looks < DESCRIPTOR_LOOKS || looks.is_power_of_two() {
            let same = process_state::close_on_exec_except(&self.known).is_empty();
            changes.note_unless(same, "descriptors that jobs would inherit");
        } else {
            process_state::close_all_on_exec();
        }
        changes
    }

    fn report(&self, changes: &Changes, plugin: &str, call: &str, culprit: Option<RunKey>) {
        if changes.is_empty() {
            return;
        }
        let words = changes.words();
        if !changes.lost.is_empty() {
            let reason = format!("the plugin {plugin} changed in {call} what cannot be restored: {words}");
            self.shared.report(Report::Ending { reason, culprit });
            os::exit_at_once(SPOILED_STATUS);
        }
        let warning = format!("the plugin {plugin} changed in {call} what all jobs share: {words}; restored");
        let mut warned = lock(&self.warned);
        if warned.len() < WARNINGS_MAX && !warned.contains(&warning) {
            tracing::warn!("{warning}");
            warned.insert(warning);
        }
    }
}
