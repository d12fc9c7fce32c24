//! From the way a process ended, and who stopped it, to the outcome of the attempt.
//!
//! Pure functions; what follows from an outcome (retry or not) is not decided in this crate.

use std::time::Duration;

use queuectl_core::limits::MESSAGE_BYTES;
use queuectl_core::{Outcome, OutcomeKind, show_short};

use crate::{StopReason, os};

/// How the main process of a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exit {
    /// It exited with this status.
    Code(i32),
    /// This signal ended it.
    #[cfg_attr(all(windows, not(test)), expect(dead_code, reason = "there are no signals"))]
    Signal(i32),
    /// It never ran; this is the outcome.
    NotStarted(Outcome),
}

/// Why the host stopped a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stopped {
    /// Somebody asked for it.
    ByRequest(StopReason),
    /// It took longer than this.
    TimedOut(Duration),
}

/// Returns what an exit means without interference.
pub(crate) fn of_exit(exit: &Exit) -> Outcome {
    match exit {
        Exit::Code(0) => Outcome {
            exit_code: Some(0),
            ..Outcome::new(OutcomeKind::Succeeded, String::new())
        },
        Exit::Code(code) => {
            let hint = match code {
                126 => " (command not executable)",
                127 => " (command not found)",
                _ => "",
            };
            let message = format!("exit status {code}{hint}");
            Outcome {
                exit_code: Some(*code),
                ..Outcome::new(OutcomeKind::Failed, message)
            }
        }
        Exit::Signal(signal) => {
            let name = os::signal_name(*signal)
                .map(|name| format!(" ({name})"))
                .unwrap_or_default();
            let message = format!("killed by signal {signal}{name}");
            Outcome {
                signal: Some(*signal),
                ..Outcome::new(OutcomeKind::Failed, message)
            }
        }
        Exit::NotStarted(outcome) => outcome.clone(),
    }
}

/// A failure with the limit that the process hit, which is likely its reason.
pub(crate) fn with_limit_hit(mut outcome: Outcome, limit_hit: Option<String>) -> Outcome {
    if let Some(limit_hit) = limit_hit.filter(|_| outcome.kind != OutcomeKind::Succeeded) {
        outcome.message = format!("{}: {limit_hit}", outcome.message);
    }
    outcome
}

/// The outcome to report, given what the run itself came to and why the host stopped it.
pub(crate) fn after_stop(outcome: Outcome, stopped: Option<Stopped>) -> Outcome {
    let (kind, message) = match stopped {
        None => return outcome,
        Some(Stopped::ByRequest(StopReason::Returned)) if outcome.kind == OutcomeKind::Succeeded => {
            return outcome;
        }
        Some(Stopped::ByRequest(StopReason::Returned)) => (
            OutcomeKind::Returned,
            "given back: the node shuts down".to_owned(),
        ),
        Some(Stopped::ByRequest(StopReason::Cancelled)) => {
            (OutcomeKind::Cancelled, "cancelled while it ran".to_owned())
        }
        Some(Stopped::TimedOut(limit)) => (
            OutcomeKind::TimedOut,
            format!("timed out after {}", show_short(limit)),
        ),
    };
    Outcome {
        kind,
        message,
        ..outcome
    }
}

/// Cuts a message to what is stored with an attempt.
pub(crate) fn clip(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES));
    }
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exits_become_outcomes() {
        assert_eq!(of_exit(&Exit::Code(0)).kind, OutcomeKind::Succeeded);
        assert_eq!(of_exit(&Exit::Code(3)).message, "exit status 3");
        assert_eq!(
            of_exit(&Exit::Code(127)).message,
            "exit status 127 (command not found)"
        );
        assert_eq!(of_exit(&Exit::Code(3)).exit_code, Some(3));
        #[cfg(unix)]
        assert_eq!(of_exit(&Exit::Signal(9)).message, "killed by signal 9 (SIGKILL)");
    }

    #[test]
    fn a_stop_decides_the_kind() {
        let good = || of_exit(&Exit::Code(0));
        let bad = || of_exit(&Exit::Signal(15));
        let cancelled = Some(Stopped::ByRequest(StopReason::Cancelled));
        let returned = Some(Stopped::ByRequest(StopReason::Returned));
        assert_eq!(after_stop(good(), cancelled).kind, OutcomeKind::Cancelled);
        assert_eq!(after_stop(good(), returned).kind, OutcomeKind::Succeeded);
        assert_eq!(after_stop(bad(), returned).kind, OutcomeKind::Returned);
        let late = after_stop(bad(), Some(Stopped::TimedOut(Duration::from_secs(5))));
        assert_eq!(
            (late.kind, late.message.as_str()),
            (OutcomeKind::TimedOut, "timed out after 5 s")
        );
        assert_eq!(late.signal, Some(15));
        assert_eq!(after_stop(bad(), None), bad());
    }

    #[test]
    fn a_limit_explains_a_failure_and_no_success() {
        let limit_hit = || Some("out of memory".to_owned());
        assert_eq!(
            with_limit_hit(of_exit(&Exit::Code(3)), limit_hit()).message,
            "exit status 3: out of memory"
        );
        assert_eq!(
            with_limit_hit(of_exit(&Exit::Code(3)), None).message,
            "exit status 3"
        );
        assert_eq!(with_limit_hit(of_exit(&Exit::Code(0)), limit_hit()).message, "");
    }
}
