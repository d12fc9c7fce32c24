//! Cases about runs that are stopped, signalled or asked about when they are not there.

use queuectl_plugin_api::abi::{
    QC_EXIT_CODE, QC_OK, QC_STOP_GRACEFUL, QC_STOP_KILL, QC_SYSTEM_FAILURE, QC_UNHANDLED,
};

use super::Case;
use super::harness::Harness;
use super::mock_host::{Age, Breach};
use super::outcome::{CaseResult, broken};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "unknown-run",
        rule: "stop, signal, exited and recorded for a run that is not there do no harm, and nothing is reported for it",
        needs: &["create"],
        patience: 1,
        run: unknown_run,
    },
    Case {
        name: "stop",
        rule: "stop may come before the start, twice, and after the end; the run ends once",
        needs: &["unknown-run", "ends", "finished-once"],
        patience: 1,
        run: stop,
    },
];

fn unknown_run(harness: &Harness) -> CaseResult {
    let instance = harness.instance(Age::Present)?;
    for run in [1, 4711, u64::MAX] {
        for mode in [QC_STOP_GRACEFUL, QC_STOP_KILL, 99] {
            harness.step(format!("stop for a run that is not there, mode {mode}"));
            instance.stop(run, mode);
        }
        harness.step("signal for a run that is not there");
        instance.signal(run, 15);
        harness.step("exited for a run that is not there");
        instance.exited(run, QC_EXIT_CODE, 0, false);
        harness.step("recorded for a run that is not there");
        instance.recorded(run);
    }
    harness.step("waiting for reports about runs that are not there");
    harness.obeys(&instance, Breach::UnknownRun)
}

fn stop(harness: &Harness) -> CaseResult {
    let sample = harness.sample()?;
    let instance = harness.instance(Age::Present)?;
    let run = harness.run();
    harness.step("stop for a run that will be started later");
    instance.stop(run, QC_STOP_GRACEFUL);
    harness.step("start after that");
    let answer = harness.start(&instance, run, sample).0;
    if answer.status != QC_OK {
        return broken(format!(
            "start gave {} after a stop that came too early",
            answer.reason()
        ));
    }
    for mode in [QC_STOP_GRACEFUL, QC_STOP_GRACEFUL, QC_STOP_KILL, QC_STOP_KILL] {
        harness.step(format!("stop of a run, mode {mode}"));
        match instance.stop(run, mode) {
            None | Some(QC_OK | QC_UNHANDLED | QC_SYSTEM_FAILURE) => {}
            Some(status) => return broken(format!("stop gave status {status}")),
        }
    }
    harness.step("the end of a run that was stopped");
    harness.end_somehow(&instance, run)?;
    harness.step("stop of a run that is over");
    instance.stop(run, QC_STOP_KILL);
    instance.recorded(run);
    harness.step("waiting for a second report");
    harness.obeys(&instance, Breach::Again)?;
    // Others are not affected.
    harness.play_sample(&instance).map(drop)
}
