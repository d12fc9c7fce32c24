//! Cases with real jobs in a real worker process: they run, stop, come in numbers, and survive what they should.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::abi::Verdict;
use queuectl_core::settings::Leftovers;
use queuectl_core::{JobId, OutcomeKind, show_short};
use queuectl_executor::{Finished, PluginInfo, Report, Run, RunKey};
use serde_json::{Map, Value};

use crate::{Options, has};
use queuectl_worker::{StandaloneError, StandaloneOptions, StandaloneWorker};

/// How a case ends that does not end well is its verdict.
pub(super) type CaseResult = Result<(), Verdict>;
/// A case: its name, its rule, and what tries it.
pub(super) type JobCase = (&'static str, &'static str, fn(&Fixture) -> CaseResult);

pub(super) const CASES: &[JobCase] = &[
    (
        "worker-job",
        "the job that must succeed does so in a worker process, which then leaves in order",
        job,
    ),
    (
        "worker-stop",
        "a job that is stopped while it runs has ended when its grace is over",
        |fixture| stopped(fixture, false),
    ),
    (
        "worker-kill",
        "a job that is killed while it runs ends at once",
        |fixture| stopped(fixture, true),
    ),
    (
        "worker-leave",
        "a worker process that loses its node while a job runs stops it and leaves",
        leave,
    ),
    (
        "worker-many",
        "many jobs at a time in one worker process each succeed once",
        many,
    ),
    (
        "worker-reattach",
        "a job whose worker process was killed goes on in another one, by the handle that was saved",
        reattach,
    ),
    (
        "worker-takeover",
        "the same, if it had been running for a while",
        takeover,
    ),
];

/// A broken rule.
pub(super) fn failed<T>(what: impl Into<String>) -> Result<T, Verdict> {
    Err(Verdict::Failed(what.into()))
}

/// A case that cannot be tried.
pub(super) fn skipped<T>(why: impl Into<String>) -> Result<T, Verdict> {
    Err(Verdict::Skipped(why.into()))
}

impl From<StandaloneError> for Verdict {
    /// Whatever becomes of the worker process is the plugin's doing.
    fn from(error: StandaloneError) -> Verdict {
        Verdict::Failed(error.to_string())
    }
}

/// The grace of a job that is stopped.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// Where the cases play.
pub(super) struct Fixture<'a> {
    options: &'a Options,
    store: String,
    sample: Option<String>,
    info: PluginInfo,
}

impl<'a> Fixture<'a> {
    pub(super) fn new(
        options: &'a Options,
        store: String,
        sample: Option<String>,
        info: PluginInfo,
    ) -> Fixture<'a> {
        Fixture {
            options,
            store,
            sample,
            info,
        }
    }

    /// Longest that a job may take.
    pub(super) fn limit(&self) -> Duration {
        self.options.limit
    }

    pub(super) fn worker(&self) -> Result<StandaloneWorker, Verdict> {
        Ok(StandaloneWorker::start(StandaloneOptions {
            args: self.options.worker.clone(),
            settings: self.options.settings.clone(),
            store: self.store.clone(),
            silent: self.options.silent,
        })?)
    }

    /// The payload of the job that must succeed.
    pub(super) fn sample(&self) -> Result<String, Verdict> {
        match &self.sample {
            Some(sample) => Ok(sample.clone()),
            None => skipped("it needs a job that succeeds: --job JOB.json"),
        }
    }

    /// Skips the case if the plugin does not say that it can do that.
    pub(super) fn needs(&self, capability: &str) -> CaseResult {
        if has(&self.info, capability) {
            Ok(())
        } else {
            skipped(format!("it does not have the capability '{capability}'"))
        }
    }

    /// The payload of the job that must succeed, with these members replaced.
    pub(super) fn with(&self, members: Value) -> Result<String, Verdict> {
        let sample = self.sample()?;
        let mut payload: Map<String, Value> = serde_json::from_str(&sample).unwrap_or_default();
        if let Value::Object(members) = members {
            payload.extend(members);
        }
        Ok(Value::Object(payload).to_string())
    }

    /// A run of that payload.
    pub(super) fn run(&self, number: i64, payload: String) -> Run {
        Run {
            key: RunKey {
                job: JobId(number),
                fence: 1,
            },
            public_id: format!("kit-{number}"),
            attempt: 1,
            queue: "default".to_owned(),
            executor: self.options.executor.clone(),
            payload,
            terminal: None,
            parents: None,
            groups: None,
            checkpoint: None,
            timeout: None,
            kill_grace: GRACE,
            leftovers: Leftovers::Kill,
            output_limit: 64 * 1024,
            output_file_limit: 0,
            output_file: std::env::temp_dir().join(format!("queuectl-check-{}", std::process::id())),
            used: Duration::ZERO,
        }
    }

    /// Runs one job in a worker process of its own.
    pub(super) fn finish(&self, payload: String) -> Result<Finished, Verdict> {
        let mut worker = self.worker()?;
        worker.run(self.run(1, payload))?;
        let finished = next(&mut worker, self.limit())?;
        leaves(worker, self.limit())?;
        Ok(finished)
    }

    /// A job that takes a while, if one was given, or if the plugin runs commands: then for this many seconds.
    fn long(&self, seconds: u32) -> Result<Option<String>, Verdict> {
        if let Some(long) = &self.options.long {
            return Ok(Some(long.clone()));
        }
        match self.needs("command") {
            Ok(()) => Ok(Some(self.with(serde_json::json!({ "command": pause(seconds) }))?)),
            Err(_) => Ok(None),
        }
    }
}

/// The next report about a job's end.
pub(super) fn next(worker: &mut StandaloneWorker, patience: Duration) -> Result<Finished, Verdict> {
    let deadline = Instant::now() + patience;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match worker.next(left) {
            Ok(Report::Finished(finished)) => {
                // It is no longer wanted.
                worker.recorded(finished.key)?;
                return Ok(finished);
            }
            Ok(Report::Handle { .. } | Report::Suspension { .. }) => {}
            Ok(Report::Ending { reason, .. }) => return failed(reason),
            Err(StandaloneError::TimedOut(_)) => {
                return failed(format!(
                    "the job was not reported within {}",
                    show_short(patience)
                ));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Fails unless the job succeeded.
pub(super) fn succeeded(finished: &Finished) -> CaseResult {
    match finished.outcome.kind {
        OutcomeKind::Succeeded => Ok(()),
        kind => failed(format!("the job ended {kind}: {}", finished.outcome.message)),
    }
}

pub(super) fn leaves(worker: StandaloneWorker, patience: Duration) -> CaseResult {
    let status = worker.leave(patience)?;
    if status.success() {
        Ok(())
    } else {
        failed(format!("the worker process ended badly: {status}"))
    }
}

fn job(fixture: &Fixture) -> CaseResult {
    let mut worker = fixture.worker()?;
    worker.run(fixture.run(1, fixture.sample()?))?;
    let finished = next(&mut worker, fixture.limit())?;
    succeeded(&finished)?;
    leaves(worker, fixture.limit())
}

/// Returns a command line that sleeps for this time.
fn pause(seconds: u32) -> String {
    if cfg!(windows) {
        // The shell has no better one, and this one answers at once and then once a second.
        format!("ping -n {} 127.0.0.1 > nul", seconds + 1)
    } else {
        format!("sleep {seconds}")
    }
}

/// What is to be done where a job would have to take a while.
const LONG_JOB: &str = "--long-job JOB.json names one that takes a few seconds";

/// Starts a job that is to be ended from outside. When this returns, a long one runs.
fn start_long(fixture: &Fixture) -> Result<(StandaloneWorker, RunKey, bool), Verdict> {
    let long = fixture.long(600)?;
    let payload = long.clone().map_or_else(|| fixture.sample(), Ok)?;
    let mut worker = fixture.worker()?;
    let run = fixture.run(1, payload);
    let key = run.key;
    worker.run(run)?;
    if long.is_some() {
        // A worker process starts jobs in order: when the second has ended, the first has started.
        worker.run(fixture.run(2, fixture.sample()?))?;
        let second = next(&mut worker, fixture.limit())?;
        if second.key == key {
            let what = format!(
                "ended at once: {}: {}",
                second.outcome.kind, second.outcome.message
            );
            return match fixture.options.long {
                Some(_) => skipped(format!("the long job {what}; {LONG_JOB}")),
                None => failed(format!("`{}` {what}", pause(600))),
            };
        }
    }
    Ok((worker, key, long.is_some()))
}

fn stopped(fixture: &Fixture, kill: bool) -> CaseResult {
    let (mut worker, key, long) = start_long(fixture)?;
    worker.stop(key, kill)?;
    let finished = next(&mut worker, GRACE + fixture.limit())?;
    match finished.outcome.kind {
        OutcomeKind::Cancelled => {}
        // A short one may have been faster.
        _ if !long => {}
        kind => return failed(format!("the job ended {kind}: {}", finished.outcome.message)),
    }
    leaves(worker, fixture.limit())
}

fn leave(fixture: &Fixture) -> CaseResult {
    let (worker, ..) = start_long(fixture)?;
    leaves(worker, GRACE + fixture.limit())
}

fn many(fixture: &Fixture) -> CaseResult {
    let (sample, count) = (fixture.sample()?, fixture.options.many);
    let mut worker = fixture.worker()?;
    for number in 0..count {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        worker.run(fixture.run(number, sample.clone()))?;
    }
    // Together they may all be slow for a while.
    let deadline = Instant::now() + fixture.limit() * 6;
    let mut seen = HashSet::new();
    while seen.len() < count {
        let left = deadline.saturating_duration_since(Instant::now());
        let ended = next(&mut worker, left).and_then(|finished| succeeded(&finished).map(|()| finished.key));
        match ended {
            Ok(key) if seen.insert(key) => {}
            Ok(key) => return failed(format!("job {} was reported twice", key.job)),
            Err(Verdict::Failed(what)) => {
                return failed(format!("after {} of {count} jobs: {what}", seen.len()));
            }
            Err(other) => return Err(other),
        }
    }
    leaves(worker, fixture.limit())
}

fn reattach(fixture: &Fixture) -> CaseResult {
    let (worker, run, handle) = start_kept(fixture, fixture.sample()?)?;
    adopted(fixture, worker, run, handle)
}

fn takeover(fixture: &Fixture) -> CaseResult {
    let Some(long) = fixture.long(3)? else {
        return skipped(format!("it needs a job that takes a while: {LONG_JOB}"));
    };
    let (mut worker, run, mut handle) = start_kept(fixture, long)?;
    // When a second one has ended, the first one has come as far.
    worker.run(fixture.run(2, fixture.sample()?))?;
    loop {
        match worker.next(fixture.limit())? {
            Report::Handle { key, handle: newer } if key == run.key => handle = newer,
            Report::Handle { .. } | Report::Suspension { .. } => {}
            Report::Ending { reason, .. } => return failed(reason),
            Report::Finished(ended) if ended.key == run.key => {
                return skipped(format!("the long job ended too early; {LONG_JOB}"));
            }
            Report::Finished(ended) => {
                worker.recorded(ended.key)?;
                break;
            }
        }
    }
    adopted(fixture, worker, run, handle)
}

/// Starts a job and waits for its first handle.
fn start_kept(fixture: &Fixture, payload: String) -> Result<(StandaloneWorker, Run, Vec<u8>), Verdict> {
    if !fixture.info.slots.iter().any(|slot| slot == "reattach") {
        return skipped("it has no function reattach");
    }
    let mut worker = fixture.worker()?;
    let run = fixture.run(1, payload);
    worker.run(run.clone())?;
    match worker.next(fixture.limit()) {
        Ok(Report::Handle { handle, .. }) => Ok((worker, run, handle)),
        Ok(Report::Finished(_) | Report::Suspension { .. }) | Err(StandaloneError::TimedOut(_)) => {
            skipped("the job saved no handle before it ended")
        }
        Ok(Report::Ending { reason, .. }) => failed(reason),
        Err(error) => Err(error.into()),
    }
}

/// Kills the worker process; the job must succeed in another.
fn adopted(fixture: &Fixture, worker: StandaloneWorker, run: Run, handle: Vec<u8>) -> CaseResult {
    let mut worker = worker.replace()?;
    worker.adopt(run, handle)?;
    let finished = next(&mut worker, fixture.limit())?;
    succeeded(&finished)?;
    leaves(worker, fixture.limit())
}
