//! One instance of a plugin, and the calls into it.
//!
//! This is where owned Rust values become C structs for the length of one call. What the answers mean is decided by
//! the supervisor.

use std::ffi::c_void;
use std::sync::Arc;

use queuectl_plugin_api::abi::{
    QC_EXIT_CODE, QC_EXIT_NOT_STARTED, QC_EXIT_SIGNAL, QC_INVALID, QC_OK, QC_STOP_GRACEFUL, QC_STOP_KILL,
    QC_UNHANDLED, qc_error, qc_exit_v1, qc_run_v1, qc_status, qc_str,
};

use super::callbacks::{self, Context};
use super::load::{Plugin, Slots};
use super::watchdog::{Watchdog, WatchedCall};
use crate::outcome::Exit;
use crate::shared::Shared;
use crate::{PluginError, Run};

/// A made instance. Destroyed when the last run that uses it is over.
pub(crate) struct Instance {
    slots: Slots,
    instance: *mut c_void,
    /// The plugin's file, for the log.
    file: Arc<str>,
    watchdog: Arc<Watchdog>,
}

// SAFETY: the ABI lets the host call a plugin from any of its threads.
unsafe impl Send for Instance {}
// SAFETY: as above, also at the same time.
unsafe impl Sync for Instance {}

/// What `start` said.
pub(crate) enum Started {
    /// The run is under way.
    Running,
    /// The request makes no sense to the executor.
    Invalid(String),
    /// The executor could not run it.
    SystemFailure(String),
}

/// What `exited` said.
pub(crate) enum Exited {
    /// The plugin reports the end.
    ByPlugin,
    /// The host does.
    ByHost,
    /// The plugin failed over it.
    Broken,
}

/// Room for a plugin's error message.
struct ErrorText {
    bytes: [u8; queuectl_core::limits::MESSAGE_BYTES],
}

impl ErrorText {
    /// Calls `f` with a buffer, and returns what was written next to the answer.
    fn with<R>(f: impl FnOnce(*mut qc_error) -> R) -> (R, String) {
        let mut text = ErrorText {
            bytes: [0; queuectl_core::limits::MESSAGE_BYTES],
        };
        let mut error = qc_error {
            ptr: text.bytes.as_mut_ptr(),
            cap: text.bytes.len(),
            len: 0,
        };
        let answer = f(&raw mut error);
        let written = &text.bytes[..error.len.min(text.bytes.len())];
        (answer, String::from_utf8_lossy(written).into_owned())
    }
}

impl Instance {
    /// Has the plugin make an instance. `settings` is a JSON object.
    pub(crate) fn create(
        plugin: &Plugin,
        settings: &str,
        shared: Arc<Shared>,
        watchdog: Arc<Watchdog>,
    ) -> Result<Instance, PluginError> {
        let failed = |cause: String| PluginError::Create {
            path: plugin.path.clone(),
            cause,
        };
        let create = plugin
            .slots
            .create
            .ok_or_else(|| failed("it cannot make instances".to_owned()))?;
        // Never freed: a plugin's thread that comes late must find the vtable and the context still there.
        let context: &'static Context = Box::leak(Box::new(Context::new(&plugin.info.name, shared)));
        let mut instance = std::ptr::null_mut();
        let file: Arc<str> = plugin.path.display().to_string().into();
        let call = watchdog.enter(&file, "making an instance", 0);
        let (status, text) = ErrorText::with(|error| {
            let ctx: *const Context = context;
            // SAFETY: vtable and context are never freed; everything else outlives the call.
            unsafe {
                create(
                    &callbacks::VTABLE,
                    ctx.cast_mut().cast(),
                    qc_str::new(settings.as_bytes()),
                    &raw mut instance,
                    error,
                )
            }
        });
        drop(call);
        match status {
            QC_OK => Ok(Instance {
                slots: plugin.slots,
                instance,
                file,
                watchdog,
            }),
            _ => Err(failed(if text.is_empty() {
                format!("it gave status {status}")
            } else {
                text
            })),
        }
    }

    /// The plugin's file.
    pub(crate) fn file(&self) -> &str {
        &self.file
    }

    fn watched(&self, what: &'static str, run: u64) -> WatchedCall<'_> {
        self.watchdog.enter(&self.file, what, run)
    }

    /// Starts a run, or takes it over by the handle it had saved.
    pub(crate) fn start(&self, run_id: u64, run: &Run, mark: &str, adopt: Option<&[u8]>) -> Started {
        let view = qc_run_v1 {
            size: size_of::<qc_run_v1>() as u32,
            attempt: run.attempt,
            run: run_id,
            job_number: run.key.job.0,
            fence: run.key.fence,
            timeout_ms: run
                .time_left()
                .map_or(0, |t| u64::try_from(t.as_millis()).unwrap_or(u64::MAX)),
            job_id: qc_str::new(run.public_id.as_bytes()),
            queue: qc_str::new(run.queue.as_bytes()),
            request: qc_str::new(run.payload.as_bytes()),
            mark: qc_str::new(mark.as_bytes()),
        };
        let _call = self.watched("starting a run", run_id);
        let (status, text) = match (adopt, self.slots.start, self.slots.reattach) {
            (None, Some(start), _) => {
                // SAFETY: the instance is alive, and the view and what it points to outlive the call.
                ErrorText::with(|error| unsafe { start(self.instance, &raw const view, error) })
            }
            (Some(saved), _, Some(reattach)) => {
                let saved = qc_str::new(saved);
                // SAFETY: as above.
                ErrorText::with(|error| unsafe { reattach(self.instance, &raw const view, saved, error) })
            }
            (None, None, _) => return Started::SystemFailure("it cannot start runs".into()),
            (Some(_), _, None) => return Started::SystemFailure("it cannot take over runs".into()),
        };
        match status {
            QC_OK => Started::Running,
            QC_INVALID => Started::Invalid(text),
            _ if text.is_empty() => Started::SystemFailure(format!("it gave status {status}")),
            _ => Started::SystemFailure(text),
        }
    }

    /// Tells the plugin that the process of a run ended, and which limit it hit.
    pub(crate) fn exited(&self, run_id: u64, exit: &Exit, limit_hit: Option<&str>, stopped: bool) -> Exited {
        let Some(exited) = self.slots.exited else {
            return Exited::ByHost;
        };
        let (kind, code, message) = match exit {
            Exit::Code(code) => (QC_EXIT_CODE, *code, limit_hit.unwrap_or_default()),
            Exit::Signal(signal) => (QC_EXIT_SIGNAL, *signal, limit_hit.unwrap_or_default()),
            Exit::NotStarted(outcome) => (QC_EXIT_NOT_STARTED, 0, outcome.message.as_str()),
        };
        let view = qc_exit_v1 {
            size: size_of::<qc_exit_v1>() as u32,
            kind,
            code,
            stopped: stopped.into(),
            message: qc_str::new(message.as_bytes()),
        };
        let _call = self.watched("hearing of a process's end", run_id);
        // SAFETY: the instance is alive, and the view outlives the call.
        match unsafe { exited(self.instance, run_id, &raw const view) } {
            QC_OK => Exited::ByPlugin,
            QC_UNHANDLED => Exited::ByHost,
            _ => Exited::Broken,
        }
    }

    /// Could jobs run now? The reason, if not.
    pub(crate) fn fingerprint(&self) -> Result<(), String> {
        let Some(fingerprint) = self.slots.fingerprint else {
            return Ok(());
        };
        let _call = self.watched("looking whether jobs could run", 0);
        // SAFETY: the instance is alive.
        answer(ErrorText::with(|error| unsafe {
            fingerprint(self.instance, error)
        }))
    }

    /// Is this a request it could start? The reason, if not.
    pub(crate) fn validate(&self, request: &str) -> Result<(), String> {
        let Some(validate) = self.slots.validate else {
            return Ok(());
        };
        let _call = self.watched("checking a request", 0);
        let request = qc_str::new(request.as_bytes());
        // SAFETY: the instance is alive, and the request outlives the call.
        answer(ErrorText::with(|error| unsafe {
            validate(self.instance, request, error)
        }))
    }

    /// Passes a signal on to a run. Returns whether the plugin takes care of it.
    pub(crate) fn signal(&self, run_id: u64, signal: i32) -> bool {
        let _call = self.watched("passing a signal on", run_id);
        // SAFETY: the instance is alive.
        self.slots
            .signal
            .is_some_and(|slot| unsafe { slot(self.instance, run_id, signal) } == QC_OK)
    }

    /// Whether it wants to know when an outcome is durable.
    pub(crate) fn wants_recorded(&self) -> bool {
        self.slots.recorded.is_some()
    }

    /// The outcome of a run is durable.
    pub(crate) fn recorded(&self, run_id: u64) {
        if let Some(recorded) = self.slots.recorded {
            let _call = self.watched("hearing of a durable outcome", 0);
            // SAFETY: the instance is alive.
            unsafe { recorded(self.instance, run_id) }
        }
    }

    /// A run of a worker process that died is not wanted any more.
    pub(crate) fn discard(&self, handle: &[u8]) {
        if let Some(discard) = self.slots.discard {
            let _call = self.watched("letting go of what a dead process kept", 0);
            // SAFETY: the instance is alive, and the handle outlives the call.
            unsafe { discard(self.instance, qc_str::new(handle)) }
        }
    }

    /// Has it end what carries the mark of a node of `store` that is not among `alive`.
    pub(crate) fn reap(&self, store: &str, alive: &[String]) {
        if let Some(reap) = self.slots.reap {
            let _call = self.watched("looking for what was left behind", 0);
            let marks: Vec<qc_str> = alive.iter().map(|mark| qc_str::new(mark.as_bytes())).collect();
            // SAFETY: the instance is alive, and the texts outlive the call.
            unsafe {
                reap(
                    self.instance,
                    qc_str::new(store.as_bytes()),
                    marks.as_ptr(),
                    marks.len(),
                )
            }
        }
    }

    /// Its numbers, as JSON; none if it has none.
    pub(crate) fn stats(&self) -> Option<String> {
        let stats = self.slots.stats?;
        let _call = self.watched("telling its numbers", 0);
        let mut text = qc_str::NULL;
        // SAFETY: the instance is alive, the place may be written, and the text lives until the next call.
        let bytes = unsafe {
            stats(self.instance, &raw mut text);
            text.bytes()
        };
        bytes.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    /// Asks the plugin to stop a run. Returns whether the plugin takes care of it.
    pub(crate) fn stop(&self, run_id: u64, kill: bool) -> bool {
        let _call = self.watched("stopping a run", run_id);
        let mode = if kill { QC_STOP_KILL } else { QC_STOP_GRACEFUL };
        // SAFETY: the instance is alive.
        self.slots
            .stop
            .is_some_and(|stop| unsafe { stop(self.instance, run_id, mode) } == QC_OK)
    }
}

/// What a plugin answered, with its reason if it was not `QC_OK`.
fn answer((status, text): (qc_status, String)) -> Result<(), String> {
    match status {
        QC_OK => Ok(()),
        _ if text.is_empty() => Err(format!("it gave status {status}")),
        _ => Err(text),
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(stats) = self.stats().filter(|stats| stats != "{}") {
            tracing::debug!(plugin = &*self.file, stats, "the plugin's numbers");
        }
        let _call = self.watched("being taken down", 0);
        if let Some(shutdown) = self.slots.shutdown {
            // SAFETY: the instance is alive and no run uses it any more.
            unsafe { shutdown(self.instance) }
        }
        if let Some(destroy) = self.slots.destroy {
            // SAFETY: the instance is alive and no run uses it any more; this is the only call.
            unsafe { destroy(self.instance) }
        }
    }
}
