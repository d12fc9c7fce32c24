//! A short search for inputs that break a parser, in the corpora of the fuzzer; and its controls.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;

use queuectl_fuzz::{TARGETS, Target, cron_with, json_lines_with, search, selectors_with, times_with};

/// Inputs for each target.
const RUNS: u32 = 20_000;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

fn find(name: &str, target: Target) -> Option<search::Found> {
    let corpus = corpus(name);
    assert!(corpus.len() > 3, "{name} has a corpus of {} files", corpus.len());
    search::search(target, &corpus, RUNS, 1)
}

fn holds(name: &str) {
    let (_, target) = TARGETS.iter().find(|(known, _)| *known == name).unwrap();
    if let Some(found) = find(name, *target) {
        let shown = found.input.escape_ascii();
        panic!("{name}, after {} inputs: \"{shown}\"\n{}", found.runs, found.said);
    }
}

/// One test a target, so that they run side by side.
macro_rules! targets {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                holds(stringify!($name));
            }
        )*

        #[test]
        fn every_target_is_searched() {
            let all: Vec<_> = TARGETS.iter().map(|(name, _)| *name).collect();
            assert_eq!(all, [$(stringify!($name)),*]);
        }
    };
}

targets! { cron frames job_json json_lines plugin_describe selectors settings times }

/// The controls: parsers that are wrong where only few inputs show it.
#[test]
fn wrong_parsers_are_found() {
    let found = find("json_lines", |data| {
        json_lines_with(data, |limit| limit.saturating_sub(1))
    });
    assert!(
        found.unwrap().said.contains("limit"),
        "a limit that is off by one"
    );
    let found = find("times", |data| {
        times_with(data, |ms| if ms == 3_600_001 { 3_600_000 } else { ms })
    });
    assert!(
        found.unwrap().said.contains("ms"),
        "a length that is rounded down"
    );
    let found = find("selectors", |data| {
        selectors_with(data, |text| text.replace("\\\"", "\""))
    });
    assert!(
        found.is_some(),
        "a quotation mark inside a word that is not marked"
    );
    let found = find("cron", |data| {
        cron_with(data, |time| match time.0 % 7_200_000 {
            60_000 => queuectl_core::Timestamp(time.0 - 1),
            _ => time,
        })
    });
    assert!(found.is_some(), "a time that is not one of the expression");
}
