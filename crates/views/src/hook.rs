//! A hook of all jobs, of a queue's or of a schedule's.

use queuectl_core::{Command, Hook, HookName, HookOn, QueueName, ScheduleName, Timestamp};
use serde::Serialize;

/// A hook.
#[derive(Debug, Clone, Serialize)]
pub struct HookView {
    /// Its name.
    pub name: HookName,
    /// What it runs for.
    pub on: Vec<HookOn>,
    /// The queue whose jobs it is for; null for all.
    pub queue: Option<QueueName>,
    /// The schedule whose jobs it is for; null for all.
    pub schedule: Option<ScheduleName>,
    /// What it runs, as one line, for people.
    pub command: String,
    /// The exact program and arguments, for a command without a shell.
    pub argv: Option<Vec<String>>,
    /// The folder that it runs in.
    pub cwd: Option<String>,
    /// The queue that its jobs go to; null for that of the ended job.
    pub to_queue: Option<QueueName>,
    /// When it was added.
    pub created_at: Timestamp,
    /// How many jobs have to be dead; null if it runs for each that ends.
    pub when_dead: Option<u32>,
    /// After what time it may run again while as many are dead, in ms; null if not before fewer were.
    pub again_after_ms: Option<u64>,
    /// When it last ran for that number; null if it did not, or fewer were dead when a job died since.
    pub fired_at: Option<Timestamp>,
}

impl From<Hook> for HookView {
    fn from(hook: Hook) -> HookView {
        HookView {
            name: hook.name,
            on: hook.on.iter().collect(),
            queue: hook.queue,
            schedule: hook.schedule,
            command: hook.command.display(),
            argv: match hook.command {
                Command::Argv(argv) => Some(argv),
                Command::Line(_) => None,
            },
            cwd: hook.cwd,
            to_queue: hook.to_queue,
            created_at: hook.created_at,
            when_dead: hook.alert.map(|alert| alert.dead),
            again_after_ms: hook.alert.and_then(|alert| alert.again_ms),
            fired_at: hook.alert.and_then(|alert| alert.fired_at),
        }
    }
}
