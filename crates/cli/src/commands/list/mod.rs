//! `list`: lists jobs, oldest first, and of many only the newest. The order is by number, or, if only states of ended jobs
//! are asked for, by the time of their end; `--sort` has others.
//!
//! `columns`: what is shown of a job. `read`: how jobs are read. `watch`: a list that is drawn again and again.

mod columns;
mod read;
mod watch;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::{LIST_ROWS, SORTED_JOBS};
use queuectl_core::range::Length;
use queuectl_core::selector::{Filter, Selector, Word};
use queuectl_core::{
    Attempt, Clock, GroupName, Job, JobId, QueueName, State, SystemClock, Timestamp, UnknownState,
    parse_duration,
};
use queuectl_storage::{JobFilter, ListFilter, Sort, SortKey, Store};
use queuectl_views::{JobView, ListedView};

pub use self::columns::labels;
pub use self::read::{numbered, pages};

use self::columns::Columns;
use self::watch::Screen;
use super::batch::these_are;
use super::select::{narrow, selector};
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::listed::listed;
use crate::moment::{Moment, moment};
use crate::number::{length, whole};
use crate::output::Output;
use crate::output::escape::line;
use crate::output::list::List;
use crate::output::table::Table;
use crate::registry::Run;
use queuectl_frontend::load;
use queuectl_frontend::reasons::Looked;

/// Default number of rows in a table.
pub const TABLE_ROWS: u32 = 100;
/// Times between two frames of `--watch`.
const INTERVALS: Length = Length {
    min_ms: 100,
    max_ms: 60 * 60 * 1000,
};

/// List jobs
#[derive(Debug, Args)]
#[command(after_help = "\
Columns: id, number, state, queue, priority, attempts, when, created, started, ended, duration, waited, reason, progress, executor, \
group, limits, labels, exit, error, node, command. Duration is how long the newest attempt took, or has taken so far; waited is how \
long the job was stored before that attempt started; exit and error are of the newest attempt that ended. For --json and \
--format, columns choose fields: when is run_at and updated_at, duration is duration_ms; docs/json.md has all.

Keys to sort by: number, state, queue, executor, priority, attempts, when, created, started, ended, duration, waited. With \
--sort, --limit means the first N. Only number has an index, so the other keys read all jobs that fit; at most 100,000 jobs \
are sorted, and of more, --limit says how many are wanted.

With --json, prints one array of all matching jobs; docs/json.md describes the fields.

Examples:
  queuectl list state=dead --since 2h --columns id,exit,error
  queuectl list --sort=-duration --limit 10 --columns id,duration,command
  queuectl list state=failed error~timeout --ids | xargs -r queuectl retry")]
pub struct ListArgs {
    /// The jobs: ids or numbers, 12-20, last, last~2, @GROUP; or filters such as state=dead queue=mail error~timeout
    /// older=2d, which narrow them (`queuectl help selectors`) [default: all]
    #[arg(value_name = "JOB")]
    jobs: Vec<Word>,
    /// Only jobs in one of these states, separated by commas: pending, scheduled, blocked, processing, failed (waiting
    /// for a retry), completed, dead or cancelled; ended jobs are then in the order in which they ended, and scheduled ones
    /// in that of their time [default: all]
    #[arg(long, value_name = "STATE", value_parser = states)]
    state: Option<StateFilter>,
    /// Only jobs of this queue; the same as queue=NAME
    #[arg(long, value_name = "NAME")]
    queue: Option<QueueName>,
    /// Only jobs of this group; the same as group=NAME
    #[arg(long, value_name = "NAME")]
    group: Option<GroupName>,
    /// Only jobs that ended since then, or were enqueued since then and have not ended: 2h (ago), 18:00, '2026-12-24 18:00'
    /// or RFC 3339
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    since: Option<Moment>,
    /// Only jobs that ended by then, or were enqueued by then and have not ended
    #[arg(long, value_name = "TIME", value_parser = moment, allow_hyphen_values = true)]
    until: Option<Moment>,
    /// Show these columns, separated by commas; see below
    #[arg(
        long,
        value_name = "COLUMNS",
        conflicts_with = "fields",
        value_parser = listed(columns::names(), str::parse::<Columns>),
        hide_possible_values = true
    )]
    columns: Option<Columns>,
    /// Sort by these keys, separated by commas, -KEY with the largest first; see below
    #[arg(
        long,
        value_name = "KEYS",
        value_delimiter = ',',
        allow_hyphen_values = true,
        value_parser = listed(SortKey::ALL.map(SortKey::name), str::parse::<Sort>),
        hide_possible_values = true
    )]
    sort: Vec<Sort>,
    /// Print ids alone, one a line, of all jobs that fit
    #[arg(long, conflicts_with_all = ["columns", "watch", "json", "format", "fields"])]
    ids: bool,
    /// Draw the list again at intervals, such as 5s, until Ctrl-C, on a terminal [default interval: 2s]
    #[arg(
        long,
        value_name = "INTERVAL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "2s",
        value_parser = length(INTERVALS),
        conflicts_with_all = ["json", "format", "fields", "raw"]
    )]
    watch: Option<Duration>,
    /// Only the newest N, or with --sort the first [default: 100, with --json or --ids all]
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole::<u32>(LIST_ROWS))]
    limit: Option<u32>,
    /// Also show what may be secret, as with `show`
    #[arg(long)]
    secrets: bool,
}

/// Some states, or all if there are none.
#[derive(Debug, Clone)]
struct StateFilter(Vec<State>);

fn states(text: &str) -> Result<StateFilter, UnknownState> {
    if text.eq_ignore_ascii_case("all") {
        return Ok(StateFilter(Vec::new()));
    }
    let states = text.split(',').map(str::parse);
    states.collect::<Result<_, _>>().map(StateFilter)
}

/// Returns the words with the interval as the value of `--watch`, if a length of time with a unit follows it. Without a unit it
/// is the number of a job.
fn with_interval(words: &[OsString]) -> Option<Vec<OsString>> {
    let options = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let at = words[..options].iter().position(|word| word == "--watch")?;
    let interval = words[..options].get(at + 1)?.to_str()?;
    let has_unit = interval.ends_with(|c: char| c.is_ascii_alphabetic());
    if !has_unit || parse_duration(interval).is_err() {
        return None;
    }
    let mut joined = words.to_vec();
    joined.remove(at + 1);
    joined[at] = format!("--watch={interval}").into();
    Some(joined)
}

impl Run for ListArgs {
    fn reread(&mut self, words: &[OsString], _: bool) -> Result<Option<Vec<OsString>>, String> {
        Ok(self.watch.and_then(|_| with_interval(words)))
    }

    fn run(self, context: &Context) -> Result<Exit> {
        let mut selector = selector(&self.jobs)?;
        let states = self
            .state
            .map(|filter| filter.0)
            .filter(|states| !states.is_empty());
        narrow(&mut selector, "--state", states.map(Filter::State))?;
        narrow(
            &mut selector,
            "--queue",
            self.queue.map(|queue| Filter::Queue(vec![queue])),
        )?;
        narrow(
            &mut selector,
            "--group",
            self.group.map(|group| Filter::Group(vec![group])),
        )?;
        let mut query = Query {
            selector,
            since: self.since,
            until: self.until,
            sort: self.sort,
            limit: self.limit,
        };
        let columns = self.columns.unwrap_or_default();
        let mut rows = Rows {
            columns,
            secrets: self.secrets,
            printed: None,
        };
        if let Some(interval) = self.watch {
            return watch(&query, &rows, interval, context);
        }
        let mut store = context.open()?;
        if self.ids {
            print_ids(&mut store, &query)?;
            return Ok(Exit::OK);
        }
        query.limit = context.output.limit(self.limit, TABLE_ROWS);
        let now = store.now()?;
        let plan = query.plan(&mut store, now)?;
        let of_table = rows.columns.of_table();
        let mut list = match rows.columns.are_asked_for {
            true => context.output.list_of(&of_table, rows.columns.fields())?,
            false => context.output.long_list(&of_table)?,
        };
        rows.printed =
            (context.output.prints_all_fields() && !rows.columns.are_asked_for).then_some(context.output);
        let more = rows.add(&mut store, plan, now, &mut list)?;
        list.end()?;
        if let (Some(more), Some(limit)) = (more, query.limit) {
            context.output.remark(&these_are(more, limit, ("job", "jobs")));
        }
        Ok(Exit::OK)
    }
}

/// Which jobs are listed, and in which order.
#[derive(Clone)]
struct Query {
    selector: Selector,
    since: Option<Moment>,
    until: Option<Moment>,
    sort: Vec<Sort>,
    limit: Option<u32>,
}

impl Query {
    /// Finds out which jobs these are. What is refused is refused here, before anything is printed.
    fn plan(&self, store: &mut Store, now: Timestamp) -> Result<Plan> {
        let mut jobs = store.job_filter(&self.selector, now)?;
        let since = self.since.map(|since| since.at(now));
        let until = self.until.map(|until| until.at(now));
        if let (Some(since), Some(until)) = (since, until)
            && since > until
        {
            return Err(Usage::new("--since has to be before --until").into());
        }
        jobs.since = jobs.since.max(since);
        jobs.until = [jobs.until, until].into_iter().flatten().min();
        let sort = self.order(&jobs);
        if sort.is_empty() {
            let filter = ListFilter {
                jobs,
                ..ListFilter::default()
            };
            return Ok(Plan::Pages(Box::new(filter), self.limit));
        }
        let limit = self.limit.unwrap_or(SORTED_JOBS);
        let is_too_many = limit > SORTED_JOBS;
        let mut numbers = match is_too_many {
            true => Vec::new(),
            false => store.sorted(&jobs, &sort, limit + 1, now)?,
        };
        let more = numbers.len() > limit as usize;
        if is_too_many || more && self.limit.is_none() {
            let message = format!("--sort sorts at most {SORTED_JOBS} jobs, and there may be more");
            return Err(Usage::new(message)
                .hint(format!(
                    "narrow them with a filter, or add --limit N with at most {SORTED_JOBS}"
                ))
                .into());
        }
        numbers.truncate(limit as usize);
        Ok(Plan::Sorted(numbers, more))
    }

    /// Returns the order that was asked for; nothing if it is that of an index, oldest first.
    fn order(&self, jobs: &JobFilter) -> Vec<Sort> {
        let usual = match jobs.is_by_end() {
            true => SortKey::Ended,
            false => SortKey::Number,
        };
        match self.sort[..] {
            // Programs that read all of them have no use for an order that takes all of them at once.
            [] if jobs.states == [State::Scheduled] && self.limit.is_some() => vec![SortKey::When.into()],
            [sort] if sort == usual.into() && self.limit.is_none() => Vec::new(),
            _ => self.sort.clone(),
        }
    }
}

/// The jobs of a list, found or to be found.
enum Plan {
    /// In the order of an index, page by page, and of many the newest.
    Pages(Box<ListFilter>, Option<u32>),
    /// These, and whether there are more.
    Sorted(Vec<JobId>, bool),
}

impl Plan {
    /// Visits the jobs. Returns which of them these are, if there are more: the newest or the first.
    fn visit(
        self,
        store: &mut Store,
        visit: impl FnMut(&mut Store, Job) -> Result<()>,
    ) -> Result<Option<&'static str>> {
        match self {
            Plan::Pages(filter, limit) => {
                let more = pages(store, *filter, limit, visit)?;
                Ok(more.then_some("newest"))
            }
            Plan::Sorted(numbers, more) => {
                numbered(store, &numbers, visit)?;
                Ok(more.then_some("first"))
            }
        }
    }
}

/// What is shown of the jobs.
struct Rows {
    columns: Columns,
    secrets: bool,
    /// Set if fields of the job are printed, whatever the columns are; tells which.
    printed: Option<Output>,
}

impl Rows {
    /// Adds the jobs to a list. Returns which of them these are, if there are more.
    fn add(
        &self,
        store: &mut Store,
        plan: Plan,
        now: Timestamp,
        list: &mut List,
    ) -> Result<Option<&'static str>> {
        let settings = store.settings()?;
        let mut reasons = Looked::default();
        let with_reason = match self.printed {
            Some(output) => output.prints(&["reason"]),
            None => self.columns.show(&["reason"]),
        };
        plan.visit(store, |store, job| {
            let reason = match with_reason {
                true => reasons.first(store, &job, now),
                false => None,
            };
            let last = self.last(store, &job)?;
            let message = last.as_ref().map(|last| last.outcome.message.clone());
            let error = match self.printed {
                Some(output) if output.prints(&["error"]) => load::last_error(store, &job)?,
                _ => message.filter(|message| !message.is_empty()),
            };
            let mut view = JobView::new(job, error, &settings, self.secrets);
            view.reason = reason;
            let listed = ListedView::new(view, last.as_ref(), now);
            match self.columns.are_asked_for {
                true => list.item(&listed, || self.columns.row(&listed, now))?,
                false => list.item(&listed.job, || self.columns.row(&listed, now))?,
            }
            Ok(())
        })
    }

    /// Looks up the newest ended attempt, if something of it is shown.
    fn last(&self, store: &mut Store, job: &Job) -> Result<Option<Attempt>> {
        let of_attempt = ["exit_code", "duration_ms", "error"];
        if self.printed.is_some() || job.fence == 0 || !self.columns.show(&of_attempt) {
            return Ok(None);
        }
        Ok(store.last_attempt(job.id)?)
    }
}

fn print_ids(store: &mut Store, query: &Query) -> Result<()> {
    let now = store.now()?;
    let mut out = BufWriter::new(io::stdout().lock());
    query.plan(store, now)?.visit(store, |_, job| {
        writeln!(out, "{}", line(&job.public_id()))?;
        Ok(())
    })?;
    Ok(out.flush()?)
}

/// Draws the list until it is to end.
fn watch(query: &Query, rows: &Rows, interval: Duration, context: &Context) -> Result<Exit> {
    let mut store = context.open()?;
    let mut screen = Screen::enter(interval)?;
    loop {
        let (width, height) = Screen::size();
        let room = u32::try_from(height - 1).unwrap_or(u32::MAX);
        let query = Query {
            limit: Some(query.limit.map_or(room, |limit| limit.min(room))),
            ..query.clone()
        };
        let mut list = List::Table(Table::new(&rows.columns.of_table(), false));
        let added = draw(&mut store, &query, rows, &mut list);
        let lines = added.map(|()| list.frame(width));
        if !screen.draw(SystemClock.now(), lines)? {
            return Ok(Exit::OK);
        }
    }
}

fn draw(store: &mut Store, query: &Query, rows: &Rows, list: &mut List) -> Result<()> {
    let now = store.now()?;
    let plan = query.plan(store, now)?;
    rows.add(store, plan, now, list).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_may_stand_behind_watch() {
        let joined = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            with_interval(&words).map(|words| words.join(" ".as_ref()).into_string().unwrap())
        };
        let read = joined(&["queuectl", "list", "--watch", "500ms", "last"]);
        assert_eq!(read.as_deref(), Some("queuectl list --watch=500ms last"));
        for words in [
            &["queuectl", "list", "--watch", "5"][..],
            &["queuectl", "list", "--watch", "state=dead"],
            &["queuectl", "list", "--watch=5s", "5s"],
            &["queuectl", "list", "--watch", "--", "5s"],
            &["queuectl", "list", "--watch"],
        ] {
            assert_eq!(joined(words), None, "{words:?}");
        }
    }
}
