//! What all jobs of a process share, before a call of the plugin and after it.

use queuectl_executor::bare::{self, ProcessState};

use super::outcome::{CaseResult, broken};

/// The process before a call.
pub(super) struct Before {
    surroundings: ProcessState,
    inherited: Vec<i32>,
    signals: bare::BlockedSignals,
}

impl Before {
    /// The process as a worker process is before its first plugin.
    pub(super) fn any_plugin() -> Before {
        bare::install_host_handlers();
        Before::now()
    }

    /// The process now.
    pub(super) fn now() -> Before {
        Before {
            surroundings: ProcessState::now(),
            inherited: bare::inheritable_descriptors(),
            signals: bare::BlockedSignals::block(),
        }
    }

    /// Fails if `call` changed anything.
    pub(super) fn compare(self, call: &str) -> CaseResult {
        let mut changes = self.surroundings.changes(false);
        changes.note_unless(self.signals.restore(), "the signals of the calling thread");
        let same = bare::inheritable_descriptors()
            .iter()
            .all(|number| self.inherited.contains(number));
        changes.note_unless(same, "descriptors that jobs would inherit");
        if changes.is_empty() {
            return Ok(());
        }
        broken(format!("{call} changed what all jobs share: {}", changes.words()))
    }
}
