//! The SQL functions that store jobs keep the same ranges as core, where those are defined: SQL cannot take them from
//! there, so their text is compared. That both refuse the same payloads is tested on a server.

use std::fs;
use std::path::Path;

use queuectl_core::limits::{
    BACKOFF_BASE, COMMENT_BYTES, GROUPS, LABEL_KEY_BYTES, LABEL_VALUE_BYTES, LABELS, MEMBERS, NAME_BYTES,
    PAYLOAD_BYTES, PAYLOAD_DEPTH, PAYLOAD_ITEMS, PRIORITY, RETRIES, SCHEDULE_DAYS, TIMEOUT,
};
use queuectl_core::{Gates, State};

/// Returns the newest definition of a function, from its name to its end.
fn definition(function: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations/postgres");
    let mut migrations: Vec<_> = fs::read_dir(folder)
        .expect("migrations")
        .map(|entry| entry.expect("an entry").path().join("up.sql"))
        .collect();
    migrations.sort();
    let defining = format!("FUNCTION {function}(");
    let texts = migrations
        .iter()
        .rev()
        .map(|file| fs::read_to_string(file).expect("a migration"));
    let found = texts.filter_map(|text| {
        let from = text.rfind(&defining)?;
        let body = &text[from..];
        // A DROP or a GRANT has no body.
        let end = body.find("END $$;")?;
        Some(body[..end].to_owned())
    });
    found
        .into_iter()
        .next()
        .unwrap_or_else(|| panic!("no definition of {function}"))
}

/// The parts of the rules that `text` does not have.
fn missing<'a>(text: &str, rules: &'a [String]) -> Vec<&'a str> {
    let missing = rules.iter().filter(|rule| !text.contains(rule.as_str()));
    missing.map(String::as_str).collect()
}

fn ranges(priority_max: i64) -> Vec<String> {
    let last = NAME_BYTES - 1;
    vec![
        format!("NOT BETWEEN {} AND {priority_max} THEN 'priority'", PRIORITY.min),
        format!(
            "NOT BETWEEN {} AND {} THEN 'max_retries'",
            RETRIES.min, RETRIES.max
        ),
        format!(
            "NOT BETWEEN {} AND {} THEN 'backoff_base'",
            BACKOFF_BASE.min, BACKOFF_BASE.max
        ),
        format!(
            "NOT BETWEEN {} AND {} THEN 'timeout'",
            TIMEOUT.min_ms, TIMEOUT.max_ms
        ),
        format!("{SCHEDULE_DAYS} * 86400000::BIGINT THEN 'run_at'"),
        format!("'^[A-Za-z0-9][A-Za-z0-9_-]{{0,{last}}}$' THEN 'executor'"),
    ]
}

#[test]
fn the_sql_function_has_the_ranges_of_core() {
    let text = definition("enqueue_stored");
    assert_eq!(missing(&text, &ranges(PRIORITY.max)), [""; 0]);
    let names = definition("is_name");
    assert!(
        names.contains(&format!("octet_length(name) > {NAME_BYTES}")),
        "{names:.300}"
    );
    // Another range is seen.
    assert_eq!(missing(&text, &ranges(PRIORITY.max + 1)).len(), 1);
}

#[test]
fn the_sql_check_of_payloads_has_the_limits_of_core() {
    let text = definition("payload_fault");
    let rules = [
        format!("octet_length(stored) > {PAYLOAD_BYTES}"),
        format!("strict $.**{{{PAYLOAD_DEPTH}}}"),
        format!("jsonb_array_length(words) > {PAYLOAD_ITEMS}"),
        format!("jsonb_object_keys(env)) > {PAYLOAD_ITEMS}"),
    ];
    assert_eq!(missing(&text, &rules), [""; 0]);
}

#[test]
fn the_sql_functions_have_the_limits_of_groups() {
    let text = definition("join_group");
    let rules = [
        format!("FROM job_groups) >= {GROUPS}"),
        format!("at most {GROUPS} groups"),
        format!("next >= {MEMBERS}"),
        format!("at most {MEMBERS} jobs in a group"),
        format!("outcome = {}", State::Dead.code()),
    ];
    assert_eq!(missing(&text, &rules), [""; 0]);
    let gate = format!("WHEN new_group IS NULL THEN 0 ELSE {} END", Gates::MEMBER.code());
    assert_eq!(missing(&definition("enqueue_stored"), &[gate]), [""; 0]);
}

#[test]
fn the_sql_functions_have_the_limits_of_labels() {
    let text = definition("label_fault");
    let last = LABEL_KEY_BYTES - 1;
    let rules = [
        format!("jsonb_object_keys(labels)) > {LABELS} THEN"),
        format!("'^[A-Za-z0-9][A-Za-z0-9._/-]{{0,{last}}}$'"),
        format!("octet_length(label.text) > {LABEL_VALUE_BYTES} OR"),
    ];
    assert_eq!(missing(&text, &rules), [""; 0]);
    let rules = [
        format!("octet_length(new_comment) > {COMMENT_BYTES} THEN 'comment'"),
        format!("THEN 0 ELSE {} END)", Gates::LABELS.code()),
    ];
    assert_eq!(missing(&definition("enqueue_stored"), &rules), [""; 0]);
}
