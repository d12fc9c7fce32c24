//! `schedule:backfill`: makes the jobs of times that have passed.

use std::io;

use anyhow::Result;
use clap::Args;
use jiff::ZonedDateTime;
use queuectl_core::{ScheduleName, Timestamp, parse_time};
use queuectl_views::TickJobView;

use super::times::{Times, in_zone};
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::output::warn_unprinted;
use crate::registry::Run;

/// Store the jobs of a schedule's past times that have none
#[derive(Debug, Args)]
#[command(after_help = "\
Times for which the schedule made a job are left out, so the command can be repeated. The jobs are pending at once and \
run beside each other, whatever --overlap says; they find their time in QUEUECTL_SCHEDULED_AT. @every has no times before the schedule was made. At most 1000 at a time, \
all or none.")]
pub struct BackfillArgs {
    /// The schedule's name
    #[arg(value_name = "NAME")]
    name: ScheduleName,
    /// From this time: '2026-12-24 18:00' (local) or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = past)]
    from: Timestamp,
    /// Up to this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = past)]
    to: Option<Timestamp>,
}

fn past(text: &str) -> Result<Timestamp, String> {
    parse_time(text, &ZonedDateTime::now())
}

impl Run for BackfillArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open_existing()?;
        let now = store.now()?;
        let to = self.to.unwrap_or(now);
        if to < self.from {
            return Err(Usage::new("--to is before --from").into());
        }
        let schedule = store.schedule(&self.name)?;
        let times = Times::of(&schedule.spec, schedule.start_at)?;
        let done = store.backfill_schedule(&self.name, self.from, to, now)?;
        let mut records = context.output.records(io::stdout());
        for (at, job) in &done.made {
            let view = TickJobView {
                schedule: self.name.to_string(),
                at: *at,
                job: *job,
            };
            let line = format!("job {job} for {}", in_zone(*at, &times.zone));
            let printed = records.item(&view, &line);
            warn_unprinted(printed, || line);
        }
        warn_unprinted(records.flush(), || format!("{} jobs are stored", done.made.len()));
        context.output.remark(&format!(
            "{} jobs stored; {} times had one already",
            done.made.len(),
            done.had_run
        ));
        Ok(Exit::OK)
    }
}
