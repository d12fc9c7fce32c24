//! Writes a job that is described as JSON, in the form that [`JobSpec::from_json`] reads.

use jiff::ZonedDateTime;
use serde_json::{Map, Value};

use super::form::Field;
use super::spec::{FIELDS, JobSpec};

impl JobSpec {
    /// Reads what [`JobSpec::to_json`] wrote.
    ///
    /// # Errors
    /// As [`JobSpec::from_json`], for a text that was written by hand.
    pub fn from_written(text: &str) -> Result<JobSpec, String> {
        // No time in it is one of a clock here.
        JobSpec::from_json(text, ZonedDateTime::default)
    }

    /// Writes what is said about the job; what is not said is left out, and so are fields that count for nothing.
    pub fn to_json(&self) -> String {
        let written = |field: &Field<JobSpec>| Some((field.name.to_owned(), (field.written)(self)?));
        let fields: Map<String, Value> = FIELDS.iter().filter_map(written).collect();
        let payload = &self.payload;
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

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let now = || "2026-11-24T16:05:00+01:00[+01:00]".parse().unwrap();
        let texts = [
            r#"{"id":"a","command":["echo","a b"],"queue":"mail","priority":-3,"delay":"1h 5m","hold":true,"after":"x:failed,7","unmet":"run","timeout":1.5,
                "max_retries":7,"backoff_base":1.5,"executor":"http","limit":["disk","a:1"],"labels":{"team":"web x","u":""},"comment":"a\nb","group":"nightly","close_group":true,"unique":"k 1","unique_for":"1h","on_conflict":"replace","on_success":["a","b c"],"on_failure":"f","on_death":"d","hook_queue":"ops","env":{"A":"ü=\u001b"},"cwd":"/tmp","stdin":"in","pty":true,"pty_size":"132x43",
                "payload":{"url":"x","n":0.10000000000000000001}}"#,
            r#"{"command":"true","run_at":"2026-12-24T18:00:00Z"}"#,
            r#"{"command":"true","unique":"k","debounce":"30s","max_wait":"5m"}"#,
            "{}",
        ];
        for text in texts {
            let spec = JobSpec::from_json(text, now).unwrap();
            let written = spec.to_json();
            assert_eq!(JobSpec::from_json(&written, now), Ok(spec), "{written}");
        }
        let all = JobSpec::from_json(texts[0], now).unwrap().to_json();
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
