//! The host as a plugin sees it: a safe wrapper around the host's vtable.
//!
//! It checks slots before use, so that a host older than the plugin is an error and not a crash.

use std::ffi::c_void;
use std::mem::offset_of;

use crate::Error;
use crate::abi::{
    QC_HOST_ADOPTS, QC_HOST_BUSY, QC_HOST_FINAL, QC_HOST_RECORDS, QC_HOST_SPAWN_LIMITS, QC_INVALID, QC_OK,
    qc_error, qc_host_v1, qc_outcome_v1, qc_spawn_v1, qc_str,
};

/// How much a log line matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Level {
    /// Something failed.
    Error = crate::abi::QC_LOG_ERROR,
    /// Something is odd.
    Warn = crate::abi::QC_LOG_WARN,
    /// Worth knowing.
    Info = crate::abi::QC_LOG_INFO,
    /// For people who look for a fault.
    Debug = crate::abi::QC_LOG_DEBUG,
}

/// The worker process that hosts the plugin. Cheap to clone, usable from any thread.
#[derive(Debug, Clone)]
pub struct Host {
    vtable: *const qc_host_v1,
    ctx: *mut c_void,
}

// SAFETY: the ABI promises that host functions may be called from any thread, with the vtable and context that the
// instance was given.
unsafe impl Send for Host {}
// SAFETY: as above.
unsafe impl Sync for Host {}

/// Reads a slot of the host's vtable, or none if the host is too old to have it.
macro_rules! slot {
    ($host:expr, $name:ident) => {{
        let end = offset_of!(qc_host_v1, $name) + size_of::<usize>();
        // SAFETY: `Host::new` was given a vtable that is readable up to its size, which is checked before the slot.
        unsafe { if (*$host.vtable).size as usize >= end { (*$host.vtable).$name } else { None } }
    }};
}

impl Host {
    /// Wraps what `create` was given.
    ///
    /// # Safety
    /// `vtable` points to the host's vtable, and both pointers stay valid until the instance is destroyed.
    #[doc(hidden)]
    pub unsafe fn new(vtable: *const qc_host_v1, ctx: *mut c_void) -> Host {
        Host { vtable, ctx }
    }

    /// Writes a line to the worker's log. This is not the job's output.
    pub fn log(&self, level: Level, text: &str) {
        if let Some(log) = slot!(self, log) {
            // SAFETY: the text outlives the call; the pointers are those the host gave.
            unsafe { log(self.ctx, level as u32, qc_str::new(text.as_bytes())) }
        }
    }

    pub(crate) fn output(&self, run: u64, stream: u32, bytes: &[u8]) {
        if let Some(output) = slot!(self, output) {
            // SAFETY: the bytes outlive the call; the pointers are those the host gave.
            unsafe { output(self.ctx, run, stream, qc_str::new(bytes)) }
        }
    }

    pub(crate) fn spawn(&self, run: u64, spawn: &qc_spawn_v1) -> Result<(), Error> {
        let Some(function) = slot!(self, spawn) else {
            return Err(Error::new("this queuectl cannot spawn processes for plugins"));
        };
        let mut text = [0u8; 1024];
        let mut error = qc_error {
            ptr: text.as_mut_ptr(),
            cap: text.len(),
            len: 0,
        };
        // SAFETY: everything `spawn` points to outlives the call, and so does the error buffer.
        let status = unsafe { function(self.ctx, run, spawn, &raw mut error) };
        if status == QC_OK {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&text[..error.len.min(text.len())]).into_owned();
        Err(Error::new(if text.is_empty() && status != QC_INVALID {
            format!("the process could not be asked for (status {status})")
        } else {
            text
        }))
    }

    pub(crate) fn finished(&self, run: u64, outcome: &qc_outcome_v1) {
        if let Some(finished) = slot!(self, finished) {
            // SAFETY: the outcome outlives the call; the pointers are those the host gave.
            unsafe { finished(self.ctx, run, outcome) }
        }
    }

    /// What the host offers beyond the functions: bits `QC_HOST_*`.
    fn features(&self) -> u64 {
        let end = offset_of!(qc_host_v1, features) + size_of::<u64>();
        // SAFETY: as for the slots.
        unsafe {
            if (*self.vtable).size as usize >= end {
                (*self.vtable).features
            } else {
                0
            }
        }
    }

    /// Whether handles that are saved outlive this process, so that [`crate::Executor::reattach`] can be called.
    pub fn adopts(&self) -> bool {
        self.features() & QC_HOST_ADOPTS != 0
    }

    /// Whether [`crate::Executor::recorded`] is called.
    pub fn records(&self) -> bool {
        self.features() & QC_HOST_RECORDS != 0
    }

    /// Whether processes can be limited: everything of [`crate::Spawn`] from [`crate::Spawn::inherit_only`] on. What of
    /// it the operating system cannot do ends the run with a system failure.
    pub fn limits_processes(&self) -> bool {
        self.features() & QC_HOST_SPAWN_LIMITS != 0
    }

    /// Whether [`crate::Outcome::failed_for_good`] is more than a failure.
    pub fn heeds_final(&self) -> bool {
        self.features() & QC_HOST_FINAL != 0
    }

    /// Whether [`crate::Outcome::busy`] is more than a failure.
    pub fn heeds_busy(&self) -> bool {
        self.features() & QC_HOST_BUSY != 0
    }

    pub(crate) fn event(&self, run: u64, name: &str, detail: &str) {
        if let Some(event) = slot!(self, event) {
            let (name, detail) = (qc_str::new(name.as_bytes()), qc_str::new(detail.as_bytes()));
            // SAFETY: the texts outlive the call; the pointers are those the host gave.
            unsafe { event(self.ctx, run, name, detail) }
        }
    }

    pub(crate) fn save_handle(&self, run: u64, handle: &[u8]) -> Result<(), Error> {
        let Some(save) = slot!(self, save_handle) else {
            return Ok(());
        };
        // SAFETY: the bytes outlive the call; the pointers are those the host gave.
        match unsafe { save(self.ctx, run, qc_str::new(handle)) } {
            QC_OK => Ok(()),
            _ => Err(Error::new("the handle is too long, or the run is over")),
        }
    }
}
