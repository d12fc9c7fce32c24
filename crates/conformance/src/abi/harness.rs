//! What the cases share: instances, and runs that are brought to their end.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use queuectl_plugin_api::abi::{
    EntryFn, MINOR, QC_EXIT_CODE, QC_FAILED, QC_OK, QC_STOP_KILL, QC_SUCCEEDED, QC_UNHANDLED,
};

use super::CaseInput;
use super::before::Before;
use super::mock_host::{Age, Breach, Event};
use super::outcome::{CaseResult, End, broken, skipped};
use super::subject::{Answer, Instance, PLENTY, slots};
use queuectl_core::show_short;
use queuectl_executor::bare::Slots;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The plugin reported that outcome.
    Reported(u32),
    /// The host decided, as its process had ended with status 0.
    ByHost,
}

/// How long nothing must happen. Something that must not come can only be waited for.
pub(super) const QUIET: Duration = Duration::from_millis(100);
/// Longest that `start` may take; a generous reading of "promptly".
pub(super) const PROMPT: Duration = Duration::from_secs(1);
/// After this time a run that need not succeed is killed.
const IMPATIENCE: Duration = Duration::from_millis(100);

/// Where a case plays.
pub(super) struct Harness<'a> {
    pub(super) entry: EntryFn,
    pub(super) input: &'a CaseInput,
    /// The process before the library was loaded.
    pub(super) before: Cell<Option<Before>>,
    step: &'a dyn Fn(&str),
    last_run: Cell<u64>,
}

impl<'a> Harness<'a> {
    pub(super) fn new(
        entry: EntryFn,
        input: &'a CaseInput,
        step: &'a dyn Fn(&str),
        before: Before,
    ) -> Harness<'a> {
        Harness {
            entry,
            input,
            before: Cell::new(Some(before)),
            step,
            last_run: Cell::new(0),
        }
    }

    /// Says what comes next, so that a crash or a hang can be named.
    pub(super) fn step(&self, what: impl AsRef<str>) {
        (self.step)(what.as_ref());
    }

    /// The request of the job that must succeed.
    pub(super) fn sample(&self) -> Result<&'a [u8], End> {
        match &self.input.sample {
            Some(sample) => Ok(sample.as_bytes()),
            None => skipped("it needs a job that succeeds: --job JOB.json"),
        }
    }

    /// Longest that a run may take.
    pub(super) fn patience(&self) -> Duration {
        self.input.limit * 3 / 4
    }

    pub(super) fn slots(&self, minor: u32) -> Result<Slots, End> {
        match slots(self.entry, minor) {
            Some(slots) => Ok(slots),
            None if minor == MINOR => broken(format!("it declines to serve a host of version 1.{minor}")),
            None => skipped(format!("it declines to serve a host of version 1.{minor}")),
        }
    }

    /// An instance with the queue's settings, in a host of that age.
    pub(super) fn instance(&self, age: Age) -> Result<Instance, End> {
        let minor = match age {
            Age::Older => 0,
            Age::Present => MINOR,
            Age::Newer => 999,
        };
        let slots = self.slots(minor)?;
        self.step("create with the queue's settings");
        let settings = self.input.settings.as_bytes();
        let (instance, answer) = Instance::make(slots, age, &self.input.store, settings, PLENTY);
        instance.map_or_else(|| broken(format!("create gave {}", answer.reason())), Ok)
    }

    /// The number of a run that was not used yet.
    pub(super) fn run(&self) -> u64 {
        self.last_run.set(self.last_run.get() + 1);
        self.last_run.get()
    }

    /// Starts a run; the answer and how long it took.
    pub(super) fn start(&self, instance: &Instance, run: u64, request: &[u8]) -> (Answer, Duration) {
        let begun = Instant::now();
        let answer = instance.start(run, request, PLENTY);
        (answer, begun.elapsed())
    }

    /// Starts the job that must succeed.
    pub(super) fn start_sample(&self, instance: &Instance) -> Result<u64, End> {
        let (run, sample) = (self.run(), self.sample()?);
        self.step("start with the job that must succeed");
        match self.start(instance, run, sample).0 {
            answer if answer.status == QC_OK => Ok(run),
            answer => broken(format!("start gave {}", answer.reason())),
        }
    }

    /// Runs the job that must succeed to its end.
    pub(super) fn play_sample(&self, instance: &Instance) -> Result<u64, End> {
        let run = self.start_sample(instance)?;
        self.step("the end of the job that must succeed");
        match self.end_of(instance, run)? {
            Ended::Reported(QC_SUCCEEDED) | Ended::ByHost => Ok(run),
            Ended::Reported(QC_FAILED) => broken("the job failed, says the plugin"),
            Ended::Reported(kind) => broken(format!(
                "the plugin reported the outcome {kind}, which is not a success"
            )),
        }
    }

    fn end_of(&self, instance: &Instance, run: u64) -> Result<Ended, End> {
        let ended = self.ends(instance, &HashSet::from([run]), self.patience())?;
        ended.get(&run).copied().map_or_else(
            || broken(format!("it did not end within {}", show_short(self.patience()))),
            Ok,
        )
    }

    /// Brings a run to its end whose request need not be sensible: after a moment it is killed.
    pub(super) fn end_somehow(&self, instance: &Instance, run: u64) -> Result<Ended, End> {
        let runs = HashSet::from([run]);
        if let Some(ended) = self.ends(instance, &runs, IMPATIENCE)?.get(&run) {
            return Ok(*ended);
        }
        self.step("stop with QC_STOP_KILL for a run that goes on");
        match instance.stop(run, QC_STOP_KILL) {
            Some(QC_OK) => self.end_of(instance, run),
            _ => broken("a run went on without a process and without a way to stop it"),
        }
    }

    /// How these runs end, as far as they do in time. A process that the plugin asks for ends with status 0 at once.
    pub(super) fn ends(
        &self,
        instance: &Instance,
        runs: &HashSet<u64>,
        patience: Duration,
    ) -> Result<HashMap<u64, Ended>, End> {
        let deadline = Instant::now() + patience;
        let mut ended = HashMap::new();
        while ended.len() < runs.len() {
            let Some((run, event)) = instance.mock_host.next(deadline) else {
                break;
            };
            match event {
                Event::Finished(kind) => {
                    ended.insert(run, Ended::Reported(kind));
                    // It is no longer wanted.
                    instance.recorded(run);
                }
                // A plugin may report the end while the process lives. The host then ends the process and says nothing.
                Event::Spawn if ended.contains_key(&run) || instance.mock_host.is_over(run) => {}
                Event::Spawn => match instance.exited(run, QC_EXIT_CODE, 0, false) {
                    Some(QC_OK) => {}
                    None | Some(QC_UNHANDLED) => {
                        instance.mock_host.end(run);
                        ended.insert(run, Ended::ByHost);
                    }
                    Some(status) => return broken(format!("exited gave status {status} for exit status 0")),
                },
            }
        }
        Ok(ended)
    }

    /// Fails if that rule is broken, now or within a moment.
    pub(super) fn obeys(&self, instance: &Instance, breach: Breach) -> CaseResult {
        instance
            .mock_host
            .breach_within(breach, QUIET)
            .map_or(Ok(()), broken)
    }
}
