//! How a run ended, as the plugin reports it, and how a spawned process ended, as the host reports it.

use crate::abi::{
    QC_EXIT_CODE, QC_EXIT_SIGNAL, QC_FAILED, QC_FAILED_SYSTEM, QC_HAS_EXIT_CODE, QC_HAS_RETRY_AFTER,
    QC_HAS_SIGNAL, QC_IS_BUSY, QC_IS_FINAL, QC_SUCCEEDED, qc_exit_v1, qc_outcome_v1, qc_str,
};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    kind: u32,
    exit_code: Option<i32>,
    signal: Option<i32>,
    message: String,
    retry_after_ms: Option<u64>,
    is_final: bool,
    is_busy: bool,
}

impl Outcome {
    fn new(kind: u32, message: String) -> Self {
        Self {
            kind,
            exit_code: None,
            signal: None,
            message,
            retry_after_ms: None,
            is_final: false,
            is_busy: false,
        }
    }

    /// The job did what it should.
    pub fn succeeded() -> Self {
        Self::new(QC_SUCCEEDED, String::new())
    }

    /// The job ran and failed.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(QC_FAILED, message.into())
    }

    /// The job failed, and another attempt cannot succeed either: it is dead at once. Only for what no time heals and
    /// only its author can change, such as a payload that makes no sense. Where the host does not know of that
    /// ([`crate::Host::heeds_final`]), it is a failure like others.
    pub fn failed_for_good(message: impl Into<String>) -> Self {
        Self {
            is_final: true,
            ..Self::failed(message)
        }
    }

    /// What the job needs said that it is busy, and for how long: the attempt does not count, and nothing else that waits
    /// for the same starts before. Where the host does not know of that ([`crate::Host::heeds_busy`]), it is a failure that
    /// asks to wait.
    pub fn busy(message: impl Into<String>, wait: std::time::Duration) -> Self {
        Self::failed(message).as_busy(wait)
    }

    /// Makes a failure one that [`Outcome::busy`] tells of.
    #[must_use]
    pub fn as_busy(self, wait: std::time::Duration) -> Self {
        Self {
            is_busy: true,
            ..self.with_retry_after(wait)
        }
    }

    /// The executor could not run the job; it is tried again later.
    pub fn system_failure(message: impl Into<String>) -> Self {
        Self::new(QC_FAILED_SYSTEM, message.into())
    }

    /// Adds an exit status.
    #[must_use]
    pub fn with_exit_code(self, code: i32) -> Self {
        Self {
            exit_code: Some(code),
            ..self
        }
    }

    /// Adds the number of the signal that ended the job.
    #[must_use]
    pub fn with_signal(self, signal: i32) -> Self {
        Self {
            signal: Some(signal),
            ..self
        }
    }

    /// Adds the shortest wait before the next attempt, should one follow.
    #[must_use]
    pub fn with_retry_after(self, wait: std::time::Duration) -> Self {
        Self {
            retry_after_ms: Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
            ..self
        }
    }

    /// The C form; valid as long as `self` is.
    pub(crate) fn as_abi(&self) -> qc_outcome_v1 {
        let bit = |present: bool, bit: u32| if present { bit } else { 0 };
        qc_outcome_v1 {
            size: size_of::<qc_outcome_v1>() as u32,
            kind: self.kind,
            fields: bit(self.exit_code.is_some(), QC_HAS_EXIT_CODE)
                | bit(self.signal.is_some(), QC_HAS_SIGNAL)
                | bit(self.retry_after_ms.is_some(), QC_HAS_RETRY_AFTER)
                | bit(self.is_final, QC_IS_FINAL)
                | bit(self.is_busy, QC_IS_BUSY),
            exit_code: self.exit_code.unwrap_or(0),
            signal: self.signal.unwrap_or(0),
            reserved: 0,
            message: qc_str::new(self.message.as_bytes()),
            retry_after_ms: self.retry_after_ms.unwrap_or(0),
        }
    }
}

/// How a process that the host spawned ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// In which way.
    pub kind: ExitKind,
    /// Whether the host had asked it to stop (cancelled, timed out, shutdown).
    pub stopped: bool,
    /// In words: why it was not started, or which limit it hit; else empty.
    pub message: String,
}

/// In which way a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitKind {
    /// It exited with this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
    /// It could not be started, for this reason.
    NotStarted(String),
}

impl Exit {
    /// Reads the C form.
    ///
    /// # Safety
    /// `exit.message` is absent or valid for the call.
    pub(crate) unsafe fn from_abi(exit: &qc_exit_v1) -> Exit {
        // SAFETY: the caller vouches for the message.
        let message = unsafe { exit.message.bytes() }.unwrap_or_default();
        let message = String::from_utf8_lossy(message).into_owned();
        let kind = match exit.kind {
            QC_EXIT_CODE => ExitKind::Code(exit.code),
            QC_EXIT_SIGNAL => ExitKind::Signal(exit.code),
            _ => ExitKind::NotStarted(message.clone()),
        };
        Exit {
            kind,
            stopped: exit.stopped != 0,
            message,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_says_which_numbers_it_has() {
        let outcome = Outcome::failed("no").with_exit_code(7);
        let abi = outcome.as_abi();
        assert_eq!(
            (abi.kind, abi.fields, abi.exit_code),
            (QC_FAILED, QC_HAS_EXIT_CODE, 7)
        );
        assert_eq!(Outcome::succeeded().as_abi().fields, 0);
        assert_eq!(Outcome::failed_for_good("x").as_abi().fields, QC_IS_FINAL);
        let busy = Outcome::busy("x", std::time::Duration::from_secs(2));
        let abi = busy.as_abi();
        assert_eq!(
            (abi.kind, abi.fields, abi.retry_after_ms),
            (QC_FAILED, QC_IS_BUSY | QC_HAS_RETRY_AFTER, 2000)
        );
        assert_eq!(Outcome::failed("x").with_signal(9).as_abi().fields, QC_HAS_SIGNAL);
    }

    #[test]
    fn an_exit_says_which_limit_the_process_hit() {
        let mut abi = qc_exit_v1 {
            size: size_of::<qc_exit_v1>() as u32,
            kind: QC_EXIT_SIGNAL,
            code: 9,
            stopped: 0,
            message: qc_str::new(b"out of memory"),
        };
        // SAFETY: the message is static.
        let exit = unsafe { Exit::from_abi(&abi) };
        assert_eq!(
            (exit.kind, exit.message.as_str()),
            (ExitKind::Signal(9), "out of memory")
        );
        abi.message = qc_str::NULL;
        // SAFETY: there is none.
        assert_eq!(unsafe { Exit::from_abi(&abi) }.message, "");
    }
}
