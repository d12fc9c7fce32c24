//! How jobs fared in a span of time: how many ended, how long they waited and ran.
//!
//! It is worked out from the jobs that are stored, so jobs that were purged do not count. Times are kept in histograms with an error
//! of at most one percent, so that a million jobs take no more memory than a few.

use std::collections::HashMap;

use hdrhistogram::Histogram;
use queuectl_core::{State, Timestamp};
use queuectl_dlq::program;
use queuectl_storage::{EndedJob, JobFilter, Position, Store, StoreError};
use queuectl_views::{StatsOfView, StatsView, TimesView};

/// Jobs that are looked at, those that ended last.
pub const JOBS: u64 = 1_000_000;
/// Names that are told apart; jobs of others are counted together.
pub const NAMES: usize = 200;
/// Parts of the span of time.
pub const PARTS: u64 = 60;
/// Jobs that are read at a time.
const PAGE: u32 = 1000;
/// The longest time that is told, in ms: ten years.
const LONGEST_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;
/// Digits that are exact.
const DIGITS: u8 = 2;

/// What jobs are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Their queue.
    Queue,
    /// Their executor.
    Executor,
    /// The program of their command.
    Command,
}

impl By {
    fn name(self, job: &EndedJob) -> String {
        match self {
            By::Queue => job.queue.to_string(),
            By::Executor => job.executor.to_string(),
            By::Command => match &job.command {
                Some(command) => program(command),
                None => job.executor.to_string(),
            },
        }
    }
}

/// Looks how the jobs fared that ended between two times. Of a filter, states that are not final do not count.
///
/// # Errors
/// [`StoreError::Database`].
pub fn stats(
    store: &mut Store,
    filter: JobFilter,
    since: Timestamp,
    until: Timestamp,
    by: Option<By>,
) -> Result<StatsView, StoreError> {
    let filter = JobFilter {
        since: Some(since),
        until: Some(until),
        ..filter
    };
    let mut fold = Fold::new(since, until, by);
    let mut place: Option<Position> = None;
    loop {
        let page = store.ended_page(&filter, by == Some(By::Command), place, PAGE)?;
        for job in &page.jobs {
            fold.add(job);
        }
        place = page.next;
        if place.is_none() || fold.total.jobs >= JOBS {
            return Ok(fold.view(place.is_none()));
        }
    }
}

/// What is known of the jobs that were read.
struct Fold {
    since: Timestamp,
    until: Timestamp,
    by: Option<By>,
    total: Sum,
    names: HashMap<String, Sum>,
    others: Sum,
    part_ms: u64,
    ended: Vec<u64>,
}

impl Fold {
    fn new(since: Timestamp, until: Timestamp, by: Option<By>) -> Fold {
        // Whole seconds; the last part may be longer than what is left of the span.
        let span = u64::try_from(until.0.saturating_sub(since.0)).unwrap_or(0);
        let part_ms = span.div_ceil(PARTS * 1000).max(1) * 1000;
        let parts = usize::try_from(span / part_ms + 1).expect("there are few");
        Fold {
            since,
            until,
            by,
            total: Sum::default(),
            names: HashMap::new(),
            others: Sum::default(),
            part_ms,
            ended: vec![0; parts],
        }
    }

    fn add(&mut self, job: &EndedJob) {
        self.total.add(job);
        let after = u64::try_from(job.ended_at.0.saturating_sub(self.since.0)).unwrap_or(0);
        let part = usize::try_from(after / self.part_ms).unwrap_or(usize::MAX);
        if let Some(count) = self.ended.get_mut(part) {
            *count += 1;
        }
        if let Some(by) = self.by {
            let name = by.name(job);
            let is_full = self.names.len() >= NAMES;
            match self.names.get_mut(&name) {
                Some(sum) => sum.add(job),
                None if is_full => self.others.add(job),
                None => self.names.entry(name).or_default().add(job),
            }
        }
    }

    fn view(self, complete: bool) -> StatsView {
        let minutes = self.until.since(self.since).as_secs_f64() / 60.0;
        let mut by: Vec<StatsOfView> = self
            .names
            .iter()
            .map(|(name, sum)| sum.view(Some(name.clone()), minutes))
            .collect();
        by.sort_by(|a, b| b.jobs.cmp(&a.jobs).then_with(|| a.name.cmp(&b.name)));
        if self.others.jobs > 0 {
            by.push(self.others.view(None, minutes));
        }
        StatsView {
            since: self.since,
            until: self.until,
            complete,
            total: self.total.view(None, minutes),
            by,
            part_ms: self.part_ms,
            ended: self.ended,
        }
    }
}

/// Jobs that are counted together.
#[derive(Default)]
struct Sum {
    jobs: u64,
    completed: u64,
    dead: u64,
    cancelled: u64,
    retries: u64,
    waited: Times,
    ran: Times,
}

impl Sum {
    fn add(&mut self, job: &EndedJob) {
        self.jobs += 1;
        match job.state {
            State::Completed => self.completed += 1,
            State::Dead => self.dead += 1,
            _ => self.cancelled += 1,
        }
        self.retries += u64::from(job.attempts.saturating_sub(1));
        if let Some(started) = job.first_started_at {
            self.waited.add(job.created_at, started);
        }
        if let Some((began, ended)) = job.last_attempt {
            self.ran.add(began, ended);
        }
    }

    fn view(&self, name: Option<String>, minutes: f64) -> StatsOfView {
        #[expect(clippy::cast_precision_loss, reason = "a rate is not exact")]
        let per_minute = if minutes > 0.0 {
            self.jobs as f64 / minutes
        } else {
            0.0
        };
        StatsOfView {
            name,
            jobs: self.jobs,
            completed: self.completed,
            dead: self.dead,
            cancelled: self.cancelled,
            retries: self.retries,
            per_minute: (per_minute * 100.0).round() / 100.0,
            waited: self.waited.view(),
            ran: self.ran.view(),
        }
    }
}

/// Many times. Nothing is allocated before the first.
#[derive(Default)]
struct Times(Option<Histogram<u32>>);

impl Times {
    fn add(&mut self, from: Timestamp, to: Timestamp) {
        let histogram = self.0.get_or_insert_with(|| {
            Histogram::new_with_bounds(1, LONGEST_MS, DIGITS).expect("the bounds are fixed, and valid")
        });
        let ms = u64::try_from(to.since(from).as_millis()).unwrap_or(u64::MAX);
        histogram.saturating_record(ms);
    }

    fn view(&self) -> Option<TimesView> {
        let histogram = self.0.as_ref()?;
        let longest = histogram.max();
        // The upper end of a bucket may be above the longest.
        let at = |quantile| histogram.value_at_quantile(quantile).min(longest);
        Some(TimesView {
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            p99_ms: at(0.99),
            max_ms: longest,
        })
    }
}

#[cfg(test)]
mod tests {
    use queuectl_core::{Command, ExecutorName, JobId, QueueName};

    use super::*;

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
            command: Some(Command::Line(format!("A=1 /opt/run.sh {n}"))),
        }
    }

    #[test]
    fn times_are_within_one_percent_and_counts_are_exact() {
        let mut fold = Fold::new(Timestamp(0), Timestamp(60_000), Some(By::Queue));
        for n in 1..=10_000 {
            let state = match n % 10 {
                0 => State::Dead,
                1 => State::Cancelled,
                _ => State::Completed,
            };
            fold.add(&job(n, state, if n <= 100 { "mail" } else { "default" }));
        }
        let view = fold.view(true);
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
    }

    #[test]
    fn nothing_is_no_error_and_jobs_that_never_ran_have_no_times() {
        let view = Fold::new(Timestamp(5), Timestamp(5), None).view(true);
        assert_eq!(
            (view.total.jobs, view.total.waited, view.ended),
            (0, None, vec![0])
        );
        let mut fold = Fold::new(Timestamp(0), Timestamp(1000), Some(By::Command));
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
        let view = fold.view(true);
        assert_eq!((view.total.ran, view.total.retries), (None, 0));
        let names: Vec<Option<&str>> = view.by.iter().map(|sum| sum.name.as_deref()).collect();
        assert_eq!(names, [Some("run.sh"), Some("shell")]);
    }

    #[test]
    fn further_names_are_counted_together() {
        let mut fold = Fold::new(Timestamp(0), Timestamp(1000), Some(By::Queue));
        let names = i64::try_from(NAMES).expect("there are few");
        for n in 1..=names + 5 {
            let queue: QueueName = format!("q{n}").parse().expect("a queue");
            fold.add(&job(n, State::Completed, queue.as_str()));
        }
        let view = fold.view(false);
        assert_eq!(view.by.len(), NAMES + 1);
        let others = view.by.last().expect("there is one");
        assert_eq!((&others.name, others.jobs), (&None, 5));
        assert!(!view.complete);
    }
}
