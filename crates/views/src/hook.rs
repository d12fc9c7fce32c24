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
        }
    }
}
