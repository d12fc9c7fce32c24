//! A job written as JSON: `{"id":"job1","command":"sleep 2"}`, or just a command line in quotes.
//!
//! Read field by field rather than derived, so that every mistake is named in the user's terms.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use jiff::ZonedDateTime;
use queuectl_core::json::{JsonError, JsonObject, check};
use queuectl_core::limits::{PRIORITY, RETRIES};
use queuectl_core::{Command, JobSpec, Payload, Start, excerpt};
use serde_json::Value;
use serde_json::value::RawValue;

use super::fields::{FIELDS, unknown_field};
use super::time::{duration, milliseconds, point};

/// Fields that are only printed: how a job fared. A job that was printed is taken as a new one.
const PRINTED: [&str; 13] = [
    "number",
    "state",
    "attempts",
    "node",
    "cancel_requested",
    "created_at",
    "updated_at",
    "started_at",
    "finished_at",
    "error",
    "last_line",
    "last_attempt",
    "attempt_history",
];

/// Fields of a printed job that count, besides those of its own.
const ALSO: [&str; 3] = ["argv", "timeout_ms", "unreadable"];

/// Whether the document is a text of one word, which could be a program's name or a command line.
pub fn is_one_word(text: &str) -> bool {
    matches!(serde_json::from_str(text), Ok(Value::String(word)) if !word.contains(char::is_whitespace))
}

/// The text without the byte order mark that some programs put before UTF-8.
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The beginning of a text, as a text of JSON.
fn beginning(text: &str) -> String {
    Value::from(excerpt(text.trim())).to_string()
}

/// Reads a job from a JSON object, or from a JSON string that is a command line.
pub fn job(text: &str, now: &ZonedDateTime) -> Result<JobSpec, String> {
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

fn object(fields: BTreeMap<String, &RawValue>, now: &ZonedDateTime) -> Result<JobSpec, String> {
    if let Some(list) = fields.get(HIDDEN_FIELD) {
        refuse_hidden(list)?;
    }
    let mut spec = JobSpec::default();
    let printed_number = fields.get("number").map(|number| number.get());
    let has =
        |name: &str, wanted: &dyn Fn(&str) -> bool| fields.get(name).is_some_and(|value| wanted(value.get()));
    let retries = has("state", &|state| state == "\"failed\"");
    let argv = has("argv", &|argv| argv.starts_with('['));
    for (name, raw) in &fields {
        let name = name.as_str();
        if let Some(printed) = PRINTED.iter().find(|printed| **printed == name) {
            if *printed != "number" && raw.get() != "null" {
                spec.ignored.insert(printed);
            }
            continue;
        }
        // What is for the executor stays as it is written.
        if name == "payload" && raw.get().starts_with('{') {
            spec.payload.payload = Some(named(name, JsonObject::parse(raw.get()))?);
            continue;
        }
        let value: Value = serde_json::from_str(raw.get()).map_err(|error| named_error(name, &error))?;
        // Null says nothing, as if the field were not there.
        if value.is_null() && (FIELDS.contains(&name) || ALSO.contains(&name)) {
            continue;
        }
        let bad = |wanted: &str| format!("\"{name}\" must be {wanted}, not {}", kind(&value));
        match name {
            // The number that another queue gave.
            "id" if printed_number.is_some() && text(&value) == printed_number => {}
            // When its retry was due.
            "run_at" if retries => _ = spec.ignored.insert("run_at"),
            // For people: `argv` has the words.
            "command" if argv => {}
            "unreadable" => {
                return Err(
                    "the job could not be read when it was printed, so this is not all of it".to_owned(),
                );
            }
            "argv" => {
                let Some(argv @ Command::Argv(_)) = command(&value) else {
                    return Err(bad("an array of texts (a program and its arguments)"));
                };
                spec.payload.command = Some(argv);
            }
            "timeout" | "timeout_ms" if spec.timeout_ms.is_some() => {
                return Err("\"timeout\" and \"timeout_ms\" exclude each other".to_owned());
            }
            "timeout_ms" => {
                spec.timeout_ms = Some(value.as_u64().ok_or_else(|| bad("a whole number of ms"))?);
            }
            "id" => spec.id = Some(parse(name, text(&value).ok_or_else(|| bad("text"))?)?),
            "command" => spec.payload.command = Some(command(&value).ok_or_else(|| bad(COMMAND))?),
            "queue" => spec.queue = Some(parse(name, text(&value).ok_or_else(|| bad("text"))?)?),
            "executor" => spec.executor = Some(parse(name, text(&value).ok_or_else(|| bad("text"))?)?),
            "priority" => spec.priority = Some(whole(&value).ok_or_else(|| bad(&PRIORITY.to_string()))?),
            "max_retries" => spec.max_retries = Some(whole(&value).ok_or_else(|| bad(&RETRIES.to_string()))?),
            "backoff_base" => {
                spec.backoff_base = Some(value.as_f64().ok_or_else(|| bad("a number of seconds"))?)
            }
            "timeout" => {
                let timeout = time(&value).ok_or_else(|| bad(TIME))?;
                spec.timeout_ms = Some(named(name, milliseconds(&timeout))?);
            }
            "delay" | "run_at" if spec.start.is_some() => {
                return Err("\"delay\" and \"run_at\" exclude each other".to_owned());
            }
            "delay" => {
                let delay = time(&value).ok_or_else(|| bad(TIME))?;
                spec.start = Some(Start::After(named(name, duration(&delay))?));
            }
            "run_at" => {
                let time = named(
                    name,
                    point(text(&value).ok_or_else(|| bad("a time as text"))?, now),
                )?;
                spec.start = Some(Start::At(time));
            }
            "env" => {
                let Value::Object(pairs) = &value else {
                    return Err(bad("an object of texts"));
                };
                for (variable, value) in pairs {
                    let value = text(value).ok_or_else(|| {
                        let hint = if value.is_null() {
                            "; if it was hidden, print the job with --secrets"
                        } else {
                            ""
                        };
                        format!(
                            "\"env\": the value of \"{}\" must be text, not {}{hint}",
                            excerpt(variable),
                            kind(value)
                        )
                    })?;
                    spec.payload.env.insert(variable.clone(), value.to_owned());
                }
            }
            "cwd" => spec.payload.cwd = Some(text(&value).ok_or_else(|| bad("text"))?.to_owned()),
            "stdin" => spec.payload.stdin = Some(text(&value).ok_or_else(|| bad("text"))?.to_owned()),
            "payload" => return Err(bad("an object")),
            HIDDEN_FIELD => {}
            unknown => return Err(unknown_field(unknown)),
        }
    }
    // A job without a command is printed with its payload in place of it.
    if printed_number.is_some() && spec.payload.payload.is_some() && spec.payload.command == shown(&spec) {
        spec.payload.command = None;
    }
    Ok(spec)
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

const COMMAND: &str = "text (a shell command line) or an array of texts (a program and its arguments)";
const TIME: &str = "a number of seconds, or a text such as \"30s\"";

fn command(value: &Value) -> Option<Command> {
    match value {
        Value::String(line) => Some(Command::Line(line.clone())),
        Value::Array(words) => {
            let words: Option<Vec<String>> = words.iter().map(|word| text(word).map(str::to_owned)).collect();
            words.map(Command::Argv)
        }
        _ => None,
    }
}

fn text(value: &Value) -> Option<&str> {
    value.as_str()
}

/// A length of time as it would be typed: a number stands for itself.
fn time(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(text.into()),
        Value::Number(seconds) => Some(seconds.to_string().into()),
        _ => None,
    }
}

fn whole<T: TryFrom<i64>>(value: &Value) -> Option<T> {
    value.as_i64().and_then(|number| T::try_from(number).ok())
}

fn parse<T: FromStr<Err: Display>>(field: &str, text: &str) -> Result<T, String> {
    named(field, text.parse())
}

fn named<T, E: Display>(field: &str, result: Result<T, E>) -> Result<T, String> {
    result.map_err(|error| format!("\"{field}\": {error}"))
}

fn kind(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::String(text) if text.chars().count() <= 40 => format!("{text:?}"),
        Value::String(_) => "text".to_owned(),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use queuectl_core::Timestamp;
    use std::time::Duration;

    fn read(text: &str) -> Result<JobSpec, String> {
        job(text, &"2026-11-24T16:05:00+00:00[UTC]".parse().unwrap())
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
                "\"backoff_base\" must be a number of seconds",
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
