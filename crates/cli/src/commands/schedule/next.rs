//! `schedule:next`: when a schedule, or an expression, will run.

use anyhow::Result;
use clap::Args;
use queuectl_core::range::Whole;
use queuectl_core::{Clock, IdError, ScheduleName, SystemClock};
use queuectl_views::NextTickView;

use super::times::{Times, here, in_zone};
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::number::whole;
use crate::output::table::Column;
use crate::registry::Run;

/// Print when a schedule runs next, by its clock and in UTC
#[derive(Debug, Args)]
pub struct NextArgs {
    /// The schedule's name
    #[arg(
        value_name = "NAME",
        required_unless_present = "expr",
        conflicts_with_all = ["expr", "tz"],
        value_parser = name
    )]
    name: Option<ScheduleName>,
    /// An expression instead of a schedule
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    expr: Option<String>,
    /// The time zone of --expr [default: this machine's]
    #[arg(long, value_name = "ZONE")]
    tz: Option<String>,
    /// How many times
    #[arg(long, value_name = "N", default_value = "5", allow_negative_numbers = true, value_parser = whole::<u32>(COUNT))]
    count: u32,
}

/// Reads a schedule's name. Says what an expression in its place needs.
fn name(text: &str) -> Result<ScheduleName, String> {
    text.parse().map_err(|error: IdError| {
        match text.starts_with('@') || text.split_whitespace().count() > 1 {
            true => format!("{error}; the times of an expression are those of --expr '{text}'"),
            false => error.to_string(),
        }
    })
}

const COUNT: Whole = Whole { min: 1, max: 1000 };

const COLUMNS: [Column; 2] = [Column::whole("LOCAL"), Column::whole("UTC")];

impl Run for NextArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let (times, after, tz) = match (self.name, self.expr) {
            (Some(name), _) => {
                let mut store = context.open()?;
                let schedule = store.schedule(&name)?;
                if schedule.paused.is_some() {
                    context.output.remark(&format!("note: schedule {name} is paused"));
                }
                let times = Times::of(&schedule.spec, schedule.start_at)?;
                (times, store.now()?, schedule.spec.zone)
            }
            (None, Some(expr)) => {
                let now = SystemClock.now();
                let tz = self.tz.unwrap_or_else(here);
                (Times::read(&expr, &tz, now)?, now, tz)
            }
            (None, None) => return Err(Usage::new("a schedule or --expr is missing").into()),
        };
        context.output.remark(&format!("time zone {tz}"));
        let mut list = context.output.list(&COLUMNS)?;
        let mut found = false;
        for at in times.after(after).take(self.count as usize) {
            found = true;
            let view = NextTickView {
                local: in_zone(at, &times.zone),
                at,
            };
            let utc = in_zone(at, &queuectl_scheduler::cron::Zone::UTC);
            list.item(&view, || {
                vec![view.local.clone(), utc.trim_end_matches(" +00:00").to_owned()]
            })?;
        }
        list.end()?;
        if !found {
            context.output.remark("it does not come within eight years");
        }
        Ok(Exit::OK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_in_the_place_of_a_name_is_told_its_option() {
        assert_eq!(
            name("nightly").map(|name| name.to_string()),
            Ok("nightly".to_owned())
        );
        for text in ["0 9 * * MON-FRI", "@daily"] {
            let said = name(text).unwrap_err();
            assert!(said.ends_with(&format!("--expr '{text}'")), "{said}");
        }
        assert!(!name("-x").unwrap_err().contains("--expr"));
    }
}
