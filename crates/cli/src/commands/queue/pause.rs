//! `queue:pause`: starts no more jobs of queues, until they are resumed or for some time.

use std::io;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::PAUSE;
use queuectl_core::{QueueName, State, Timestamp, parse_reason};
use queuectl_storage::{Pause, Store};
use queuectl_views::QueueChangedView;

use crate::context::Context;
use crate::exit::Exit;
use crate::number::length;
use crate::operator;
use crate::output::time::local;
use crate::output::warn_unprinted;
use crate::registry::Run;

/// Start no more jobs of queues; running jobs go on
#[derive(Debug, Args)]
#[command(after_help = "\
Jobs of a paused queue stay as they are, and new ones can be enqueued. A queue that has no jobs yet can be paused. A \
pause survives restarts, until `queue:resume` or the end of --for. Pausing a paused queue changes its reason and its \
end. Jobs that a node has claimed ahead, at most 50 ms of work per slot, still run.")]
pub struct PauseArgs {
    /// The queues' names
    #[arg(value_name = "NAME", required = true)]
    queues: Vec<QueueName>,
    /// Why, for those who see the pause
    #[arg(long, value_name = "TEXT", value_parser = parse_reason)]
    reason: Option<String>,
    /// Resume by itself after this time, such as 30m or 2h
    #[arg(long = "for", value_name = "DURATION", value_parser = length(PAUSE), allow_hyphen_values = true)]
    time: Option<Duration>,
}

impl Run for PauseArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open_or_create()?;
        let now = store.now()?;
        let pause = Pause {
            at: now,
            until: self.time.map(|time| now.after(time)),
            by: operator::name(),
            reason: self.reason,
        };
        store.pause_queues(&self.queues, &pause)?;
        let mut records = context.output.records(io::stdout());
        for queue in &self.queues {
            let running = running(&mut store, queue)?;
            let view = QueueChangedView {
                queue: queue.as_str(),
                result: "paused",
                until: pause.until,
                running,
            };
            let line = line(queue, pause.until, running);
            let printed = records.item(&view, &line);
            warn_unprinted(printed.and_then(|()| records.flush()), || line);
        }
        Ok(Exit::OK)
    }
}

fn line(queue: &QueueName, until: Option<Timestamp>, running: u64) -> String {
    let mut line = format!("{queue} paused");
    if let Some(until) = until {
        line.push_str(&format!(" until {}", local(until)));
    }
    match running {
        0 => {}
        1 => line.push_str("; 1 running job goes on"),
        _ => line.push_str(&format!("; {running} running jobs go on")),
    }
    line
}

/// Returns how many jobs of a queue run, or were claimed to.
pub fn running(store: &mut Store, queue: &QueueName) -> Result<u64> {
    let counts = store.counts(Some(queue))?;
    let running = counts.iter().find(|count| count.state == State::Processing);
    Ok(running.map_or(0, |count| count.jobs))
}
