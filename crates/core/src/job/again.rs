//! A stored job as the description of a new one that is the same.

use super::spec::JobSpec;
use super::stored::Job;

impl JobSpec {
    /// Describes a new job with everything that was given with this one. Not taken over: its id, which is unique, when it
    /// was to start, whether it was held, which jobs it waited for, and everything that has happened to it.
    pub fn again(job: Job) -> JobSpec {
        // Each field is named, so that a new one is decided upon.
        let Job {
            queue,
            priority,
            max_retries,
            backoff_base,
            timeout_ms,
            executor,
            unique,
            unique_for_ms,
            limit,
            payload,
            id: _,
            name: _,
            state: _,
            attempts: _,
            fence: _,
            system_failures: _,
            due_at: _,
            node: _,
            cancel_requested: _,
            created_at: _,
            updated_at: _,
            started_at: _,
            finished_at: _,
            waits: _,
            gates: _,
            unmet: _,
            unreadable: _,
        } = job;
        JobSpec {
            queue: Some(queue),
            priority: Some(priority),
            max_retries,
            backoff_base,
            timeout_ms,
            executor: Some(executor),
            unique,
            unique_for_ms,
            limit,
            payload,
            ..JobSpec::default()
        }
    }
}
