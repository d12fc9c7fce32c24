//! What other programs call the fields of a job, and what is said of a field that there is not.

use super::spec::FIELDS;
use crate::quote::excerpt;

/// What others call a field, in small letters alone, and what it is called here.
const OTHER_NAMES: [(&str, &str); 53] = [
    ("cmd", "\"command\""),
    ("commandline", "\"command\""),
    ("exec", "\"command\""),
    ("run", "\"command\""),
    ("script", "\"command\""),
    ("shell", "\"command\""),
    ("args", "\"command\", an array of the program and its arguments"),
    (
        "arguments",
        "\"command\", an array of the program and its arguments",
    ),
    (
        "program",
        "\"command\", an array of the program and its arguments",
    ),
    ("name", "\"id\""),
    ("jobid", "\"id\""),
    ("key", "\"id\""),
    ("uuid", "\"id\""),
    ("uniquekey", "\"unique\""),
    ("dedupkey", "\"unique\""),
    ("singletonkey", "\"unique\""),
    ("queuename", "\"queue\""),
    ("prio", "\"priority\""),
    ("dependson", "\"after\""),
    ("dependencies", "\"after\""),
    ("needs", "\"after\""),
    (
        "delayms",
        "\"delay\", a number of seconds or a text such as \"500ms\"",
    ),
    ("in", "\"delay\""),
    ("wait", "\"delay\""),
    ("at", "\"run_at\""),
    ("eta", "\"run_at\""),
    ("schedule", "\"run_at\""),
    ("scheduledat", "\"run_at\""),
    ("scheduledfor", "\"run_at\""),
    ("startat", "\"run_at\""),
    ("runat", "\"run_at\""),
    ("timelimit", "\"timeout\""),
    (
        "maxattempts",
        "\"max_retries\", which does not count the first attempt",
    ),
    ("maxretries", "\"max_retries\""),
    ("retries", "\"max_retries\""),
    ("retry", "\"max_retries\""),
    ("backoff", "\"backoff_base\""),
    ("plugin", "\"executor\""),
    ("type", "\"executor\""),
    ("environment", "\"env\""),
    ("envs", "\"env\""),
    ("vars", "\"env\""),
    ("dir", "\"cwd\""),
    ("directory", "\"cwd\""),
    ("workdir", "\"cwd\""),
    ("workingdir", "\"cwd\""),
    ("label", "\"labels\""),
    ("tag", "\"labels\""),
    ("tags", "\"labels\""),
    ("note", "\"comment\""),
    ("description", "\"comment\""),
    ("input", "\"stdin\""),
    ("data", "\"payload\""),
];

/// Returns what is said of a field that there is not.
pub fn unknown_field(name: &str) -> String {
    let shown = excerpt(name);
    let plain: String = name.chars().filter(|c| c.is_alphanumeric()).collect();
    let plain = plain.to_lowercase();
    let known = OTHER_NAMES.iter().find(|(other, _)| *other == plain);
    if let Some((_, field)) = known {
        return format!("there is no field \"{shown}\"; it is called {field}");
    }
    let similarity = |field: &&str| strsim::jaro_winkler(field, name);
    let nearest = FIELDS
        .iter()
        .map(|field| field.name)
        .max_by(|a, b| similarity(a).total_cmp(&similarity(b)))
        .filter(|field| similarity(field) > 0.7);
    match nearest {
        Some(nearest) => format!("there is no field \"{shown}\"; did you mean \"{nearest}\"?"),
        None => {
            let names: Vec<&str> = FIELDS.iter().map(|field| field.name).collect();
            format!(
                "there is no field \"{shown}\"; the fields are {}",
                names.join(", ")
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_names_are_of_no_field_and_lead_to_one() {
        for (other, field) in OTHER_NAMES {
            let is_field = |name: &str| FIELDS.iter().any(|field| field.name == name);
            assert!(!is_field(other), "{other}");
            assert!(is_field(field.split('"').nth(1).unwrap()), "{field}");
        }
    }
}
