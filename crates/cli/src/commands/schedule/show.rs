//! `schedule:show`: a schedule with its last ticks.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::LIST_ROWS;
use queuectl_core::{ScheduleName, Timestamp, show_time};
use queuectl_views::{ScheduleDetailView, ScheduleView, TickView};

use super::times::{Times, in_zone};
use crate::context::Context;
use crate::exit::Exit;
use crate::number::whole;
use crate::output::table::Column;
use crate::output::time::local;
use crate::registry::Run;
use queuectl_frontend::load::OVERLAP_MS;

/// Show a schedule and what became of its last ticks
#[derive(Debug, Args)]
#[command(after_help = "\
Lists every tick, including skipped ones with their reason; a long gap is one row with a count. The newest 1000 \
ticks of a schedule are kept, even if their jobs are purged.")]
pub struct ShowArgs {
    /// The schedule's name
    #[arg(value_name = "NAME")]
    name: ScheduleName,
    /// How many of its last ticks [default: 10 for people, all for programs]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>(LIST_ROWS))]
    ticks: Option<u32>,
}

const TICKS: [Column; 5] = [
    Column::whole("TICK"),
    Column::whole("RESULT"),
    Column::whole("JOB"),
    Column::whole("MADE AFTER").expendable(1),
    Column::sentence("REASON", 12).if_any(),
];

impl Run for ShowArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let schedule = store.schedule(&self.name)?;
        let most = context.output.limit(self.ticks, 10).unwrap_or(u32::MAX);
        let ticks = store.ticks(&self.name, most)?;
        let since = Timestamp(store.now()?.0.saturating_sub(OVERLAP_MS));
        let overlapped = store.overlapped_ticks(&self.name, since)?;
        let zone = Times::of(&schedule.spec, schedule.start_at).map(|times| times.zone);
        let view = ScheduleDetailView {
            schedule: ScheduleView::from(schedule),
            overlapped,
            ticks: ticks.into_iter().map(TickView::from).collect(),
        };
        context.output.document(&view, |page| {
            for (name, value) in fields(&view.schedule) {
                page.field(name, &value)?;
            }
            if view.overlapped > 0 {
                page.field("overlapped", &overlapped_in_words(view.overlapped))?;
            }
            if view.ticks.is_empty() {
                return Ok(());
            }
            page.text("")?;
            let at = |time| {
                zone.as_ref()
                    .map_or_else(|_| local(time), |zone| in_zone(time, zone))
            };
            let rows = view.ticks.iter().map(|tick| {
                let result = match (tick.count, tick.more) {
                    (1, _) => tick.result.to_string(),
                    (count, false) => format!("{} ({count} ticks)", tick.result),
                    (count, true) => format!("{} (over {count} ticks)", tick.result),
                };
                let after = tick.made_at.since(tick.at);
                vec![
                    at(tick.at),
                    result,
                    tick.job.map_or_else(|| "-".to_owned(), |job| job.to_string()),
                    queuectl_core::show_short(after.max(Duration::from_millis(1))),
                    tick.reason.clone().unwrap_or_default(),
                ]
            });
            page.table(&TICKS, rows)
        })?;
        Ok(Exit::OK)
    }
}

fn overlapped_in_words(count: u64) -> String {
    let ticks = if count == 1 {
        "1 tick"
    } else {
        &format!("{count} ticks")
    };
    format!("{ticks} of the last 24 h skipped: a run takes longer than the time between two ticks")
}

fn fields(view: &ScheduleView) -> Vec<(&'static str, String)> {
    let zone = Times::read(&view.when, &view.tz, view.created_at).map(|times| times.zone);
    let at = |time| {
        zone.as_ref()
            .map_or_else(|_| local(time), |zone| in_zone(time, zone))
    };
    let paused = view.paused_at.map(|since| {
        let reason = view.paused_reason.as_ref();
        reason.map_or_else(
            || format!("since {}", at(since)),
            |reason| format!("since {}: {reason}", at(since)),
        )
    });
    let next = match (view.next_due, view.paused_at) {
        (_, Some(_)) => None,
        (Some(next), None) => Some(at(next)),
        (None, None) => Some("not within eight years".to_owned()),
    };
    let all = [
        ("schedule", Some(view.schedule.clone())),
        ("when", Some(view.when.clone())),
        ("time zone", Some(view.tz.clone())),
        ("next", next),
        ("paused", paused),
        ("command", Some(view.command.clone())),
        ("queue", Some(view.queue.to_string())),
        ("executor", Some(view.executor.to_string())),
        (
            "missed",
            Some(format!(
                "{}, within {}",
                view.missed,
                show_time(view.missed_within_ms)
            )),
        ),
        ("overlap", Some(view.overlap.to_string())),
        ("jitter", view.jitter_ms.map(show_time)),
        (
            "pause after",
            view.pause_after.map(|runs| format!("{runs} dead runs in a row")),
        ),
        ("owner", view.owner.clone()),
        ("unreadable", view.unreadable.clone()),
    ];
    all.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}
