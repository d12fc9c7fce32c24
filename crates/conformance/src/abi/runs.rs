//! Cases about runs: how they start and end, what is reported, many at a time.

use std::collections::HashSet;
use std::time::Instant;

use queuectl_core::show_short;
use queuectl_plugin_api::abi::{
    QC_EXIT_CODE, QC_EXIT_NOT_STARTED, QC_EXIT_SIGNAL, QC_INVALID, QC_OK, QC_SUCCEEDED, QC_SYSTEM_FAILURE,
    QC_UNHANDLED,
};
use serde_json::Value;

use super::Case;
use super::harness::{Ended, Harness, PROMPT};
use super::instances::{newer_host, older_host, own_host, silence};
use super::mock_host::{Age, Breach, Event};
use super::outcome::{CaseResult, broken, skipped};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "start",
        rule: "start takes the job that must succeed and returns within a second",
        needs: &["create"],
        patience: 1,
        run: start,
    },
    Case {
        name: "ends",
        rule: "a run that was started ends, and the job that must succeed does",
        needs: &["start"],
        patience: 1,
        run: ends,
    },
    Case {
        name: "finished-once",
        rule: "the end of a run is reported once",
        needs: &["ends"],
        patience: 1,
        run: |harness| after_a_run(harness, Breach::Again),
    },
    Case {
        name: "output",
        rule: "there is no output after the end of a run",
        needs: &["ends"],
        patience: 1,
        run: |harness| after_a_run(harness, Breach::LateOutput),
    },
    Case {
        name: "own-host",
        rule: "an instance calls the host and the context that it was given itself, also beside others",
        needs: &["ends", "destroy"],
        patience: 2,
        run: own_host,
    },
    Case {
        name: "silence",
        rule: "an instance that is destroyed makes no more calls",
        needs: &["ends", "destroy"],
        patience: 1,
        run: silence,
    },
    Case {
        name: "older-host",
        rule: "it works in a host of version 1.0, and uses nothing beyond the sizes that this host states",
        needs: &["ends"],
        patience: 1,
        run: older_host,
    },
    Case {
        name: "newer-host",
        rule: "it works in a newer host, with larger structs and features that it does not know",
        needs: &["ends"],
        patience: 1,
        run: newer_host,
    },
    Case {
        name: "exited",
        rule: "exited says QC_OK and the end is reported, or QC_UNHANDLED, however the process ended; only a process \
               that exits with status 0 is taken for a success",
        needs: &["ends"],
        patience: 1,
        run: exited,
    },
    Case {
        name: "reattach",
        rule: "a run that is taken over by whatever handle is refused, or ends",
        needs: &["ends"],
        patience: 2,
        run: reattach,
    },
    Case {
        name: "discard",
        rule: "discard with whatever handle does no harm",
        needs: &["ends"],
        patience: 1,
        run: discard,
    },
    Case {
        name: "stats",
        rule: "stats fills in a JSON object of numbers",
        needs: &["create", "ends"],
        patience: 1,
        run: stats,
    },
    Case {
        name: "many",
        rule: "many runs at a time each end once",
        needs: &["ends", "finished-once"],
        patience: 3,
        run: many,
    },
];

fn start(harness: &Harness) -> CaseResult {
    let sample = harness.sample()?;
    let instance = harness.instance(Age::Present)?;
    harness.step("start with the job that must succeed");
    let (answer, took) = harness.start(&instance, harness.run(), sample);
    if answer.status != QC_OK {
        return broken(format!("start gave {}", answer.reason()));
    }
    if took > PROMPT {
        return broken(format!("start took {}", show_short(took)));
    }
    Ok(())
}

fn ends(harness: &Harness) -> CaseResult {
    harness.sample()?;
    let instance = harness.instance(Age::Present)?;
    harness.play_sample(&instance)?;
    harness.obeys(&instance, Breach::Unreadable)
}

fn after_a_run(harness: &Harness, breach: Breach) -> CaseResult {
    harness.sample()?;
    let instance = harness.instance(Age::Present)?;
    harness.play_sample(&instance)?;
    harness.obeys(&instance, breach)
}

fn exited(harness: &Harness) -> CaseResult {
    harness.sample()?;
    let ways = [
        (QC_EXIT_CODE, 0, false, "exit status 0"),
        (QC_EXIT_CODE, 3, false, "exit status 3"),
        (QC_EXIT_SIGNAL, 9, false, "signal 9"),
        (QC_EXIT_SIGNAL, 15, true, "signal 15 after a stop"),
        (
            QC_EXIT_NOT_STARTED,
            0,
            false,
            "a process that could not be started",
        ),
    ];
    let instance = harness.instance(Age::Present)?;
    for (kind, code, stopped, words) in ways {
        let run = harness.start_sample(&instance)?;
        match instance.mock_host.next(Instant::now() + harness.patience()) {
            Some((_, Event::Spawn)) if instance.mock_host.is_over(run) => {
                return skipped("the job that must succeed ends before its process");
            }
            Some((_, Event::Spawn)) => {}
            _ => return skipped("the job that must succeed has no process"),
        }
        harness.step(format!("exited with {words}"));
        match instance.exited(run, kind, code, stopped) {
            None => return skipped("it has no function exited"),
            Some(QC_UNHANDLED) => instance.mock_host.end(run),
            Some(QC_OK) => {
                let ended = harness.ends(&instance, &HashSet::from([run]), harness.patience())?;
                match ended.get(&run) {
                    None => return broken(format!("the end was not reported after {words}")),
                    Some(Ended::Reported(QC_SUCCEEDED)) if (kind, code) != (QC_EXIT_CODE, 0) => {
                        return broken(format!("it reported success after {words}"));
                    }
                    Some(_) => {}
                }
            }
            Some(status) => return broken(format!("exited gave status {status} for {words}")),
        }
    }
    harness.obeys(&instance, Breach::Again)
}

/// Handles that no run has saved.
const HANDLES: [&[u8]; 5] = [b"", b"no such thing", b"{}", b"\xff\x00\xfe", &[b'x'; 4096]];

fn shown(handle: &[u8]) -> String {
    handle.escape_ascii().to_string().chars().take(20).collect()
}

fn discard(harness: &Harness) -> CaseResult {
    let instance = harness.instance(Age::Present)?;
    for handle in HANDLES {
        harness.step(format!("discard with the handle `{}`", shown(handle)));
        if instance.discard(handle).is_none() {
            return skipped("it has no function discard");
        }
    }
    // Others are not affected.
    harness.play_sample(&instance).map(drop)
}

fn reattach(harness: &Harness) -> CaseResult {
    let sample = harness.sample()?;
    let instance = harness.instance(Age::Present)?;
    if instance.slots.reattach.is_none() {
        return skipped("it has no function reattach");
    }
    for handle in HANDLES {
        harness.step(format!("reattach with the handle `{}`", shown(handle)));
        let run = harness.run();
        if let Some(answer) = instance.reattach(run, sample, handle)
            && answer.status == QC_OK
        {
            harness.end_somehow(&instance, run)?;
        }
    }
    harness.obeys(&instance, Breach::Again)
}

fn stats(harness: &Harness) -> CaseResult {
    let instance = harness.instance(Age::Present)?;
    if instance.slots.stats.is_none() {
        return skipped("it has no function stats");
    }
    for when in ["first", "second"] {
        harness.step(format!("stats, the {when} time"));
        let Some(bytes) = instance.stats() else {
            return broken("stats filled in nothing");
        };
        let number = |value: &Value| value.is_number();
        match serde_json::from_slice(&bytes) {
            Ok(Value::Object(numbers)) if numbers.values().all(number) => {}
            _ => {
                let text = String::from_utf8_lossy(&bytes);
                return broken(format!("stats filled in `{text}`"));
            }
        }
        if when == "first" && harness.input.sample.is_some() {
            // What it says of a run that is under way must be as good.
            let run = harness.start_sample(&instance)?;
            instance.stats();
            harness.end_somehow(&instance, run)?;
        }
    }
    Ok(())
}

fn many(harness: &Harness) -> CaseResult {
    let (sample, count) = (harness.sample()?, harness.input.many);
    let instance = harness.instance(Age::Present)?;
    harness.step(format!("start of {count} runs at a time"));
    let mut runs = HashSet::new();
    for _ in 0..count {
        let run = harness.run();
        let answer = harness.start(&instance, run, sample).0;
        match answer.status {
            QC_OK => drop(runs.insert(run)),
            QC_INVALID | QC_SYSTEM_FAILURE => {
                return broken(format!(
                    "run {} of {count} was refused: {}",
                    runs.len() + 1,
                    answer.reason()
                ));
            }
            status => return broken(format!("start gave status {status}")),
        }
    }
    harness.step(format!("the end of {count} runs"));
    let ended = harness.ends(&instance, &runs, harness.patience() * 3)?;
    let good = |ended: &&Ended| matches!(ended, Ended::ByHost | Ended::Reported(QC_SUCCEEDED));
    let good = ended.values().filter(good).count();
    if good < count {
        return broken(format!("{good} of {count} runs succeeded, {} ended", ended.len()));
    }
    harness.obeys(&instance, Breach::Again)
}
