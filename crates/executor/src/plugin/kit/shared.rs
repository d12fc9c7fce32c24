//! The case about what a plugin shares with all jobs of its process: no call changes it, and no run leaves anything.

use std::time::{Duration, Instant};

use queuectl_plugin_api::abi::{QC_STOP_KILL, qc_str};

use super::fake::Age;
use super::stage::{Passed, QUIET, Stage, broken};
use super::target::PLENTY;
use super::{Case, DESCRIBE};
use crate::process_state::{self, ProcessState};

pub(super) const CASES: &[Case] = &[Case {
    name: "surroundings",
    rule: "no call changes the environment, the working folder, the umask, signals, limits or standard streams of the \
           process, or leaves descriptors that jobs inherit; and no run leaves descriptors or threads",
    needs: &[
        DESCRIBE,
        "create",
        "destroy",
        "fingerprint",
        "start",
        "ends",
        "finished-once",
        "stop",
        "validate",
    ],
    patience: 2,
    run: surroundings,
}];

/// Runs before descriptors and threads are counted, and while they are.
const WARM_UP: usize = 4;
const RUNS: usize = 16;
/// How long threads and descriptors of a run may stay after its end.
const LINGER: Duration = Duration::from_secs(1);

/// The process before a call.
pub(super) struct Before {
    surroundings: ProcessState,
    inherited: Vec<i32>,
    signals: process_state::BlockedSignals,
}

impl Before {
    /// The process as a worker process is before its first plugin.
    pub(super) fn any_plugin() -> Before {
        process_state::install_host_handlers();
        Before::now()
    }

    fn now() -> Before {
        Before {
            surroundings: ProcessState::now(),
            inherited: process_state::inheritable_descriptors(),
            signals: process_state::BlockedSignals::block(),
        }
    }

    /// Fails if `call` changed anything.
    pub(super) fn compare(self, call: &str) -> Passed {
        let mut changes = self.surroundings.changes(false);
        changes.note_unless(self.signals.restore(), "the signals of the calling thread");
        let same = process_state::inheritable_descriptors()
            .iter()
            .all(|number| self.inherited.contains(number));
        changes.note_unless(same, "descriptors that jobs would inherit");
        if changes.is_empty() {
            return Ok(());
        }
        broken(format!("{call} changed what all jobs share: {}", changes.words()))
    }
}

fn around<T>(stage: &Stage, call: &str, make: impl FnOnce() -> T) -> Result<T, super::End> {
    stage.step(call);
    let before = Before::now();
    let made = make();
    before.compare(call)?;
    Ok(made)
}

fn surroundings(stage: &Stage) -> Passed {
    if let Some(before) = stage.before.take() {
        before.compare("loading the library")?;
    }
    let instance = around(stage, "create", || stage.instance(Age::Present))??;
    around(stage, "fingerprint", || instance.fingerprint(PLENTY))?;
    if let Ok(sample) = stage.sample() {
        around(stage, "validate", || {
            instance.validate(qc_str::new(sample), PLENTY)
        })?;
        let run = around(stage, "start", || stage.start_sample(&instance))??;
        // Ends it too, if it has not ended by itself.
        around(stage, "stop", || instance.stop(run, QC_STOP_KILL))?;
        around(stage, "the end of a run", || stage.end_somehow(&instance, run))??;
        let play = || stage.play_sample(&instance);
        for _ in 0..WARM_UP {
            around(stage, "a run", play)??;
        }
        let before = (process_state::open_descriptors().len(), process_state::threads());
        for _ in 0..RUNS {
            around(stage, "a run", play)??;
        }
        stage.step("waiting for what the runs leave");
        leave_nothing(before)?;
    }
    around(stage, "destroy", || instance.destroy())?;
    Ok(())
}

fn leave_nothing((descriptors, threads): (usize, Option<usize>)) -> Passed {
    let deadline = Instant::now() + LINGER;
    loop {
        // Fewer than one for each run may be anything, such as a pool that grows.
        let left = |before: usize, now: usize| now.saturating_sub(before) >= RUNS;
        let more = process_state::threads().zip(threads);
        let what = match () {
            () if left(descriptors, process_state::open_descriptors().len()) => "descriptors",
            () if more.is_some_and(|(now, before)| left(before, now)) => "threads",
            () => return Ok(()),
        };
        if Instant::now() >= deadline {
            return broken(format!("{RUNS} runs left {RUNS} or more {what}"));
        }
        std::thread::sleep(QUIET);
    }
}
