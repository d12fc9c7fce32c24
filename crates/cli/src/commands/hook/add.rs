//! `hook:add`: adds a hook of all jobs, of a queue's or of a schedule's.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::{ALERT_AGAIN, ALERT_DEAD};
use queuectl_core::{
    Alert, Command, Hook, HookName, HookOn, HookOns, QueueName, ScheduleName, check_hook, whole_ms,
};
use queuectl_views::HookView;

use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::input::folder;
use crate::number::{length, whole};
use crate::operator;
use crate::registry::Run;

/// Run a command, as a job of its own, when attempts of other jobs have ended
#[derive(Debug, Args)]
#[command(after_help = "\
Each time, the transaction that records the end stores a job with the command; it is retried, limited and logged as any \
other. It finds what ended in QUEUECTL_HOOK, QUEUECTL_HOOK_JOB_ID, QUEUECTL_HOOK_ERROR and more, see docs/flow.md. Jobs \
that are hooks fire none. `enqueue --on-death` and its like are for single jobs, and for those of a schedule.

Examples:
  queuectl hook:add 'mail -s \"job $QUEUECTL_HOOK_JOB_ID is dead\" ops@example.com </dev/null'
  queuectl hook:add --queue mail --on success,death --name report -- ./report.sh
  queuectl hook:add --to-queue alerts ./page.sh
  queuectl hook:add --when-dead 10 --again-after 6h 'queuectl dlq:causes | mail -s \"$QUEUECTL_HOOK_DEAD dead\" ops@example.com'")]
pub struct AddArgs {
    /// One word is a shell command line; several are a program and its exact arguments
    #[arg(value_name = "COMMAND", trailing_var_arg = true, required = true)]
    words: Vec<String>,
    /// What it runs for: success, failure (each failed attempt), death, or several separated by commas
    #[arg(long, value_name = "EVENT,...", default_value_t = HookOns::NONE.with(HookOn::Death))]
    on: HookOns,
    /// Only for jobs of this queue
    #[arg(long, value_name = "NAME")]
    queue: Option<QueueName>,
    /// Only for jobs of this schedule
    #[arg(long, value_name = "NAME")]
    schedule: Option<ScheduleName>,
    /// Its name, to show and remove it [default: hook-N]
    #[arg(long, value_name = "NAME")]
    name: Option<HookName>,
    /// The queue that its jobs go to [default: that of the job that ended]
    #[arg(long, value_name = "NAME")]
    to_queue: Option<QueueName>,
    /// Run once when this many jobs are dead, and not for each that dies; with --queue, jobs of that queue
    #[arg(long, value_name = "N", conflicts_with = "schedule", allow_negative_numbers = true, value_parser = whole::<u32>(ALERT_DEAD))]
    when_dead: Option<u32>,
    /// With --when-dead: run again when a job dies this long after, while as many are dead [default: not before fewer were]
    #[arg(long, value_name = "DURATION", requires = "when_dead", allow_hyphen_values = true, value_parser = length(ALERT_AGAIN))]
    again_after: Option<Duration>,
    /// The folder it runs in [default: the current folder]
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
}

impl Run for AddArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut words = self.words;
        let command = match words.len() {
            1 => Command::Line(words.remove(0)),
            _ => Command::Argv(words),
        };
        if self.when_dead.is_some() && self.on != HookOns::NONE.with(HookOn::Death) {
            return Err(Usage::new("--when-dead is about deaths; leave --on out").into());
        }
        check_hook(&command).map_err(|error| Usage::new(error.to_string()))?;
        let cwd = Some(folder(self.cwd).map_err(Usage::new)?);
        let mut store = context.open_or_create()?;
        let name = match self.name {
            Some(name) => name,
            None => store.free_hook_name()?,
        };
        let hook = Hook {
            name,
            on: self.on,
            queue: self.queue,
            schedule: self.schedule,
            to_queue: self.to_queue,
            command,
            cwd,
            created_at: store.now()?,
            alert: self.when_dead.map(|dead| Alert {
                dead,
                again_ms: self.again_after.map(whole_ms),
                fired_at: None,
            }),
        };
        store.act_as(operator::name());
        store.add_hook(&hook)?;
        let line = format!("hook {} added", hook.name);
        context.output.done(&HookView::from(hook), &line);
        Ok(Exit::OK)
    }
}
