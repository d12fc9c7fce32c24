//! `stats`: how jobs fared in a span of time.

use std::io;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::STATS_NAMES;
use queuectl_core::selector::{Filter, Word};
use queuectl_core::{LabelMatch, QueueName, show_rough, show_short};
use queuectl_frontend::stats::{self, By};
use queuectl_views::{StatsOfView, StatsSource, StatsView, TimesView};

use super::select::{narrow, selector};
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::moment::{Moment, moment};
use crate::number::whole;
use crate::output::page::Page;
use crate::output::table::Column;
use crate::output::time::local;
use crate::registry::Run;

/// Say how many jobs ended, how long they waited and how long they ran
#[derive(Debug, Args)]
#[command(after_help = "\
Counts the jobs that ended in a span of time: those that are stored, at most a million, those that ended last. If jobs of that time \
were removed (retention, purge), or there are more, it is told by the history, which is kept for the time of the setting \
history_retention: in whole minutes, and in whole hours of what is more than a day ago. The history knows queues and executors alone: \
other filters, --by command and --by label count stored jobs. A job that was retried after its end counts in it for each end. WAIT is the time \
from when a job was stored, delays included, to its first attempt; RUN is how long its last attempt took. \
P50, P95 and P99 are the times that 50, 95 and 99 of 100 jobs did not exceed, within one percent. What dead jobs died of is \
for `queuectl dlq:causes`.")]
pub struct StatsArgs {
    /// Only these jobs: filters such as queue=mail executor=http text~report (`queuectl help selectors`) [default: all]
    #[arg(value_name = "JOB")]
    jobs: Vec<Word>,
    /// From this time: an age such as 2h, a time of day, or a date with a time
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = moment, allow_hyphen_values = true)]
    since: Moment,
    /// Until this time [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    until: Option<Moment>,
    /// Only jobs of this queue; the same as queue=NAME
    #[arg(long, value_name = "NAME")]
    queue: Option<QueueName>,
    /// Also count by this: queue, executor, command (its program), label (each KEY:VALUE of a job) or label:KEY (its value)
    #[arg(long, value_name = "WHAT", value_parser = by)]
    by: Option<By>,
    /// With --by: only the N with the most jobs [default: 20, with --json all]
    #[arg(long, value_name = "N", allow_negative_numbers = true, requires = "by", value_parser = whole::<u32>(STATS_NAMES))]
    limit: Option<u32>,
}

/// Reads what jobs are counted by.
fn by(text: &str) -> Result<By, String> {
    match (text, text.strip_prefix("label:")) {
        ("queue", _) => Ok(By::Queue),
        ("executor", _) => Ok(By::Executor),
        ("command", _) => Ok(By::Command),
        ("label", _) => Ok(By::Label(None)),
        (_, Some(key)) => match key.parse::<LabelMatch>() {
            Ok(label) if label.value().is_none() => Ok(By::Label(Some(key.to_owned()))),
            Ok(_) => Err(format!("'{key}' has a value; expected the key of a label alone")),
            Err(error) => Err(error.to_string()),
        },
        _ => Err("expected queue, executor, command, label or label:KEY".to_owned()),
    }
}

/// Default number of rows in a table.
const ROWS: u32 = 20;
/// The heights of a bar, from one eighth.
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

impl Run for StatsArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let mut selector = selector(&self.jobs)?;
        narrow(
            &mut selector,
            "--queue",
            self.queue.map(|queue| Filter::Queue(vec![queue])),
        )?;
        let filter = store.job_filter(&selector, now)?;
        if !filter.states.is_empty() && !filter.states.iter().any(|state| state.is_final()) {
            let error = Usage::new("only jobs that have ended are counted, and these have not");
            return Err(error
                .hint("leave out state=, or name completed, dead or cancelled; `queuectl status` counts all")
                .into());
        }
        let since = self.since.at(now);
        let until = self.until.map_or(now, |until| until.at(now)).min(now);
        if since >= until {
            return Err(Usage::new("--since has to be before --until, and in the past").into());
        }
        let mut view = stats::stats(&mut store, filter, since, until, now, self.by.clone())?;
        let found = view.by.len();
        let limit = context.output.limit(self.limit, ROWS);
        view.by.truncate(limit.map_or(usize::MAX, |limit| limit as usize));
        let heading = match self.by {
            Some(By::Queue) => "QUEUE",
            Some(By::Executor) => "EXECUTOR",
            Some(By::Label(_)) => "LABEL",
            _ => "COMMAND",
        };
        context
            .output
            .document(&view, |page| print(&view, heading, page))?;
        if found > view.by.len() {
            let shown = view.by.len();
            context
                .output
                .remark(&format!("these are {shown} of {found}; --limit N shows more"));
        }
        if view.source == StatsSource::History {
            let begins = view.history_since.filter(|begins| *begins > view.since);
            let note = match begins {
                Some(begins) => format!("from the history, which begins at {}", local(begins)),
                None => "from the history, because jobs of that time were removed or are too many to count"
                    .to_owned(),
            };
            context.output.remark(&note);
        } else if view.removed_until.is_some_and(|removed| removed >= view.since) {
            context
                .output
                .remark("jobs of that time were removed; only those that are stored were counted");
        }
        if !view.complete {
            let jobs = view.total.jobs;
            context
                .output
                .remark(&format!("only the {jobs} jobs that ended last were counted"));
        }
        Ok(Exit::OK)
    }
}

fn print(view: &StatsView, heading: &'static str, page: &mut Page) -> io::Result<()> {
    let total = &view.total;
    let span = show_rough(view.until.since(view.since));
    let pace = Pace::of(total.jobs, view.until.since(view.since));
    let rate = match total.jobs {
        0 => String::new(),
        jobs => format!(", {} {}", pace.of_jobs(jobs), pace.words),
    };
    page.line(&format!(
        "{} ended in {span}{rate}: {} completed, {} dead, {} cancelled; {}",
        some(total.jobs, "job", "jobs"),
        total.completed,
        total.dead,
        total.cancelled,
        some(total.retries, "retry", "retries"),
    ))?;
    if total.jobs == 0 {
        return Ok(());
    }
    let most = view.ended.iter().copied().max().unwrap_or(0);
    let part = show_short(Duration::from_millis(view.part_ms));
    page.line(&bars(&view.ended, most))?;
    let most = some(most, "job", "jobs");
    page.line(&format!("one column is {part}, the highest {most}"))?;
    if total.dead > 0 {
        let most = view.died.iter().copied().max().unwrap_or(0);
        page.line(&bars(&view.died, most))?;
        page.line(&format!("those that died, the highest {most}"))?;
    }
    if !total.failures.is_empty() {
        let failures: Vec<String> = total
            .failures
            .iter()
            .map(|(kind, count)| format!("{count} {}", kind.replace('_', " ")))
            .collect();
        page.line(&format!("attempts that failed: {}", failures.join(", ")))?;
    }
    page.text("")?;
    let columns = [
        Column::name(if view.by.is_empty() { "JOBS OF" } else { heading }, 12),
        Column::whole("JOBS"),
        Column::whole(pace.heading).expendable(5),
        Column::whole("DEAD"),
        Column::whole("RETRIES").expendable(4),
        Column::whole("WAIT P50"),
        Column::whole("P95"),
        Column::whole("P99").expendable(2),
        Column::whole("MOST").expendable(3),
        Column::whole("RUN P50"),
        Column::whole("P95"),
        Column::whole("P99").expendable(2),
        Column::whole("MOST").expendable(3),
    ];
    let others = |sum: &StatsOfView| sum.name.clone().unwrap_or_else(|| "(others)".to_owned());
    let rows = view.by.iter().map(|sum| row(&others(sum), sum, &pace));
    page.table(&columns, rows.chain([row("all", total, &pace)]))
}

fn some(number: u64, one: &str, several: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { several })
}

/// Jobs in a span of time as a rate, whose unit is the shortest that has at least one of all jobs.
struct Pace {
    words: &'static str,
    heading: &'static str,
    /// Units in the span.
    units: f64,
}

impl Pace {
    fn of(jobs: u64, span: Duration) -> Pace {
        let seconds = span.as_secs_f64();
        let (words, heading, unit) = match seconds / 60.0 {
            minutes if in_float(jobs) >= minutes => ("a minute", "A MINUTE", 60.0),
            minutes if in_float(jobs) * 60.0 >= minutes => ("an hour", "AN HOUR", 3600.0),
            _ => ("a day", "A DAY", 86_400.0),
        };
        Pace {
            words,
            heading,
            units: seconds / unit,
        }
    }

    fn of_jobs(&self, jobs: u64) -> String {
        let rate = in_float(jobs) / self.units;
        match rate.is_finite() {
            true => ((rate * 100.0).round() / 100.0).to_string(),
            false => "-".to_owned(),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
fn in_float(jobs: u64) -> f64 {
    jobs as f64
}

fn row(name: &str, sum: &StatsOfView, pace: &Pace) -> Vec<String> {
    let mut row = vec![
        name.to_owned(),
        sum.jobs.to_string(),
        pace.of_jobs(sum.jobs),
        sum.dead.to_string(),
        sum.retries.to_string(),
    ];
    for times in [sum.waited, sum.ran] {
        row.extend(in_words(times));
    }
    row
}

fn in_words(times: Option<TimesView>) -> [String; 4] {
    let Some(times) = times else {
        return ["-"; 4].map(str::to_owned);
    };
    [times.p50_ms, times.p95_ms, times.p99_ms, times.max_ms].map(|ms| show_short(Duration::from_millis(ms)))
}

/// One bar for each number; what is not zero shows.
fn bars(numbers: &[u64], most: u64) -> String {
    let bar = |number: u64| match (number, most) {
        (0, _) | (_, 0) => ' ',
        _ => {
            let eighths = (u128::from(number) * 8).div_ceil(u128::from(most));
            BARS[usize::try_from(eighths.clamp(1, 8) - 1).unwrap_or(0)]
        }
    };
    numbers.iter().map(|number| bar(*number)).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Pace, bars};

    #[test]
    fn a_rate_has_a_unit_in_which_jobs_can_be_counted() {
        let said = |jobs, hours: u64| {
            let pace = Pace::of(jobs, Duration::from_secs(hours * 3600));
            format!("{} {}", pace.of_jobs(jobs), pace.words)
        };
        assert_eq!(said(60, 1), "1 a minute");
        assert_eq!(said(59, 1), "59 an hour");
        assert_eq!(said(30, 24), "1.25 an hour");
        assert_eq!(said(3, 24), "3 a day");
        assert_eq!(said(1, 240), "0.1 a day");
        assert_eq!(Pace::of(1, Duration::ZERO).of_jobs(1), "-");
    }

    #[test]
    fn bars_show_what_is_not_zero() {
        assert_eq!(bars(&[0, 1, 50, 99, 100], 100), " ▁▄██");
        assert_eq!(bars(&[0, 0], 0), "  ");
        assert_eq!(bars(&[u64::MAX, 1], u64::MAX), "█▁");
    }
}
