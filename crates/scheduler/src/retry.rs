//! What an ended attempt means for its job.

use std::time::Duration;

use queuectl_core::{Advice, Event, OutcomeKind, Settings, Timestamp, limits};

use crate::{Backoff, delay};

/// How often and after what wait a job is tried again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Retries after the first attempt.
    pub max_retries: u32,
    /// The waits between them.
    pub backoff: Backoff,
}

impl RetryPolicy {
    /// The settings, with what the job has of its own in their place.
    pub fn new(settings: &Settings, max_retries: Option<u32>, backoff_base: Option<f64>) -> RetryPolicy {
        RetryPolicy {
            max_retries: max_retries.unwrap_or(settings.max_retries),
            backoff: Backoff {
                base: backoff_base.unwrap_or(settings.backoff_base),
                cap: settings.backoff_cap,
                jitter: settings.backoff_jitter,
            },
        }
    }
}

/// The event that follows from how attempt number `attempt` (from 1) ended.
///
/// System failures are not the job's fault: they have a count and a back-off of their own, and only when the
/// executor could not run the job [`limits::SYSTEM_FAILURES`] times in a row is it declared dead.
pub fn after(
    kind: OutcomeKind,
    policy: &RetryPolicy,
    attempt: u32,
    system_failures: u32,
    now: Timestamp,
    advice: Advice,
    random: f64,
) -> Event {
    // What the executor asks for can lengthen the wait, not shorten it, and never beyond the cap.
    let asked = advice.wait.unwrap_or_default().min(policy.backoff.cap);
    let wait = |n| {
        now.after(
            delay(&policy.backoff, n, random)
                .max(asked)
                .max(Duration::from_millis(1)),
        )
    };
    match kind {
        OutcomeKind::Succeeded => Event::Complete,
        OutcomeKind::Returned => Event::Return,
        // The store makes one of these of a failure, if it finds that the failure was that.
        OutcomeKind::Busy => Event::Busy {
            until: Some(now.after(advice.wait.unwrap_or_default())),
        },
        OutcomeKind::Cancelled => Event::Cancel,
        OutcomeKind::SystemFailure => {
            let again = system_failures + 1 < limits::SYSTEM_FAILURES;
            Event::SystemFail {
                retry_at: again.then(|| wait(system_failures + 1)),
            }
        }
        OutcomeKind::Failed if advice.is_final => Event::Fail { retry_at: None },
        OutcomeKind::Failed | OutcomeKind::TimedOut | OutcomeKind::Crashed | OutcomeKind::Lost => {
            Event::Fail {
                retry_at: (attempt <= policy.max_retries).then(|| wait(attempt)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(policy: &RetryPolicy, attempt: u32) -> Event {
        after(
            OutcomeKind::Failed,
            policy,
            attempt,
            0,
            Timestamp(0),
            Advice::default(),
            0.0,
        )
    }

    #[test]
    fn four_retries_then_dead_by_default() {
        let policy = RetryPolicy::new(&Settings::default(), None, None);
        let due = |ms| Event::Fail {
            retry_at: Some(Timestamp(ms)),
        };
        let events: Vec<Event> = (1..=5).map(|attempt| fails(&policy, attempt)).collect();
        assert_eq!(
            events,
            [
                due(2000),
                due(4000),
                due(8000),
                due(16_000),
                Event::Fail { retry_at: None }
            ]
        );
    }

    #[test]
    fn crashes_and_timeouts_use_up_attempts_too() {
        let policy = RetryPolicy::new(&Settings::default(), Some(0), None);
        for kind in [OutcomeKind::Crashed, OutcomeKind::Lost, OutcomeKind::TimedOut] {
            assert_eq!(
                after(kind, &policy, 1, 0, Timestamp(0), Advice::default(), 0.0),
                Event::Fail { retry_at: None }
            );
        }
    }

    #[test]
    fn system_failures_have_a_limit_of_their_own() {
        let policy = RetryPolicy::new(&Settings::default(), Some(0), None);
        let event = |failures| {
            after(
                OutcomeKind::SystemFailure,
                &policy,
                1,
                failures,
                Timestamp(0),
                Advice::default(),
                0.0,
            )
        };
        assert_eq!(
            event(0),
            Event::SystemFail {
                retry_at: Some(Timestamp(2000))
            }
        );
        assert_eq!(
            event(3),
            Event::SystemFail {
                retry_at: Some(Timestamp(16_000))
            }
        );
        assert_eq!(event(4), Event::SystemFail { retry_at: None });
    }

    #[test]
    fn a_jobs_own_policy_wins() {
        let policy = RetryPolicy::new(&Settings::default(), Some(1), Some(3.0));
        assert_eq!(
            fails(&policy, 1),
            Event::Fail {
                retry_at: Some(Timestamp(3000))
            }
        );
        assert_eq!(fails(&policy, 2), Event::Fail { retry_at: None });
    }

    #[test]
    fn a_final_failure_is_the_last_and_nothing_else_is_final() {
        let policy = RetryPolicy::new(&Settings::default(), None, None);
        let advice = Advice {
            is_final: true,
            ..Advice::default()
        };
        let event = |kind| after(kind, &policy, 1, 0, Timestamp(0), advice, 0.0);
        assert_eq!(event(OutcomeKind::Failed), Event::Fail { retry_at: None });
        for kind in [OutcomeKind::Crashed, OutcomeKind::TimedOut] {
            assert!(matches!(event(kind), Event::Fail { retry_at: Some(_) }));
        }
        let again = event(OutcomeKind::SystemFailure);
        assert!(matches!(again, Event::SystemFail { retry_at: Some(_) }));
    }

    #[test]
    fn an_executor_can_ask_for_more_time_but_not_for_less() {
        let policy = RetryPolicy::new(&Settings::default(), None, None);
        let due = |attempt, asked_s| {
            let asked = Advice {
                wait: Some(Duration::from_secs(asked_s)),
                ..Advice::default()
            };
            after(OutcomeKind::Failed, &policy, attempt, 0, Timestamp(0), asked, 0.0)
        };
        let at = |ms| Event::Fail {
            retry_at: Some(Timestamp(ms)),
        };
        assert_eq!(due(1, 30), at(30_000));
        assert_eq!(due(3, 1), at(8000));
        assert_eq!(due(1, 10_000_000), at(86_400_000), "no more than backoff_cap");
        assert_eq!(
            due(5, 30),
            Event::Fail { retry_at: None },
            "asking gives no more attempts"
        );
    }
}
