//! How jobs fared in a span of time: how many ended, how long they waited and ran.
//!
//! It is worked out from the jobs that are stored. If some of them were removed, or there are too many, it is worked out from the
//! history, as far as that can say what was asked for, and from the jobs that are not in it yet.

use std::collections::{BTreeMap, HashMap};

use queuectl_core::{State, Timestamp};
use queuectl_dlq::program;
use queuectl_storage::{
    EndedJob, EndedWith, Ends, FAILURES, HistoryEntry, HistoryState, JobFilter, Position, Sketch, Store,
    StoreError,
};
use queuectl_views::{StatsOfView, StatsSource, StatsView, TimesView};

/// Jobs that are looked at, those that ended last.
pub const JOBS: u64 = 1_000_000;
/// Names that are told apart; jobs of others are counted together.
pub const NAMES: usize = 200;
/// Parts of the span of time.
pub const PARTS: u64 = 60;
/// Jobs that are read at a time.
const PAGE: u32 = 1000;
/// The spans of the history, in ms: hours after a day.
const MINUTE_MS: u64 = 60 * 1000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// What jobs are counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// Their queue.
    Queue,
    /// Their executor.
    Executor,
    /// The program of their command.
    Command,
    /// Their labels, each of which counts a job; or the value of the label with this key.
    Label(Option<String>),
}

impl By {
    fn names(&self, job: &EndedJob) -> Vec<String> {
        let name = match self {
            By::Queue => job.queue.to_string(),
            By::Executor => job.executor.to_string(),
            By::Command => match &job.command {
                Some(command) => program(command),
                None => job.executor.to_string(),
            },
            By::Label(Some(key)) => return job.labels.get(key).cloned().into_iter().collect(),
            By::Label(None) => {
                let labels = job.labels.iter();
                return labels.map(|(key, value)| format!("{key}:{value}")).collect();
            }
        };
        vec![name]
    }
}

/// Looks how the jobs fared that ended between two times, seen from `now`. Of a filter, states that are not final do not count.
///
/// # Errors
/// [`StoreError::Database`].
pub fn stats(
    store: &mut Store,
    filter: JobFilter,
    since: Timestamp,
    until: Timestamp,
    now: Timestamp,
    by: Option<By>,
) -> Result<StatsView, StoreError> {
    let filter = JobFilter {
        since: Some(since),
        until: Some(until),
        ..filter
    };
    let state = store.history_state()?;
    let is_told =
        is_told_by_history(&filter, by.as_ref()) && state.begins.is_some_and(|begins| begins < until);
    if is_told && since <= state.removed_to {
        return by_history(store, &filter, since, until, now, by);
    }
    let mut fold = Fold::new(since, until, by.clone(), 1000);
    let complete = add_jobs(store, &mut fold, &filter, None)?;
    let is_counted = state.counted_to().is_some_and(|counted| since < counted);
    if !complete && is_told && is_counted {
        return by_history(store, &filter, since, until, now, by);
    }
    Ok(fold.view(complete, StatsSource::Jobs, state))
}

/// Whether the history says what was asked for: it knows jobs by queue and executor alone.
fn is_told_by_history(filter: &JobFilter, by: Option<&By>) -> bool {
    let plain = JobFilter {
        queues: filter.queues.clone(),
        executors: filter.executors.clone(),
        since: filter.since,
        until: filter.until,
        ..JobFilter::default()
    };
    *filter == plain && !matches!(by, Some(By::Command | By::Label(_)))
}

fn by_history(
    store: &mut Store,
    filter: &JobFilter,
    since: Timestamp,
    until: Timestamp,
    now: Timestamp,
    by: Option<By>,
) -> Result<StatsView, StoreError> {
    let is_old = now.since(since).as_millis() >= u128::from(DAY_MS);
    let unit = if is_old { HOUR_MS } else { MINUTE_MS };
    // It begins with a whole minute or hour.
    let since = Timestamp(since.0 - since.0.rem_euclid(unit.cast_signed()));
    let mut fold = Fold::new(since, until, by, unit);
    let state = store.history(since, until, filter, |entry| fold.add_entry(&entry))?;
    let filter = JobFilter {
        since: Some(since),
        ..filter.clone()
    };
    let complete = add_jobs(store, &mut fold, &filter, state.counted)?;
    Ok(fold.view(complete, StatsSource::History, state))
}

/// Adds the stored jobs that fit, those above a place. Returns whether they are all.
fn add_jobs(
    store: &mut Store,
    fold: &mut Fold,
    filter: &JobFilter,
    above: Option<Position>,
) -> Result<bool, StoreError> {
    let with = match &fold.by {
        Some(By::Command) => EndedWith::Commands,
        Some(By::Label(_)) => EndedWith::Labels,
        _ => EndedWith::Nothing,
    };
    let (mut place, mut jobs): (Option<Position>, u64) = (None, 0);
    loop {
        let page = store.ended_page(filter, with, place, above, PAGE)?;
        for job in &page.jobs {
            fold.add(job);
        }
        jobs += page.jobs.len() as u64;
        place = page.next;
        if place.is_none() || jobs >= JOBS {
            return Ok(place.is_none());
        }
    }
}

/// What is known of the jobs so far.
struct Fold {
    since: Timestamp,
    until: Timestamp,
    by: Option<By>,
    total: Ends,
    names: HashMap<String, Ends>,
    others: Ends,
    part_ms: u64,
    ended: Vec<u64>,
    died: Vec<u64>,
}

impl Fold {
    /// Parts are a multiple of `unit` long, in ms.
    fn new(since: Timestamp, until: Timestamp, by: Option<By>, unit: u64) -> Fold {
        // The last part may be longer than what is left of the span.
        let span = u64::try_from(until.0.saturating_sub(since.0)).unwrap_or(0);
        let part_ms = span.div_ceil(PARTS * unit).max(1) * unit;
        let parts = usize::try_from(span / part_ms + 1).expect("there are few");
        Fold {
            since,
            until,
            by,
            total: Ends::default(),
            names: HashMap::new(),
            others: Ends::default(),
            part_ms,
            ended: vec![0; parts],
            died: vec![0; parts],
        }
    }

    /// Adds to the part that a time is in.
    fn add_to_part(&mut self, at: Timestamp, ended: u64, died: u64) {
        let after = u64::try_from(at.0.saturating_sub(self.since.0)).unwrap_or(0);
        let part = usize::try_from(after / self.part_ms).unwrap_or(usize::MAX);
        for (parts, more) in [(&mut self.ended, ended), (&mut self.died, died)] {
            if let Some(count) = parts.get_mut(part) {
                *count += more;
            }
        }
    }

    /// The sum of a name; none if there are too many.
    fn sum_of(&mut self, name: String) -> &mut Ends {
        match !self.names.contains_key(&name) && self.names.len() >= NAMES {
            true => &mut self.others,
            false => self.names.entry(name).or_default(),
        }
    }

    fn add(&mut self, job: &EndedJob) {
        self.total.add(job);
        let died = u64::from(job.state == State::Dead);
        self.add_to_part(job.ended_at, 1, died);
        let names: Vec<String> = self.by.iter().flat_map(|by| by.names(job)).collect();
        for name in names {
            self.sum_of(name).add(job);
        }
    }

    fn add_entry(&mut self, entry: &HistoryEntry) {
        let ends = &entry.ends;
        self.total.merge(ends);
        self.add_to_part(entry.at, ends.jobs(), ends.dead);
        let sum = match (&self.by, &entry.of) {
            (None, _) => return,
            (Some(By::Queue), Some((queue, _))) => self.sum_of(queue.to_string()),
            (Some(By::Executor | By::Command | By::Label(_)), Some((_, executor))) => {
                self.sum_of(executor.to_string())
            }
            (Some(_), None) => &mut self.others,
        };
        sum.merge(ends);
    }

    fn view(self, complete: bool, source: StatsSource, state: HistoryState) -> StatsView {
        let minutes = self.until.since(self.since).as_secs_f64() / 60.0;
        let mut by: Vec<StatsOfView> = self
            .names
            .iter()
            .map(|(name, ends)| view(ends, Some(name.clone()), minutes))
            .collect();
        by.sort_by(|a, b| b.jobs.cmp(&a.jobs).then_with(|| a.name.cmp(&b.name)));
        if self.others.jobs() > 0 {
            by.push(view(&self.others, None, minutes));
        }
        StatsView {
            since: self.since,
            until: self.until,
            source,
            history_since: state.begins,
            removed_until: Some(state.removed_to).filter(|removed| removed.0 > 0),
            complete,
            total: view(&self.total, None, minutes),
            by,
            part_ms: self.part_ms,
            ended: self.ended,
            died: self.died,
        }
    }
}

fn view(ends: &Ends, name: Option<String>, minutes: f64) -> StatsOfView {
    let jobs = ends.jobs();
    #[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
    let per_minute = if minutes > 0.0 { jobs as f64 / minutes } else { 0.0 };
    let failures = FAILURES.iter().zip(ends.failures);
    let failures: BTreeMap<&'static str, u64> = failures
        .filter(|(_, count)| *count > 0)
        .map(|(kind, count)| (kind.name(), count))
        .collect();
    StatsOfView {
        name,
        jobs,
        completed: ends.completed,
        dead: ends.dead,
        cancelled: ends.cancelled,
        retries: ends.retries,
        failures,
        per_minute: (per_minute * 100.0).round() / 100.0,
        waited: times(&ends.waited),
        ran: times(&ends.ran),
    }
}

fn times(sketch: &Sketch) -> Option<TimesView> {
    let ([p50_ms, p95_ms, p99_ms], max_ms) = sketch.at([0.5, 0.95, 0.99])?;
    Some(TimesView {
        p50_ms,
        p95_ms,
        p99_ms,
        max_ms,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use queuectl_core::{Command, ExecutorName, JobId, QueueName};

    use super::*;

    fn jobs_of(fold: Fold, complete: bool) -> StatsView {
        let state = HistoryState {
            counted: None,
            removed_to: Timestamp(0),
            begins: None,
        };
        fold.view(complete, StatsSource::Jobs, state)
    }

    fn job(n: i64, state: State, queue: &str) -> EndedJob {
        EndedJob {
            id: JobId(n),
            queue: queue.parse().expect("a queue"),
            executor: ExecutorName::default(),
            state,
            attempts: 2,
            created_at: Timestamp(0),
            first_started_at: Some(Timestamp(n)),
            last_attempt: Some((Timestamp(n), Timestamp(3 * n))),
            ended_at: Timestamp(3 * n),
            failures: [1, 0, 0, 0, 0, 0],
            command: Some(Command::Line(format!("A=1 /opt/run.sh {n}"))),
            labels: BTreeMap::from([
                ("team".to_owned(), "web".to_owned()),
                (format!("k{}", n % 2), String::new()),
            ]),
        }
    }

    #[test]
    fn a_job_counts_for_each_of_its_labels_and_not_for_those_of_others() {
        let by = |by: By| {
            let mut fold = Fold::new(Timestamp(0), Timestamp(1000), Some(by), 1000);
            (1..=3).for_each(|n| fold.add(&job(n, State::Completed, "default")));
            let view = jobs_of(fold, true);
            assert_eq!(view.total.jobs, 3);
            let names = view.by.into_iter();
            names.map(|sum| (sum.name.unwrap(), sum.jobs)).collect::<Vec<_>>()
        };
        let owned = |names: &[(&str, u64)]| -> Vec<(String, u64)> {
            names
                .iter()
                .map(|(name, jobs)| ((*name).to_owned(), *jobs))
                .collect()
        };
        assert_eq!(
            by(By::Label(None)),
            owned(&[("team:web", 3), ("k1:", 2), ("k0:", 1)])
        );
        assert_eq!(by(By::Label(Some("team".to_owned()))), owned(&[("web", 3)]));
        assert_eq!(by(By::Label(Some("k0".to_owned()))), owned(&[("", 1)]));
        assert_eq!(by(By::Label(Some("none".to_owned()))), []);
    }

    #[test]
    fn times_are_within_one_percent_and_counts_are_exact() {
        let mut fold = Fold::new(Timestamp(0), Timestamp(60_000), Some(By::Queue), 1000);
        for n in 1..=10_000 {
            let state = match n % 10 {
                0 => State::Dead,
                1 => State::Cancelled,
                _ => State::Completed,
            };
            fold.add(&job(n, state, if n <= 100 { "mail" } else { "default" }));
        }
        let view = jobs_of(fold, true);
        let total = &view.total;
        assert_eq!(
            (
                total.jobs,
                total.completed,
                total.dead,
                total.cancelled,
                total.retries
            ),
            (10_000, 8000, 1000, 1000, 10_000)
        );
        assert!((total.per_minute - 10_000.0).abs() < 0.01);
        let waited = total.waited.expect("some waited");
        let ran = total.ran.expect("some ran");
        for (found, exact) in [
            (waited.p50_ms, 5000),
            (waited.p95_ms, 9500),
            (waited.p99_ms, 9900),
            (ran.p50_ms, 10_000),
            (ran.max_ms, 20_000),
        ] {
            assert!(found.abs_diff(exact) * 100 <= exact, "{found} is not {exact}");
        }
        let by: Vec<(Option<&str>, u64)> = view
            .by
            .iter()
            .map(|sum| (sum.name.as_deref(), sum.jobs))
            .collect();
        assert_eq!(by, [(Some("default"), 9900), (Some("mail"), 100)]);
        assert_eq!(view.ended.iter().sum::<u64>(), 10_000);
        assert_eq!(view.ended[0], 333, "those that ended before 1000 ms");
        assert_eq!(view.died.iter().sum::<u64>(), 1000);
        assert_eq!(total.failures, BTreeMap::from([("failed", 10_000)]));
    }

    #[test]
    fn nothing_is_no_error_and_jobs_that_never_ran_have_no_times() {
        let view = jobs_of(Fold::new(Timestamp(5), Timestamp(5), None, 1000), true);
        assert_eq!(
            (view.total.jobs, view.total.waited, view.ended),
            (0, None, vec![0])
        );
        let mut fold = Fold::new(Timestamp(0), Timestamp(1000), Some(By::Command), 1000);
        let never = EndedJob {
            attempts: 0,
            first_started_at: None,
            last_attempt: None,
            ..job(1, State::Cancelled, "default")
        };
        fold.add(&never);
        fold.add(&EndedJob {
            command: None,
            ..never
        });
        let view = jobs_of(fold, true);
        assert_eq!((view.total.ran, view.total.retries), (None, 0));
        let names: Vec<Option<&str>> = view.by.iter().map(|sum| sum.name.as_deref()).collect();
        assert_eq!(names, [Some("run.sh"), Some("shell")]);
    }

    #[test]
    fn further_names_are_counted_together() {
        let mut fold = Fold::new(Timestamp(0), Timestamp(1000), Some(By::Queue), 1000);
        let names = i64::try_from(NAMES).expect("there are few");
        for n in 1..=names + 5 {
            let queue: QueueName = format!("q{n}").parse().expect("a queue");
            fold.add(&job(n, State::Completed, queue.as_str()));
        }
        let view = jobs_of(fold, false);
        assert_eq!(view.by.len(), NAMES + 1);
        let others = view.by.last().expect("there is one");
        assert_eq!((&others.name, others.jobs), (&None, 5));
        assert!(!view.complete);
    }

    /// Entries and jobs make one sum. An hour is longer than a part may be, so that none is in the wrong one.
    #[test]
    fn entries_of_the_history_are_added_to_jobs() {
        let hour = HOUR_MS.cast_signed();
        let mut fold = Fold::new(Timestamp(0), Timestamp(100 * hour), Some(By::Queue), HOUR_MS);
        assert_eq!(fold.part_ms, 2 * HOUR_MS);
        let mut ends = Ends::default();
        for n in 1..=3 {
            ends.add(&job(n, State::Dead, "mail"));
        }
        let mail: QueueName = "mail".parse().expect("a queue");
        for (at, of) in [
            (3 * hour, Some((mail, ExecutorName::default()))),
            (4 * hour, None),
        ] {
            fold.add_entry(&HistoryEntry {
                at: Timestamp(at),
                span_ms: hour,
                of,
                ends: ends.clone(),
            });
        }
        fold.add(&job(99 * hour / 3, State::Completed, "mail"));
        let view = jobs_of(fold, true);
        assert_eq!((view.total.jobs, view.total.dead), (7, 6));
        assert_eq!((view.ended[1], view.ended[2], view.ended[49]), (3, 3, 1));
        let by: Vec<_> = view
            .by
            .iter()
            .map(|sum| (sum.name.as_deref(), sum.jobs))
            .collect();
        assert_eq!(by, [(Some("mail"), 4), (None, 3)]);
    }

    #[test]
    fn the_history_says_nothing_of_commands_and_texts() {
        let filter = JobFilter::default();
        assert!(is_told_by_history(&filter, None) && is_told_by_history(&filter, Some(&By::Executor)));
        assert!(!is_told_by_history(&filter, Some(&By::Command)));
        let texts = vec!["a".to_owned()];
        assert!(!is_told_by_history(
            &JobFilter {
                texts,
                ..filter.clone()
            },
            None
        ));
        let states = vec![State::Dead];
        assert!(!is_told_by_history(&JobFilter { states, ..filter }, None));
    }
}
