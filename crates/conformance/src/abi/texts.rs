//! Cases about requests that make no sense, and about the texts that refuse them.

use queuectl_plugin_api::abi::{QC_INVALID, QC_OK, QC_SYSTEM_FAILURE, qc_str};

use super::Case;
use super::harness::Harness;
use super::mock_host::{Age, Breach};
use super::outcome::{CaseResult, broken, skipped};
use super::subject::{Answer, Instance, PLENTY, Room};

pub(super) const CASES: &[Case] = &[
    Case {
        name: "validate",
        rule: "validate says QC_OK, QC_INVALID or QC_SYSTEM_FAILURE to any request, and QC_OK to the job that must \
               succeed",
        needs: &["create"],
        patience: 1,
        run: validate,
    },
    Case {
        name: "bad-requests",
        rule: "start takes or refuses any request, and a run that it takes ends once",
        needs: &["create", "start", "ends", "finished-once"],
        patience: 3,
        run: bad_requests,
    },
    Case {
        name: "error-text",
        rule: "a reason is UTF-8, stays within the buffer, and need not be asked for",
        needs: &["create", "bad-settings", "validate", "bad-requests"],
        patience: 3,
        run: error_text,
    },
];

/// Requests that no author thought of.
fn bad() -> Vec<(&'static str, Vec<u8>)> {
    let text = |text: &str| text.as_bytes().to_vec();
    vec![
        ("nothing", Vec::new()),
        ("{}", text("{}")),
        ("[]", text("[]")),
        ("null", text("null")),
        ("half an object", text("{\"command\":")),
        ("garbage", text("garbage")),
        ("bytes that are not UTF-8", vec![0xff, 0xfe, 0x00, 0xc3, 0x28]),
        (
            "wrong types",
            text(r#"{"command":7,"env":[],"cwd":{},"stdin":1,"payload":"text"}"#),
        ),
        (
            "an empty command",
            text(r#"{"command":[],"payload":{"unknown":{"a":[]}}}"#),
        ),
        ("an unfinished text", text(r#"{"payload":{"name":"unfinished"#)),
        ("nesting without end", text(&"[".repeat(100_000))),
        (
            "a megabyte",
            text(&format!(r#"{{"payload":{{"x":"{}"}}}}"#, "x".repeat(1024 * 1024))),
        ),
        (
            "a megabyte of garbage",
            text(&"\u{20ac}\"\\{".repeat(1024 * 1024 / 6)),
        ),
    ]
}

/// Those of them that hardly any plugin takes: a reason is wanted.
const OBJECTIONABLE: [&str; 4] = ["nothing", "garbage", "wrong types", "a megabyte of garbage"];

fn is_answer(what: &str, answer: &Answer) -> CaseResult {
    match answer.status {
        QC_OK | QC_INVALID | QC_SYSTEM_FAILURE => Ok(()),
        status => broken(format!("{what} gave status {status}")),
    }
}

fn validate(harness: &Harness) -> CaseResult {
    let instance = harness.instance(Age::Present)?;
    if instance.slots.validate.is_none() {
        return skipped("it has no function validate");
    }
    for (what, request) in bad() {
        harness.step(format!("validate with {what}"));
        if let Some(answer) = instance.validate(qc_str::new(&request), PLENTY) {
            is_answer(&format!("validate with {what}"), &answer)?;
        }
    }
    harness.step("validate with NULL");
    instance.validate(qc_str::NULL, PLENTY);
    if let Ok(sample) = harness.sample() {
        harness.step("validate with the job that must succeed");
        let answer = instance.validate(qc_str::new(sample), PLENTY);
        if let Some(answer) = answer.filter(|answer| answer.status != QC_OK) {
            return broken(format!(
                "validate refused the job that must succeed: {}",
                answer.reason()
            ));
        }
    }
    Ok(())
}

/// Starts that request with that room for a reason; a run that comes of it is brought to its end.
fn try_start(
    harness: &Harness,
    instance: &Instance,
    request: &[u8],
    room: Room,
) -> Result<Answer, super::End> {
    let run = harness.run();
    let answer = instance.start(run, request, room);
    if answer.status == QC_OK {
        harness.end_somehow(instance, run)?;
    }
    Ok(answer)
}

fn bad_requests(harness: &Harness) -> CaseResult {
    let instance = harness.instance(Age::Present)?;
    for (what, request) in bad() {
        harness.step(format!("start with {what}"));
        let answer = try_start(harness, &instance, &request, PLENTY)?;
        is_answer(&format!("start with {what}"), &answer)?;
    }
    harness.step("waiting for a second report");
    harness.obeys(&instance, Breach::Again)
}

fn error_text(harness: &Harness) -> CaseResult {
    let rooms = [
        PLENTY,
        Room::Bytes(64),
        Room::Bytes(9),
        Room::Bytes(1),
        Room::Bytes(0),
        Room::NoBuffer,
        Room::Nobody,
    ];
    let instance = harness.instance(Age::Present)?;
    let proper = |answer: Answer| answer.misused.map_or(Ok(()), broken);
    for room in rooms {
        harness.step(format!(
            "create with bad settings and room for a reason: {room:?}"
        ));
        proper(
            Instance::make(
                instance.slots,
                Age::Present,
                &harness.input.store,
                b"\xffnonsense",
                room,
            )
            .1,
        )?;
        harness.step(format!("fingerprint with room for a reason: {room:?}"));
        instance.fingerprint(room).map_or(Ok(()), proper)?;
        for (what, request) in bad().into_iter().filter(|(what, _)| OBJECTIONABLE.contains(what)) {
            harness.step(format!("validate with {what} and room for a reason: {room:?}"));
            instance
                .validate(qc_str::new(&request), room)
                .map_or(Ok(()), proper)?;
            harness.step(format!("start with {what} and room for a reason: {room:?}"));
            proper(try_start(harness, &instance, &request, room)?)?;
        }
    }
    Ok(())
}
