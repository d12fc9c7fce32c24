//! Writes a job that is described as JSON, in the form that [`JobSpec::from_json`] reads.

use jiff::ZonedDateTime;
use serde_json::{Map, Value};

use super::spec::{JobSpec, Start};
use crate::duration::{show_time, whole_ms};

impl JobSpec {
    /// Reads what [`JobSpec::to_json`] wrote.
    ///
    /// # Errors
    /// As [`JobSpec::from_json`], for a text that was written by hand.
    pub fn from_written(text: &str) -> Result<JobSpec, String> {
        // No time in it is one of a clock here.
        JobSpec::from_json(text, &ZonedDateTime::default())
    }

    /// Writes what is said about the job; what is not said is left out, and so are fields that count for nothing.
    pub fn to_json(&self) -> String {
        let JobSpec {
            id,
            queue,
            priority,
            start,
            hold,
            after,
            unmet,
            timeout_ms,
            max_retries,
            backoff_base,
            executor,
            unique,
            unique_for_ms,
            on_conflict,
            debounce_ms,
            max_wait_ms,
            limit,
            payload,
            ignored: _,
        } = self;
        let mut fields = Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value);
            }
        };
        put("id", id.as_ref().map(|id| id.as_str().into()));
        put("queue", queue.as_ref().map(|queue| queue.as_str().into()));
        put("priority", priority.map(Into::into));
        match start {
            Some(Start::After(delay)) => put("delay", Some(show_time(whole_ms(*delay)).into())),
            Some(Start::At(time)) => put("run_at", Some(time.to_string().into())),
            None => {}
        }
        put("hold", hold.map(Into::into));
        let texts: Vec<String> = after.iter().map(ToString::to_string).collect();
        put("after", Some(texts.into()).filter(|_| !after.is_empty()));
        put("unmet", unmet.map(|unmet| unmet.name().into()));
        put("timeout", timeout_ms.map(|ms| show_time(ms).into()));
        put("max_retries", max_retries.map(Into::into));
        put("backoff_base", backoff_base.map(Into::into));
        put("executor", executor.as_ref().map(|name| name.as_str().into()));
        put("unique", unique.as_ref().map(|key| key.as_str().into()));
        put("unique_for", unique_for_ms.map(|ms| show_time(ms).into()));
        put("on_conflict", on_conflict.map(|choice| choice.name().into()));
        put("debounce", debounce_ms.map(|ms| show_time(ms).into()));
        put("max_wait", max_wait_ms.map(|ms| show_time(ms).into()));
        let limits: Vec<Value> = limit.iter().map(|limit| limit.as_str().into()).collect();
        put(
            "limit",
            Some(limits).filter(|limits| !limits.is_empty()).map(Value::Array),
        );
        // Joined as text: a number in the executor's own object stays as it was written.
        let payload = serde_json::to_string(payload).unwrap_or_default();
        let fields = Value::Object(fields).to_string();
        let inside = [&fields, &payload].map(|object| object.trim_start_matches('{').to_owned());
        let [fields, payload] = inside.map(|mut object| {
            object.pop();
            object
        });
        let comma = if fields.is_empty() || payload.is_empty() {
            ""
        } else {
            ","
        };
        format!("{{{fields}{comma}{payload}}}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FIELDS;

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let now: ZonedDateTime = "2026-11-24T16:05:00+01:00[+01:00]".parse().unwrap();
        let texts = [
            r#"{"id":"a","command":["echo","a b"],"queue":"mail","priority":-3,"delay":"1h 5m","hold":true,"after":"x:failed,7","unmet":"run","timeout":1.5,
                "max_retries":7,"backoff_base":1.5,"executor":"http","limit":["disk","a:1"],"unique":"k 1","unique_for":"1h","on_conflict":"replace","env":{"A":"ü=\u001b"},"cwd":"/tmp","stdin":"in",
                "payload":{"url":"x","n":0.10000000000000000001}}"#,
            r#"{"command":"true","run_at":"2026-12-24T18:00:00Z"}"#,
            r#"{"command":"true","unique":"k","debounce":"30s","max_wait":"5m"}"#,
            "{}",
        ];
        for text in texts {
            let spec = JobSpec::from_json(text, &now).unwrap();
            let written = spec.to_json();
            assert_eq!(JobSpec::from_json(&written, &now), Ok(spec), "{written}");
        }
        let all = JobSpec::from_json(texts[0], &now).unwrap().to_json();
        // Those exclude others.
        let elsewhere = ["run_at", "debounce", "max_wait"];
        for field in FIELDS.iter().filter(|field| !elsewhere.contains(&field.name)) {
            assert!(
                all.contains(&format!("\"{}\":", field.name)),
                "{} in {all}",
                field.name
            );
        }
    }
}
