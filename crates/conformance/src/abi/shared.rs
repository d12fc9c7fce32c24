//! The case about what a plugin shares with all jobs of its process: no call changes it, and no run leaves anything.

use std::time::{Duration, Instant};

use queuectl_executor::bare;
use queuectl_plugin_api::abi::{QC_STOP_KILL, qc_str};

use super::before::Before;
use super::harness::{Harness, QUIET};
use super::mock_host::Age;
use super::outcome::{CaseResult, broken};
use super::subject::PLENTY;
use super::{Case, DESCRIBE};

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

fn around<T>(harness: &Harness, call: &str, make: impl FnOnce() -> T) -> Result<T, super::End> {
    harness.step(call);
    let before = Before::now();
    let made = make();
    before.compare(call)?;
    Ok(made)
}

fn surroundings(harness: &Harness) -> CaseResult {
    if let Some(before) = harness.before.take() {
        before.compare("loading the library")?;
    }
    let instance = around(harness, "create", || harness.instance(Age::Present))??;
    around(harness, "fingerprint", || instance.fingerprint(PLENTY))?;
    if let Ok(sample) = harness.sample() {
        around(harness, "validate", || {
            instance.validate(qc_str::new(sample), PLENTY)
        })?;
        let run = around(harness, "start", || harness.start_sample(&instance))??;
        // Ends it too, if it has not ended by itself.
        around(harness, "stop", || instance.stop(run, QC_STOP_KILL))?;
        around(harness, "the end of a run", || {
            harness.end_somehow(&instance, run)
        })??;
        let play = || harness.play_sample(&instance);
        for _ in 0..WARM_UP {
            around(harness, "a run", play)??;
        }
        let before = (bare::open_descriptors().len(), bare::threads());
        for _ in 0..RUNS {
            around(harness, "a run", play)??;
        }
        harness.step("waiting for what the runs leave");
        leave_nothing(before)?;
    }
    around(harness, "destroy", || instance.destroy())?;
    Ok(())
}

fn leave_nothing((descriptors, threads): (usize, Option<usize>)) -> CaseResult {
    let deadline = Instant::now() + LINGER;
    loop {
        // Fewer than one for each run may be anything, such as a pool that grows.
        let left = |before: usize, now: usize| now.saturating_sub(before) >= RUNS;
        let more = bare::threads().zip(threads);
        let what = match () {
            () if left(descriptors, bare::open_descriptors().len()) => "descriptors",
            () if more.is_some_and(|(now, before)| left(before, now)) => "threads",
            () => return Ok(()),
        };
        if Instant::now() >= deadline {
            return broken(format!("{RUNS} runs left {RUNS} or more {what}"));
        }
        std::thread::sleep(QUIET);
    }
}
