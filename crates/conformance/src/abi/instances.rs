//! Cases about instances: how they are made and ended, and in what hosts.

use std::time::Duration;

use queuectl_plugin_api::abi::MINOR;

use super::Case;
use super::harness::{Harness, QUIET};
use super::mock_host::{Age, Breach};
use super::outcome::{CaseResult, broken, skipped};
use super::subject::{Instance, PLENTY};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "create",
        rule: "create makes an instance with the queue's settings",
        needs: &["vtable"],
        patience: 1,
        run: |harness| harness.instance(Age::Present).map(drop),
    },
    Case {
        name: "destroy",
        rule: "an instance can be destroyed, several in any order, and new ones made after that",
        needs: &["create"],
        patience: 1,
        run: destroy,
    },
    Case {
        name: "bad-settings",
        rule: "create takes or refuses any settings, and answers",
        needs: &["create", "destroy"],
        patience: 1,
        run: bad_settings,
    },
    Case {
        name: "fingerprint",
        rule: "fingerprint says QC_OK or QC_SYSTEM_FAILURE",
        needs: &["create"],
        patience: 1,
        run: fingerprint,
    },
    Case {
        name: "reap",
        rule: "reap returns when no node lives and nothing is there",
        needs: &["create", "destroy"],
        patience: 1,
        run: reap,
    },
];

/// Cases about instances that are tried with runs.
pub(super) fn older_host(harness: &Harness) -> CaseResult {
    let instance = harness.instance(Age::Older)?;
    if harness.input.sample.is_some() {
        harness.play_sample(&instance)?;
    }
    harness.obeys(&instance, Breach::Beyond)
}

pub(super) fn newer_host(harness: &Harness) -> CaseResult {
    let instance = harness.instance(Age::Newer)?;
    if harness.input.sample.is_some() {
        harness.play_sample(&instance)?;
    }
    Ok(())
}

/// Two at a time, as when settings change while runs are under way.
pub(super) fn own_host(harness: &Harness) -> CaseResult {
    let (first, second) = (harness.instance(Age::Present)?, harness.instance(Age::Present)?);
    // A call that went to the wrong host explains more than one that did not come.
    let strays = |ended: CaseResult| match second.mock_host.breach_within(Breach::UnknownRun, Duration::ZERO)
    {
        Some(_) => broken("a run of one instance was reported to the host of another instance"),
        None => ended,
    };
    strays(harness.play_sample(&first).map(drop))?;
    strays(harness.play_sample(&second).map(drop))?;
    strays(harness.play_sample(&first).map(drop))?;
    harness.step("destroy of the newer of two instances");
    second.destroy();
    harness.play_sample(&first).map(drop)
}

pub(super) fn silence(harness: &Harness) -> CaseResult {
    let instance = harness.instance(Age::Present)?;
    harness.play_sample(&instance)?;
    harness.step("shutdown and destroy");
    let mock_host = instance.destroy();
    mock_host
        .breach_within(Breach::AfterDestroy, QUIET)
        .map_or(Ok(()), broken)
}

fn destroy(harness: &Harness) -> CaseResult {
    harness.step("destroy of an instance");
    harness.instance(Age::Present)?.destroy();
    let three = || -> Result<Vec<Instance>, _> { (0..3).map(|_| harness.instance(Age::Present)).collect() };
    let instances = three()?;
    harness.step("destroy of three instances, the oldest first");
    for instance in instances {
        instance.destroy();
    }
    let instances = three()?;
    harness.step("destroy of three instances, the newest first");
    for instance in instances.into_iter().rev() {
        instance.destroy();
    }
    harness.instance(Age::Present).map(drop)
}

fn bad_settings(harness: &Harness) -> CaseResult {
    let deep = "[".repeat(10_000);
    let bad: &[&[u8]] = &[
        b"{}",
        b"",
        b"[]",
        b"\"text\"",
        b"null",
        b"{",
        b"garbage",
        b"\xff\xfe\x00\x01",
        br#"{"shell":"sh","settings":{},"unknown":{"a":[1,2]}}"#,
        br#"{"shell":7,"settings":[]}"#,
        br#"{"shell":"sh","settings":{"no-such-key":"no such value"}}"#,
        deep.as_bytes(),
    ];
    let slots = harness.slots(MINOR)?;
    for settings in bad {
        let shown: String = settings.escape_ascii().to_string().chars().take(40).collect();
        harness.step(format!("create with the settings `{shown}`"));
        if let (Some(instance), _) =
            Instance::make(slots, Age::Present, &harness.input.store, settings, PLENTY)
        {
            harness.step(format!("destroy of the instance with the settings `{shown}`"));
            instance.destroy();
        }
    }
    Ok(())
}

fn fingerprint(harness: &Harness) -> CaseResult {
    let instance = harness.instance(Age::Present)?;
    harness.step("fingerprint");
    match instance.fingerprint(PLENTY) {
        None => skipped("it has no function fingerprint"),
        Some(answer) if matches!(answer.status, 0 | 2) => Ok(()),
        Some(answer) => broken(format!("fingerprint gave {}", answer.reason())),
    }
}

fn reap(harness: &Harness) -> CaseResult {
    let instance = harness.instance(Age::Present)?;
    // A store that does not exist: what the plugin keeps for others must not be touched.
    let store = format!("{}-nobody", harness.input.store);
    for _ in 0..2 {
        harness.step("reap with an empty list of nodes");
        if instance.reap(&store).is_none() {
            return skipped("it has no function reap");
        }
    }
    harness.step("destroy after reap");
    instance.destroy();
    Ok(())
}

pub(super) fn clean_up(harness: &Harness) -> CaseResult {
    let instance = harness.instance(Age::Present)?;
    harness.step("reap with an empty list of nodes");
    instance.reap(&harness.input.store);
    harness.step("shutdown and destroy after reap");
    instance.destroy();
    Ok(())
}
