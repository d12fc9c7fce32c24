//! A job as the text that is edited, and back.

use std::collections::BTreeMap;

use jiff::ZonedDateTime;
use queuectl_core::{FIELDS, JobSpec, is_editable};
use serde_json::Value;
use serde_json::value::RawValue;

/// Writes the parts of a job that can change, one a line, below lines that say what this is. `fault` is what was wrong with
/// the text before.
pub fn written(name: &str, job: &JobSpec, fault: Option<&str>) -> String {
    let mut text = head(name, job, fault);
    let whole = job.to_json();
    let fields: BTreeMap<String, &RawValue> = serde_json::from_str(&whole).unwrap_or_default();
    let own = FIELDS.iter().filter(|field| is_editable(field.name));
    let lines: Vec<String> = own
        .filter_map(|field| Some((field.name, fields.get(field.name)?.get())))
        .map(|(name, raw)| format!("  \"{name}\": {}", spread(raw).replace('\n', "\n  ")))
        .collect();
    text.push_str(&format!("{{\n{}\n}}\n", lines.join(",\n")));
    text
}

/// An object of texts, such as an environment, has a line for each. Anything else stays as it was written.
fn spread(raw: &str) -> String {
    match serde_json::from_str::<BTreeMap<String, String>>(raw) {
        Ok(texts) => serde_json::to_string_pretty(&texts).unwrap_or_else(|_| raw.to_owned()),
        Err(_) => raw.to_owned(),
    }
}

fn head(name: &str, job: &JobSpec, fault: Option<&str>) -> String {
    let absent = FIELDS.iter().filter(|field| is_editable(field.name));
    let absent = absent.filter(|field| {
        let payload = &job.payload;
        match field.name {
            "command" => payload.command.is_none(),
            "env" => payload.env.is_empty(),
            "cwd" => payload.cwd.is_none(),
            "stdin" => payload.stdin.is_none(),
            "pty" => !payload.pty,
            "pty_size" => payload.pty_size.is_none(),
            "payload" => payload.payload.is_none(),
            // A delay becomes a time.
            "run_at" => job.start.is_none(),
            _ => (field.written)(job).is_none(),
        }
    });
    let absent: Vec<&str> = absent.map(|field| field.name).collect();
    let mut lines = vec![format!(
        "Job {name}. Save and close to change it; close it unchanged to leave it alone."
    )];
    if !absent.is_empty() {
        lines.push(format!("It could also have: {}.", absent.join(", ")));
    }
    if let Some(fault) = fault {
        lines.push(String::new());
        lines.push("This was not taken:".to_owned());
        lines.push(fault.to_owned());
    }
    let lines = lines
        .iter()
        .flat_map(|line| line.lines().map(str::trim_end).collect::<Vec<_>>());
    let mut text = String::new();
    for line in lines {
        text.push_str(format!("// {line}").trim_end());
        text.push('\n');
    }
    text
}

/// Returns a text without the lines at its head that say what it is.
pub fn body(text: &str) -> String {
    let mut body: Vec<&str> = text.lines().collect();
    // A text of JSON is on one line, so none of them begins like this.
    body.retain(|line| !line.trim_start().starts_with("//"));
    body.join("\n")
}

/// Puts other lines at the head of a text.
pub fn headed(name: &str, job: &JobSpec, fault: &str, text: &str) -> String {
    format!("{}{}\n", head(name, job, Some(fault)), body(text).trim_end())
}

/// Reads what was made of a job. What cannot change stays as it was.
///
/// # Errors
/// Says what is wrong.
pub fn read(text: &str, before: &JobSpec) -> Result<JobSpec, String> {
    let body = body(text);
    if !body.trim_start().starts_with('{') {
        return Err("this is not a JSON object".to_owned());
    }
    let spec = JobSpec::from_json(&body, ZonedDateTime::now)?;
    let fields: BTreeMap<String, Value> = serde_json::from_str(&body).map_err(|error| error.to_string())?;
    if let Some(name) = fields.keys().find(|name| !is_editable(name)) {
        return Err(format!("\"{name}\" cannot change; leave it out"));
    }
    let JobSpec {
        id,
        unique,
        unique_for_ms,
        ..
    } = before.clone();
    Ok(JobSpec {
        id,
        unique,
        unique_for_ms,
        ..spec
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> JobSpec {
        JobSpec::from_written(json).unwrap()
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let job = spec(
            r#"{"id":"a","command":"// no comment\necho \"{\"","queue":"q","priority":2,"run_at":"2026-12-24T18:00:00Z","unique":"k",
                "limit":["disk","a:1"],"env":{"A":"ü\u001b","B":"//"},"cwd":"/tmp","stdin":"x\n// y","on_death":["a","b c"],
                "payload":{"n":0.10000000000000000001,"m":{"x":[1,2]}}}"#,
        );
        let text = written("a", &job, Some("two\nlines"));
        assert_eq!(read(&text, &job), Ok(job.clone()), "{text}");
        assert!(!text.contains("\"id\"") && !text.contains("\"unique\""), "{text}");
        assert!(text.starts_with("// Job a."), "{text}");
        assert!(text.contains("// lines\n"), "{text}");
        let plain = spec(r#"{"command":"true"}"#);
        assert_eq!(read(&written("1", &plain, None), &plain), Ok(plain));
    }

    #[test]
    fn what_cannot_change_is_refused() {
        let job = spec(r#"{"command":"true","id":"a"}"#);
        for (text, wanted) in [
            (r#"{"command":"x","id":"b"}"#, "\"id\" cannot change"),
            (r#"{"command":"x","unique":"b"}"#, "\"unique\" cannot change"),
            (r#"{"command":"x","state":"dead"}"#, "\"state\" cannot change"),
            (r#"{"command":"x","priority":"high"}"#, "priority"),
            (r#"{"command":"x""#, "JSON"),
            ("", "not a JSON object"),
            (r#"["x"]"#, "not a JSON object"),
        ] {
            let said = read(text, &job).unwrap_err();
            assert!(said.contains(wanted), "{text}: {said}");
        }
    }

    #[test]
    fn a_text_keeps_its_body_under_another_head() {
        let job = spec(r#"{"command":"true"}"#);
        let text = headed("1", &job, "a fault", "// old\n{\"command\":\n  // note\n 1}\n");
        assert_eq!(body(&text), "{\"command\":\n 1}");
        assert!(text.contains("// a fault\n") && !text.contains("old"), "{text}");
    }
}
