//! `schedule:backfill`: makes the jobs of times that have passed.

use std::io;

use anyhow::Result;
use clap::Args;
use jiff::ZonedDateTime;
use queuectl_core::{JobId, ScheduleName, Timestamp, parse_time};
use queuectl_views::TickJobView;

use super::times::{Times, in_zone};
use crate::commands::batch::line;
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
    /// Only say for which times a job would be stored
    #[arg(long)]
    dry_run: bool,
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
        let (made, had_run): (Vec<(Timestamp, Option<JobId>)>, u32) = match self.dry_run {
            true => {
                let (ticks, had_run) = store.backfill_ticks(&self.name, self.from, to, now)?;
                (ticks.into_iter().map(|at| (at, None)).collect(), had_run)
            }
            false => {
                let done = store.backfill_schedule(&self.name, self.from, to, now)?;
                let made = done.made.into_iter().map(|(at, job)| (at, Some(job)));
                (made.collect(), done.had_run)
            }
        };
        let mut records = context.output.records(io::stdout());
        for (at, job) in &made {
            let view = TickJobView {
                schedule: self.name.to_string(),
                at: *at,
                job: *job,
            };
            let at = in_zone(*at, &times.zone);
            let said = match job {
                Some(job) => format!("job {job} for {at}"),
                None => format!("a job for {at}"),
            };
            let printed = records.item(&view, &said);
            warn_unprinted(printed, || said);
        }
        let would = if self.dry_run { "would be" } else { "are" };
        warn_unprinted(records.flush(), || {
            line(made.len() as u64, &format!("{would} stored"))
        });
        context.output.remark(&format!(
            "{}; {had_run} times had one already",
            line(
                made.len() as u64,
                if self.dry_run { "would be stored" } else { "stored" }
            ),
        ));
        Ok(Exit::OK)
    }
}
