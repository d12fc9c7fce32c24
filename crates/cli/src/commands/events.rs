//! `events`: prints what happened to jobs and queues, also while it happens.

use std::io;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::LIST_ROWS;
use queuectl_core::{JobId, JobRef};
use queuectl_frontend::load;
use queuectl_storage::{EventPlace, Store};
use queuectl_views::EventView;

use super::list::TABLE_ROWS;
use super::waiter::Waiter;
use crate::context::Context;
use crate::exit::Exit;
use crate::moment::{Moment, moment};
use crate::number::whole;
use crate::output::diagnostics;
use crate::output::table::Column;
use crate::output::time::local;
use crate::registry::Run;

/// Print what happened to jobs and queues
#[derive(Debug, Args)]
#[command(after_help = "\
Events are recorded while the setting event_retention is not 0, its default: `queuectl config:set event_retention 7d`. They \
are written by the transactions that they describe, so none is missing or recorded twice; docs/flow.md lists them. \
With --follow, --json prints one document a line.

Examples:
  queuectl events --job 12
  queuectl events --since 2h
  queuectl events --follow --json | jq .kind")]
pub struct EventsArgs {
    /// Only of this job
    #[arg(long, value_name = "JOB")]
    job: Option<JobRef>,
    /// Only those after the event with this number, or since this time: 2h (ago), 18:00, '2026-12-24 18:00' or RFC 3339
    #[arg(long, value_name = "ID|TIME", value_parser = since)]
    since: Option<Since>,
    /// Only the newest N, or with --since the first N [default: 100, with --json all]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>(LIST_ROWS))]
    limit: Option<u32>,
    /// Go on with what happens from now on, or with --since or --limit from there on
    #[arg(short, long)]
    follow: bool,
}

/// Where to begin.
#[derive(Debug, Clone, Copy)]
enum Since {
    Event(i64),
    At(Moment),
}

fn since(text: &str) -> Result<Since, String> {
    if text.bytes().all(|byte| byte.is_ascii_digit())
        && let Ok(id) = text.parse()
    {
        return Ok(Since::Event(id));
    }
    moment(text).map(Since::At)
}

pub const COLUMNS: [Column; 6] = [
    Column::whole("EVENT").expendable(3),
    Column::whole("TIME").expendable(2),
    Column::name("JOB", 8),
    Column::whole("WHAT"),
    Column::whole("NODE").expendable(1),
    Column::sentence("DETAIL", 16),
];

/// Events per query.
const PAGE: u32 = 500;

impl Run for EventsArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let job = match &self.job {
            // Events outlive their jobs.
            Some(JobRef::Number(id)) => Some(*id),
            Some(name) => Some(store.job(name)?.id),
            None => None,
        };
        let limit = context.output.limit(self.limit, TABLE_ROWS);
        let place = match (self.since, limit) {
            (Some(since), _) => place(&mut store, since)?,
            (None, _) if self.follow && self.limit.is_none() => store.newest_events_from(job, 0)?,
            (None, Some(limit)) => store.newest_events_from(job, limit)?,
            (None, None) => EventPlace::START,
        };
        if self.follow {
            return follow(&mut store, job, place, context);
        }
        let mut list = context.output.long_list(&COLUMNS)?;
        let (mut place, mut left) = (place, limit.unwrap_or(u32::MAX));
        let mut any = false;
        while left > 0 {
            let page = store.events_after(job, place, left.min(PAGE))?;
            let Some(last) = page.last() else { break };
            (place, any) = (last.place, true);
            left -= u32::try_from(page.len()).unwrap_or(left);
            for event in page {
                let view = load::event(event);
                list.item(&view, || row(&view).into())?;
            }
        }
        list.end()?;
        if !any {
            say_if_off(&mut store, context)?;
        }
        Ok(Exit::OK)
    }
}

fn place(store: &mut Store, since: Since) -> Result<EventPlace> {
    Ok(match since {
        Since::Event(id) => store.event_place(id)?,
        Since::At(moment) => {
            let now = store.now()?;
            store.event_place_at(moment.at(now))?
        }
    })
}

fn say_if_off(store: &mut Store, context: &Context) -> Result<()> {
    if store.settings()?.event_retention.is_zero() {
        context.output.remark(
            "nothing is recorded; `queuectl config:set event_retention 7d` has it recorded from then on",
        );
    }
    Ok(())
}

/// How long nothing comes before it is looked whether events are held up.
const HELD_UP: Duration = Duration::from_secs(5);

/// Prints events as they come, until the process is ended.
fn follow(store: &mut Store, job: Option<JobId>, mut place: EventPlace, context: &Context) -> Result<Exit> {
    say_if_off(store, context)?;
    let mut waiter = Waiter::new(None);
    let mut records = context.output.records(io::stdout());
    // Since when nothing came, until it was said why.
    let mut quiet = Some(Instant::now());
    loop {
        let marker = waiter.ask(store, Store::change_marker)?;
        let page = waiter.ask(store, |store| store.events_after(job, place, PAGE))?;
        let is_full = page.len() >= PAGE as usize;
        if !page.is_empty() {
            quiet = Some(Instant::now());
        }
        for event in page {
            place = event.place;
            let view = load::event(event);
            records.item(&view, &line(&view))?;
        }
        records.flush()?;
        if is_full {
            continue;
        }
        while waiter.ask(store, Store::change_marker)? == marker {
            waiter.pause();
            if quiet.is_some_and(|since| since.elapsed() >= HELD_UP)
                && waiter.ask(store, Store::events_are_held_up)?
            {
                quiet = None;
                diagnostics::note(
                    "newer events wait for a long transaction on the server to end; \
                     pg_stat_activity shows the oldest by xact_start",
                );
            }
        }
    }
}

/// Returns the cells of an event.
pub fn row(view: &EventView) -> [String; 6] {
    [
        view.event.to_string(),
        local(view.at),
        view.id.clone().unwrap_or_else(|| "-".to_owned()),
        view.kind.clone(),
        view.node.map_or_else(|| "-".to_owned(), |node| node.to_string()),
        view.in_words(local),
    ]
}

fn line(view: &EventView) -> String {
    let job = view
        .id
        .as_ref()
        .map_or_else(String::new, |id| format!(" job {id}"));
    let node = view.node.map_or_else(String::new, |node| format!(" node={node}"));
    let said = view.in_words(local);
    let said = if said.is_empty() {
        said
    } else {
        format!(": {said}")
    };
    format!("{}{job} {}{node}{said}", local(view.at), view.kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_an_event_or_a_time() {
        assert!(matches!(since("12"), Ok(Since::Event(12))));
        assert!(matches!(since("2h"), Ok(Since::At(Moment::Ago(7_200_000)))));
        assert!(since("soon").is_err());
    }
}
