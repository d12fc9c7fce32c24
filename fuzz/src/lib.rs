//! What every parser of input must hold for any input, as functions that panic if it does not.
//!
//! A fuzzer calls them (`fuzz/`), and a bounded search with random changes in the tests here. Nothing here is shipped.

mod cron;
mod frames;
mod jobs;
mod plugins;
pub mod search;
mod selectors;
mod settings;
mod times;

pub use cron::{cron, cron_with};
pub use frames::frames;
pub use jobs::{job_json, json_lines, json_lines_with};
pub use plugins::plugin_describe;
pub use selectors::{selectors, selectors_with};
pub use settings::settings;
pub use times::{times, times_with};

/// Checks the inside of one parser with one input; panics if something does not hold.
pub type Target = fn(&[u8]);

/// All of them, by the names of their corpora.
pub const TARGETS: &[(&str, Target)] = &[
    ("cron", cron),
    ("frames", frames),
    ("job_json", job_json),
    ("json_lines", json_lines),
    ("plugin_describe", plugin_describe),
    ("selectors", selectors),
    ("settings", settings),
    ("times", times),
];

/// Longest that a message may be, whatever the input was, in bytes.
pub const LONGEST_ERROR: usize = 1024;

/// A message is there, is not long, and cannot command a terminal.
fn check_error(said: &str) {
    assert!(!said.trim().is_empty(), "an error without a message");
    assert!(
        said.len() <= LONGEST_ERROR,
        "a message of {} bytes: {said}",
        said.len()
    );
    assert!(
        !said.contains(char::is_control),
        "control characters in a message: {said:?}"
    );
}

/// The message is one, and names the input, of which the beginning is enough.
fn check_names(said: &str, input: &str) {
    check_error(said);
    let begins = |text: &str| {
        text.chars()
            .take(20)
            .collect::<String>()
            .escape_debug()
            .to_string()
    };
    let named = [input, input.trim()]
        .map(begins)
        .iter()
        .any(|begins| said.contains(begins));
    assert!(named, "the message does not name {input:?}: {said}");
}

/// A time that "now" is for parsers: a moment without anything special about it, in a zone that changes its clocks.
fn now() -> jiff::ZonedDateTime {
    let now = jiff::Timestamp::from_second(1_795_000_000).unwrap_or_default();
    now.to_zoned_datetime(
        jiff::tz::TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap_or(jiff::tz::TimeZone::UTC),
    )
}
