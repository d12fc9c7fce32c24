//! What is read and written, what is refused and how, and the limits.

use std::time::Duration;

use super::*;
use crate::JobName;

fn word(text: &str) -> Word {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn said(text: &str) -> String {
    text.parse::<Selector>().expect_err(text).to_string()
}

#[test]
fn words_name_jobs_or_narrow_them() {
    let name = |text: &str| JobRef::Name(JobName::try_from(text.to_owned()).unwrap());
    for (text, pick) in [
        ("12", Pick::Job(JobRef::Number(JobId(12)))),
        ("nightly-7", Pick::Job(name("nightly-7"))),
        ("2026-11-29", Pick::Job(name("2026-11-29"))),
        ("12-20", Pick::Range(JobId(12), JobId(20))),
        ("7-7", Pick::Range(JobId(7), JobId(7))),
        ("last", Pick::Last(0)),
        ("last~2", Pick::Last(2)),
        ("@import", Pick::Group("import".parse().unwrap())),
        ("id=last", Pick::Job(name("last"))),
        ("id=12-20", Pick::Job(name("12-20"))),
    ] {
        assert_eq!(word(text), Word::Pick(pick), "{text}");
        assert_eq!(word(text).to_string(), text.replace("last~0", "last"));
    }
    for (text, filter) in [
        (
            "state=dead,failed",
            Filter::State(vec![State::Dead, State::Failed]),
        ),
        ("error~timed out=yes", Filter::Error("timed out=yes".into())),
        ("exit=4,-1", Filter::Exit(vec![4, -1])),
        (
            "label=team,env:prod",
            Filter::Label(vec!["team".parse().unwrap(), "env=prod".parse().unwrap()]),
        ),
        ("older=2d", Filter::Older(Duration::from_secs(2 * 86_400))),
        ("newer=1h5m", Filter::Newer(Duration::from_secs(3900))),
    ] {
        assert_eq!(word(text), Word::Filter(filter), "{text}");
        assert_eq!(word(text).to_string(), text);
    }
    // Every key is read, and as itself.
    for key in &KEYS {
        let Word::Filter(filter) = word(key.example) else {
            panic!("{}", key.example);
        };
        assert_eq!(filter.key(), key);
    }
}

#[test]
fn a_refusal_names_the_word_what_is_expected_and_an_example() {
    for (text, words) in [
        ("20-12", ["'20-12'", "two numbers", "12-20"]),
        ("1-99999999999999999999", ["'1-9999", "two numbers", "12-20"]),
        ("last~x", ["'last~x'", "whole number", "last~2"]),
        ("last=2", ["'last=2'", "whole number", "last~2"]),
        ("colour=red", ["'colour=red'", "unknown key", "state=dead,failed"]),
        ("error=x", ["'error=x'", "'~'", "error~timeout"]),
        ("state~dead", ["'state~dead'", "'='", "state=dead,failed"]),
        (
            "state=ded",
            ["'ded' is not a job state", "states", "state=dead,failed"],
        ),
        ("state=", ["'state='", "expected states", "state=dead,failed"]),
        ("exit=four", ["'exit=four'", "exit statuses", "exit=4"]),
        ("older=soon", ["'older=soon'", "length of time", "older=2d"]),
        (
            "newer=99999d",
            ["'newer=99999d'", "at most 36525 days", "newer=1h"],
        ),
        (
            "label=-a",
            ["'-a' is not the key", "keys of labels", "label=team:web"],
        ),
        ("error~", ["'error~'", "a part of an error", "error~timeout"]),
        (
            "state=dead state=failed",
            ["state= is given twice", "one filter", "state=dead,failed"],
        ),
        ("@", ["'@'", "group name", "empty"]),
        ("a!b", ["'a!b'", "'!'", "allowed"]),
        ("\"error~x", ["quotation mark", "no end", "error~timed out"]),
    ] {
        let said = said(text);
        for words in words {
            assert!(said.contains(words), "{text}: {said}");
        }
    }
}

#[test]
fn a_selector_is_written_as_it_is_read() {
    for text in [
        "",
        "1 2-3 last @g state=dead queue=a,b",
        "last~7 older=1d2h error~x error~y",
        r#""error~connection \"refused\" \\ now" text~a\b"#,
    ] {
        let selector: Selector = text.parse().unwrap();
        assert_eq!(selector.to_string(), text);
        assert_eq!(selector.to_string().parse(), Ok(selector));
    }
    assert_eq!(
        " queue=a\t5 \n".parse::<Selector>().unwrap().to_string(),
        "5 queue=a",
        "jobs come first"
    );
}

#[test]
fn one_job_is_not_several() {
    for text in ["7", "backup", "last~2", "id=last"] {
        let one: OneJob = text.parse().unwrap();
        assert_eq!(Word::Pick(one.pick().clone()), word(text));
    }
    for text in ["1-2", "@g", "state=dead"] {
        let said = text.parse::<OneJob>().unwrap_err().to_string();
        assert!(said.contains("several") && said.contains("last~2"), "{said}");
    }
}

#[test]
fn only_names_mean_no_more_than_was_typed() {
    let by_name = |text: &str| text.parse::<Selector>().unwrap().is_by_name();
    assert!(by_name("1 last backup state=dead"));
    for text in ["1 2-3", "@g", "state=dead", ""] {
        assert!(!by_name(text), "{text}");
    }
}

#[test]
fn everything_has_a_limit() {
    let many = vec!["1"; SELECTOR_VALUES + 1].join(",");
    assert!(said(&format!("exit={many}")).contains("exit=4"));
    let queues = vec!["q"; SELECTOR_VALUES + 1].join(",");
    assert!(said(&format!("queue={queues}")).contains("at most"));
    let filters = vec!["error~x"; SELECTOR_VALUES + 1].join(" ");
    assert!(said(&filters).contains("at most"));
    assert!(said(&format!("error~{}", "x".repeat(2000))).contains("bytes"));
    let many = "1 ".repeat(SELECTOR_PICKS);
    assert!(said(&format!("{many} 2-3")).contains("at most"));
    assert!(format!("{many} 2").parse::<Selector>().is_ok());
    assert!(said(&"1 ".repeat(SELECTOR_TEXT_BYTES)).contains("bytes"));
}
