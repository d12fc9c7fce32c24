//! A job written as JSON: `{"id":"job1","command":"sleep 2"}`, or just a command line in quotes.
//!
//! Read field by field rather than derived, so that every mistake is named in the user's terms. The fields are those of
//! [`FIELDS`]; what is here besides is how a job that was printed becomes a new one.

use std::collections::BTreeMap;

use jiff::ZonedDateTime;
use serde_json::Value;
use serde_json::value::RawValue;

use super::form::{command, kind};
use super::other_names::unknown_field;
use super::payload::{Command, Payload};
use super::spec::{FIELDS, JobSpec};
use crate::json::{JsonError, check, without_mark};
use crate::quote::excerpt;

/// Fields that are only printed: how a job fared. A job that was printed is taken as a new one.
const PRINTED: [&str; 34] = [
    "number",
    "state",
    "blocked_by",
    "reason",
    "sources",
    "schedule",
    "scheduled_at",
    "unmet_by",
    "revived_by",
    "groups",
    "enqueued_by",
    "hook",
    "hook_of",
    "hooks",
    "parents",
    "dependants",
    "attempts",
    "node",
    "cancel_requested",
    "suspended_since",
    "progress",
    "result",
    "checkpoint",
    "created_at",
    "updated_at",
    "started_at",
    "finished_at",
    "error",
    "last_line",
    "last_attempt",
    "cause",
    "dead_letter",
    "attempt_history",
    "events",
];

/// Fields of a printed job that count, besides those of its own.
const ALSO: [&str; 5] = ["argv", "timeout_ms", "unique_for_ms", "unreadable", HIDDEN_FIELD];

/// Lengths of time that a printed job has in ms.
const IN_MS: [(&str, &str); 2] = [("timeout", "timeout_ms"), ("unique_for", "unique_for_ms")];

/// The beginning of a text, as a text of JSON.
fn beginning(text: &str) -> String {
    Value::from(excerpt(text.trim())).to_string()
}

impl JobSpec {
    /// Reads a job from a JSON object, or from a JSON string that is a command line. `now` tells what a time of day
    /// means, and is called only for one.
    ///
    /// # Errors
    /// Names the mistake and the field it is in.
    pub fn from_json(text: &str, now: fn() -> ZonedDateTime) -> Result<JobSpec, String> {
        read(text, now)
    }
}

fn read(text: &str, now: fn() -> ZonedDateTime) -> Result<JobSpec, String> {
    let text = without_mark(text);
    let in_words = |error: JsonError| error.to_string();
    check(text).map_err(|error| match error {
        JsonError::Syntax(_) if !text.trim_start().starts_with(['{', '"', '[']) => format!(
            "{} is not JSON; put a command line in double quotes, as `jq -R .` does with every line",
            beginning(text)
        ),
        error => error.to_string(),
    })?;
    if text.trim_start().starts_with('{') {
        let fields = serde_json::from_str(text).map_err(|error| in_words(error.into()))?;
        return object(fields, now);
    }
    match serde_json::from_str(text) {
        Ok(Value::String(line)) => Ok(JobSpec::line(line)),
        Ok(Value::Array(_)) => Err("a job is an object or a command line in quotes, not an array".to_owned()),
        Ok(_) => Err(format!(
            "a job is an object or a command line in quotes, not {0}; if that is a command, write \"{0}\"",
            excerpt(text.trim())
        )),
        Err(error) => Err(in_words(error.into())),
    }
}

fn object(fields: BTreeMap<String, &RawValue>, now: fn() -> ZonedDateTime) -> Result<JobSpec, String> {
    if let Some(list) = fields.get(HIDDEN_FIELD) {
        refuse_hidden(list)?;
    }
    let mut spec = JobSpec::default();
    let given = |name: &str| fields.get(name).map(|raw| raw.get()).filter(|raw| *raw != "null");
    let number = given("number");
    let was_failed = given("state") == Some("\"failed\"");
    let has_argv = given("argv").is_some_and(|argv| argv.starts_with('['));
    for (name, raw) in &fields {
        let name = name.as_str();
        // Where nothing was printed, the time of a start is meant.
        let is_own = ["schedule", "scheduled_at"].contains(&name) && number.is_none();
        if let Some(printed) = PRINTED.iter().find(|printed| **printed == name && !is_own) {
            if *printed != "number" && given(name).is_some_and(|raw| raw != "[]") {
                spec.ignored.insert(printed);
            }
            continue;
        }
        match name {
            // The number that another queue gave.
            "id" if number.is_some_and(|number| raw.get().trim_matches('"') == number) => {}
            // When its retry was due.
            "run_at" if was_failed => _ = spec.ignored.insert("run_at"),
            // For people: `argv` has the words.
            "command" if has_argv => {}
            _ if ALSO.contains(&name) => also(&mut spec, name, raw)?,
            _ => {
                let field = FIELDS.iter().find(|field| field.name == name);
                let field = field.ok_or_else(|| unknown_field(name))?;
                if let Some(other) = field.excludes.iter().find(|other| given(other).is_some())
                    && given(name).is_some()
                {
                    let mut pair = [name, other];
                    pair.sort_unstable();
                    return Err(exclude_each_other(pair));
                }
                for (same, printed) in IN_MS {
                    if name == same && given(name).is_some() && given(printed).is_some() {
                        return Err(exclude_each_other([same, printed]));
                    }
                }
                field.take_json(&mut spec, raw, now)?;
            }
        }
    }
    // A job without a command is printed with its payload in place of it.
    if number.is_some() && spec.payload.payload.is_some() && spec.payload.command == shown(&spec) {
        spec.payload.command = None;
    }
    Ok(spec)
}

fn exclude_each_other([one, other]: [&str; 2]) -> String {
    format!("\"{one}\" and \"{other}\" exclude each other")
}

/// Takes a field that only printed jobs have.
fn also(spec: &mut JobSpec, name: &str, raw: &RawValue) -> Result<(), String> {
    let value: Value = serde_json::from_str(raw.get()).map_err(|error| named_error(name, &error))?;
    let bad = |wanted: &str| format!("\"{name}\" must be {wanted}, not {}", kind(&value));
    match (name, &value) {
        (HIDDEN_FIELD, _) | (_, Value::Null) => {}
        ("unreadable", _) => {
            return Err("the job could not be read when it was printed, so this is not all of it".to_owned());
        }
        ("argv", _) => match command(&value) {
            Some(argv @ Command::Argv(_)) => spec.payload.command = Some(argv),
            _ => return Err(bad("an array of texts (a program and its arguments)")),
        },
        _ => {
            let ms = Some(value.as_u64().ok_or_else(|| bad("a whole number of ms"))?);
            match name {
                "timeout_ms" => spec.timeout_ms = ms,
                _ => spec.unique_for_ms = ms,
            }
        }
    }
    Ok(())
}

fn shown(spec: &JobSpec) -> Option<Command> {
    let payload = Payload {
        payload: spec.payload.payload.clone(),
        ..Payload::default()
    };
    Some(Command::Line(payload.display()))
}

/// The field of a printed job that lists what was not printed of it.
const HIDDEN_FIELD: &str = "hidden";

/// A job of which something is hidden would not run as it did.
fn refuse_hidden(list: &RawValue) -> Result<(), String> {
    let places: Vec<String> = serde_json::from_str::<Option<_>>(list.get())
        .map_err(|error| named_error(HIDDEN_FIELD, &error))?
        .unwrap_or_default();
    if places.is_empty() {
        return Ok(());
    }
    Err(format!(
        "this job was printed without what may be secret ({}); print it with --secrets",
        excerpt(&places.join(", "))
    ))
}

fn named_error(field: &str, error: &serde_json::Error) -> String {
    format!("\"{field}\": {}", excerpt(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::job::Start;
    use crate::time::Timestamp;

    fn read(text: &str) -> Result<JobSpec, String> {
        JobSpec::from_json(text, || "2026-11-24T16:05:00+00:00[UTC]".parse().unwrap())
    }

    #[test]
    fn the_time_zone_is_found_only_for_a_time() {
        let text = r#"{"command":"true","delay":"5s","env":{"A":"b"},"run_at":null}"#;
        JobSpec::from_json(text, || unreachable!("a time is not given")).unwrap();
    }

    #[test]
    fn a_full_job() {
        let spec = read(
            r#"{"id":"job1","command":["echo","a b"],"queue":"mail","priority":-3,"delay":"5m","timeout":"1500ms",
                "max_retries":0,"backoff_base":1.5,"executor":"shell","env":{"A":"1"},"cwd":"/tmp","stdin":"in",
                "payload":{ "x": [1], "n":1e300 }}"#,
        )
        .unwrap();
        assert_eq!(spec.id.unwrap().as_str(), "job1");
        assert_eq!(
            spec.payload.command,
            Some(Command::Argv(vec!["echo".into(), "a b".into()]))
        );
        assert_eq!(spec.queue.unwrap().as_str(), "mail");
        assert_eq!(spec.start, Some(Start::After(Duration::from_secs(300))));
        assert_eq!(
            (spec.priority, spec.timeout_ms, spec.max_retries),
            (Some(-3), Some(1500), Some(0))
        );
        assert_eq!(spec.payload.env["A"], "1");
        assert_eq!(spec.payload.payload.unwrap().as_str(), r#"{"x":[1],"n":1e300}"#);
        assert_eq!(read(r#""exit 1""#), Ok(JobSpec::line("exit 1")));
        let at = read(r#"{"command":"x","run_at":"2026-12-24T18:00:00Z","id":null}"#).unwrap();
        assert_eq!(at.start, Some(Start::At(Timestamp(1_798_135_200_000))));
        assert_eq!(at.id, None);
    }

    #[test]
    fn a_bare_number_is_seconds() {
        for (value, ms) in [
            ("5", 5000),
            ("0.25", 250),
            (r#""5""#, 5000),
            (r#""5ms""#, 5),
            ("1e2", 100_000),
        ] {
            let spec = read(&format!(r#"{{"command":"x","timeout":{value},"delay":{value}}}"#)).unwrap();
            assert_eq!(spec.timeout_ms, Some(ms), "{value}");
            assert_eq!(
                spec.start,
                Some(Start::After(Duration::from_millis(ms))),
                "{value}"
            );
        }
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_text() {
        let marked = read("\u{feff}{\"command\":\"x\"}");
        assert_eq!(marked, Ok(JobSpec::line("x")));
    }

    #[test]
    fn a_printed_job_is_a_new_one() {
        let spec = read(
            r#"{"id":"7","number":7,"command":"echo 'a b'","argv":["echo","a b"],"queue":"q","state":"failed","attempts":1,
                "timeout_ms":1500,"env":{},"cwd":null,"payload":null,"run_at":"2023-11-14T22:13:20.000Z","node":null,
                "cancel_requested":false,"created_at":"1970-01-01T00:00:00.000Z","error":"exit status 1","unreadable":null}"#,
        )
        .unwrap();
        assert_eq!(
            spec.payload.command,
            Some(Command::Argv(vec!["echo".into(), "a b".into()]))
        );
        assert_eq!((spec.id, spec.start, spec.timeout_ms), (None, None, Some(1500)));
        let ignored: Vec<&str> = spec.ignored.into_iter().collect();
        assert_eq!(
            ignored,
            [
                "attempts",
                "cancel_requested",
                "created_at",
                "error",
                "run_at",
                "state"
            ]
        );
        // A job without a command shows its payload for one.
        let printed = r#"{"id":"a","number":8,"command":"{\"url\":\"http:\"}","payload":{"url":"http:"},"state":"scheduled",
            "run_at":"2099-11-14T22:13:20.000Z","executor":"http"}"#;
        let spec = read(printed).unwrap();
        assert_eq!(
            (spec.payload.command, spec.id.map(|id| id.to_string())),
            (None, Some("a".into()))
        );
        assert!(spec.start.is_some(), "its time still counts");
        let own = read(r#"{"command":"{}","payload":{}}"#).unwrap();
        assert_eq!(
            own.payload.command,
            Some(Command::Line("{}".into())),
            "the control"
        );
        assert!(read(r#"{"id":"8","command":"x"}"#).is_err(), "nobody's number");
        assert!(read(r#"{"command":"x","unreadable":"env"}"#).is_err());
    }

    #[test]
    fn every_mistake_is_named() {
        let cases = [
            ("{", "not valid JSON"),
            (
                "echo hi",
                "\"echo hi\" is not JSON; put a command line in double quotes, as `jq -R .` does with every line",
            ),
            ("'echo hi'", "is not JSON; put a command line in double quotes"),
            ("true", "not true; if that is a command, write \"true\""),
            (
                r#"{"cmd":"x"}"#,
                "there is no field \"cmd\"; it is called \"command\"",
            ),
            (r#"{"maxRetries":1}"#, "it is called \"max_retries\""),
            (r#"{"work-dir":"/"}"#, "it is called \"cwd\""),
            ("5", "a job is an object or a command line in quotes, not 5"),
            (r#"["a"]"#, "not an array"),
            (
                r#"{"comand":"x"}"#,
                "there is no field \"comand\"; did you mean \"command\"?",
            ),
            (
                r#"{"zzz":null}"#,
                "there is no field \"zzz\"; the fields are id, command",
            ),
            (r#"{"id":5}"#, "\"id\" must be text, not 5"),
            (r#"{"id":"5"}"#, "\"id\": job id '5' is all digits"),
            (r#"{"id":"a b"}"#, "\"id\": job id 'a b' has ' '"),
            (
                r#"{"command":5}"#,
                "\"command\" must be text (a shell command line) or an array",
            ),
            (r#"{"command":["a",5]}"#, "\"command\" must be"),
            (r#"{"queue":""}"#, "\"queue\": a queue name cannot be empty"),
            (
                r#"{"priority":"high"}"#,
                "\"priority\" must be a whole number from -1000000 to 1000000, not \"high\"",
            ),
            (
                r#"{"priority":99999999999}"#,
                "\"priority\" must be a whole number",
            ),
            (
                r#"{"max_retries":-1}"#,
                "\"max_retries\" must be a whole number from 0 to 1000, not -1",
            ),
            (
                r#"{"backoff_base":"2"}"#,
                "\"backoff_base\" must be a number from 1 to 3600, not \"2\"",
            ),
            (
                r#"{"timeout":true}"#,
                "\"timeout\" must be a number of seconds, or a text such as \"30s\", not true",
            ),
            (
                r#"{"timeout":-30}"#,
                "\"timeout\": '-30' is not a length of time: write a number of seconds",
            ),
            (r#"{"delay":[5]}"#, "\"delay\" must be a number of seconds"),
            (r#"{"delay":"5m","run_at":"18:00"}"#, "exclude each other"),
            (r#"{"run_at":"soon"}"#, "\"run_at\": 'soon' is not a time"),
            (
                r#"{"env":["A"]}"#,
                "\"env\" must be an object of texts, not an array",
            ),
            (
                r#"{"env":{"A":1}}"#,
                "\"env\": the value of \"A\" must be text, not 1",
            ),
            (r#"{"cwd":1}"#, "\"cwd\" must be text"),
            (r#"{"stdin":{}}"#, "\"stdin\" must be text, not an object"),
            (r#"{"payload":"x"}"#, "\"payload\" must be an object"),
            (
                r#"{"command":"a","command":"b"}"#,
                "\"command\" is given twice; give it once",
            ),
            (
                r#"{"command":"a","env":{"A":"1","A":"2"}}"#,
                "\"env/A\" is given twice",
            ),
            (
                r#"{"payload":{"json":[{"k":1,"k":2}]}}"#,
                "\"payload/json/0/k\" is given twice",
            ),
            (
                r#"{"command":"a","env":{"A":null},"hidden":[]}"#,
                "not null; if it was hidden, print the job with --secrets",
            ),
            (
                r#"{"command":"a","stdin":null,"hidden":["/stdin"]}"#,
                "printed without what may be secret (/stdin); print it with --secrets",
            ),
            (
                r#"{"command":"a","hidden":5}"#,
                "\"hidden\": invalid type: integer",
            ),
            (r#"{"executor":"../x"}"#, "\"executor\": executor name"),
        ];
        for (text, wanted) in cases {
            let error = read(text).unwrap_err();
            assert!(
                error.contains(wanted),
                "{text}\n  said: {error}\n  want: {wanted}"
            );
        }
    }
}
