//! Which call into a plugin is in progress, in memory that outlives a worker process: so that a node can name the plugin
//! when the process crashes.
//!
//! The node makes the record and hands it to the process at its start. A call costs two plain copies into that memory and no
//! system call. What the node reads is a hint and never trusted: the code that crashed may have overwritten it. A crash in a
//! thread of a plugin while no call is in progress names no plugin. Unix only.

#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

use std::io;
use std::process::Command;
use std::sync::Arc;

#[cfg(unix)]
use unix as platform;
#[cfg(windows)]
use windows as platform;

/// The variable by which a worker process finds the record. Jobs do not get it.
pub(crate) const VARIABLE: &str = "QUEUECTL_CALL_RECORD";
/// Between what the plugin is called for and its path.
const SEPARATOR: u8 = 0;

/// The record of one worker process.
#[derive(Debug, Clone)]
pub struct CallRecord(Arc<platform::Mapping>);

impl CallRecord {
    /// Makes a record for a process that is about to be started, and has `command` hand it over.
    ///
    /// # Errors
    /// The operating system has no memory for it, or cannot share any.
    pub fn share_with(command: &mut Command) -> io::Result<CallRecord> {
        platform::Mapping::share_with(command).map(|mapping| CallRecord(Arc::new(mapping)))
    }

    /// Finds the record that this process was started with, if it was.
    pub fn inherited() -> Option<CallRecord> {
        platform::Mapping::inherited().map(|mapping| CallRecord(Arc::new(mapping)))
    }

    /// Notes that a plugin is being called.
    pub(crate) fn enter(&self, plugin: &str, action: &str) {
        self.0.write([action.as_bytes(), &[SEPARATOR], plugin.as_bytes()]);
    }

    /// Notes that the plugin returned.
    pub(crate) fn leave(&self) {
        self.0.write([b"", b"", b""]);
    }

    /// Says which plugin was being called for what, if one was.
    pub fn in_progress(&self) -> Option<String> {
        let text = self.0.read();
        let text = String::from_utf8_lossy(&text);
        let (action, plugin) = text.split_once(char::from(SEPARATOR))?;
        let shown = |text: &str| text.replace(char::is_control, "?");
        Some(format!(
            "during a call into the plugin {} ({})",
            shown(plugin),
            shown(action)
        ))
    }
}
