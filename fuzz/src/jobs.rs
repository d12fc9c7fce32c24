//! Jobs as JSON, and the lines that they come in.

use std::io::BufReader;

use queuectl_core::limits::{NAME_BYTES, PAYLOAD_BYTES, PAYLOAD_ITEMS, PRIORITY, SCHEDULE_DAYS};
use queuectl_core::{JobSpec, Payload, Timestamp};

use queuectl_cli::input::validate;
use queuectl_frontend::input::documents::{Document, Documents, is_one_word};
use queuectl_frontend::input::lines::{Line, Lines};

/// What is accepted keeps every limit, and is read from the store as it was put there.
pub fn job_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let spec = match JobSpec::from_json(text, crate::now) {
        Ok(spec) => spec,
        Err(said) => return crate::check_error(&said),
    };
    assert_eq!(spec.clone().or(JobSpec::default()), spec, "nothing adds nothing");
    assert_eq!(JobSpec::default().or(spec.clone()), spec, "nothing hides nothing");
    let now = Timestamp::from(crate::now().timestamp());
    let job = match validate(spec, now) {
        Ok(job) => job,
        Err(said) => return crate::check_error(&said),
    };
    let names = [job.queue(), job.executor()];
    let mut names = names.into_iter().chain(job.id.as_ref().map(|name| name.as_str()));
    assert!(
        names.all(|name| (1..=NAME_BYTES).contains(&name.len())),
        "{job:?}"
    );
    assert!(PRIORITY.contains(job.priority()) && job.payload.env.len() <= PAYLOAD_ITEMS);
    if let Some(start) = job.start {
        let days = start.at(now).since(now).as_secs() / 86_400;
        assert!(days <= SCHEDULE_DAYS.unsigned_abs(), "{days} days ahead");
    }
    let stored = job.stored_payload();
    assert!(stored.len() <= PAYLOAD_BYTES);
    let read: Payload = match serde_json::from_str(stored) {
        Ok(read) => read,
        Err(error) => panic!("stored and not readable: {error}: {stored}"),
    };
    assert_eq!(read, job.payload, "{stored}");
}

/// Lines are those of the text, in order, whole or said to be too long, however the text arrives.
pub fn json_lines(data: &[u8]) {
    json_lines_with(data, |limit| limit);
    json_documents(data);
}

/// Documents keep the limit and come in order; one that is whole on a line of its own comes as that line.
fn json_documents(data: &[u8]) {
    let [limit, buffer, text @ ..] = data else { return };
    let (limit, buffer) = (usize::from(*limit), usize::from(*buffer) + 1);
    let mut documents = Documents::new(BufReader::with_capacity(buffer, text), limit);
    let mut found = Vec::new();
    while let Ok(Some((place, document))) = documents.read() {
        assert!(place.line <= documents.line() && documents.line() <= text.len() as u64 + 1);
        if let Document::Text(bytes) = &document {
            assert!(bytes.len() <= limit + 1, "{} bytes, limit {limit}", bytes.len());
            let word = std::str::from_utf8(bytes).is_ok_and(is_one_word);
            assert!(!word || bytes.trim_ascii().starts_with(b"\""), "{place}");
        }
        found.push(document);
    }
    let lines: Vec<&[u8]> = text
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .collect();
    let whole = |line: &&[u8]| {
        !line.starts_with(b"[")
            && line.len() <= limit
            && serde_json::from_slice::<serde_json::Value>(line).is_ok()
    };
    if text.len() <= limit && lines.iter().all(whole) {
        let lines: Vec<Document> = lines
            .into_iter()
            .map(|line| Document::Text(line.to_vec()))
            .collect();
        assert_eq!(found, lines);
    }
}

/// The same where the parser is told another limit than the check: for the control.
pub fn json_lines_with(data: &[u8], told: fn(usize) -> usize) {
    let [limit, buffer, text @ ..] = data else { return };
    let (limit, buffer) = (usize::from(*limit), usize::from(*buffer) + 1);
    let mut wanted = text.split(|byte| *byte == b'\n').peekable();
    let mut lines = Lines::new(BufReader::with_capacity(buffer, text), told(limit));
    let mut number = 0;
    while let Some(expected) = wanted.next() {
        // After the last line feed there is no line.
        if expected.is_empty() && wanted.peek().is_none() {
            break;
        }
        number += 1;
        let line = lines.read().ok().flatten();
        let expected = match expected.len() > limit {
            true => Line::TooLong,
            false => Line::Text(expected.to_vec()),
        };
        assert_eq!(
            line,
            Some(expected),
            "line {number}, limit {limit}, buffer {buffer}"
        );
        assert_eq!(lines.number, number);
    }
    assert!(matches!(lines.read(), Ok(None)), "more lines than there are");
}
