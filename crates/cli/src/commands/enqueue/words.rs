//! What the words of `enqueue` ask for: a command line, a program with its arguments, or JSON.

use clap::Args;
use jiff::ZonedDateTime;
use queuectl_core::json::without_mark;
use queuectl_core::{Command, JobSpec, Payload};

use super::EnqueueArgs;
use crate::exit::Usage;

/// One job, or the text of an array of jobs.
#[derive(Debug)]
pub enum Asked {
    One(Box<JobSpec>),
    Many(String),
}

/// Reads the words.
pub fn read(mut words: Vec<String>) -> Result<Asked, Usage> {
    if words.len() > 1 {
        if begins_object(&words[0]) {
            let message = format!("a job in JSON stands alone, but {:?} comes after it", words[1]);
            return Err(Usage::new(message).hint("several jobs can be given as an array: '[{...},{...}]'"));
        }
        return Ok(Asked::One(Box::new(JobSpec {
            payload: Payload {
                command: Some(Command::Argv(words)),
                ..Payload::default()
            },
            ..JobSpec::default()
        })));
    }
    let word = words.pop().unwrap_or_default();
    let word = without_mark(&word).to_owned();
    if is_array(&word) {
        return Ok(Asked::Many(word));
    }
    if !begins_object(&word) {
        return Ok(Asked::One(Box::new(JobSpec::line(word))));
    }
    match JobSpec::from_json(&word, ZonedDateTime::now) {
        Ok(spec) => Ok(Asked::One(Box::new(spec))),
        Err(error) => {
            let usage = Usage::new(error);
            Err(match hint(&word) {
                Some(hint) => usage.hint(hint),
                None => usage,
            })
        }
    }
}

/// Whether a word can be no program's name, so that what follows it are options.
pub fn is_no_program(word: &str) -> bool {
    begins_object(word) || is_array(word) || is_file(word) || word.contains(char::is_whitespace)
}

/// Whether a word names a file with jobs.
pub fn is_file(word: &str) -> bool {
    word.len() > 1 && word.starts_with('@')
}

fn begins_object(word: &str) -> bool {
    without_mark(word).trim_start().starts_with('{')
}

/// `[` is a program and begins shell command lines, too: `[ -f x ] && echo there`.
fn is_array(word: &str) -> bool {
    let word = without_mark(word);
    let Some(rest) = word.trim_start().strip_prefix('[') else {
        return false;
    };
    begins_object(rest) || serde_json::from_str::<Vec<serde_json::Value>>(word).is_ok()
}

/// What may have gone wrong with an object that is no JSON; nothing about one whose fields are wrong.
fn hint(word: &str) -> Option<&'static str> {
    if serde_json::from_str::<serde_json::Value>(word).is_ok() {
        return None;
    }
    let inside = word.trim_start().trim_start_matches('{');
    let first = inside.trim_start();
    let name: &str = first
        .split(|c: char| !(c.is_alphanumeric() || c == '_'))
        .next()
        .unwrap_or_default();
    if first.starts_with('\'') {
        return Some("JSON has double quotes: '{\"id\":\"job1\",\"command\":\"sleep 2\"}'");
    }
    if !name.is_empty() && first[name.len()..].trim_start().starts_with(':') {
        return Some(if cfg!(windows) {
            "the shell took the double quotes away; write \\\" for each: \
             \"{\\\"id\\\":\\\"job1\\\",\\\"command\\\":\\\"sleep 2\\\"}\""
        } else {
            "the shell took the double quotes away; put all of it in single quotes: \
             '{\"id\":\"job1\",\"command\":\"sleep 2\"}'"
        });
    }
    inside
        .starts_with(char::is_whitespace)
        .then_some(first)
        .filter(|first| !first.starts_with('"'))
        .map(|_| "a shell command line that starts with { can be given as: sh -c '{ ...; }'")
}

/// Options of ours among the arguments of a program, where they do nothing.
pub fn strays(words: &[String]) -> Vec<&str> {
    // Describing all options takes a twentieth of the time of a command, and hardly a program is given any.
    if !words.iter().skip(1).any(|word| word.starts_with("--")) {
        return Vec::new();
    }
    let grammar = EnqueueArgs::augment_args(clap::Command::new("enqueue"));
    let ours: Vec<String> = grammar
        .get_arguments()
        .filter_map(clap::Arg::get_long)
        .chain(["db", "json"])
        .map(|long| format!("--{long}"))
        .collect();
    words
        .iter()
        .skip(1)
        .map(|word| word.split('=').next().unwrap_or(word))
        .filter(|word| ours.iter().any(|option| option == word))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    fn command(words: &[&str]) -> Command {
        match read(owned(words)) {
            Ok(Asked::One(spec)) => spec.payload.command.expect("a command"),
            other => panic!("{words:?}: {other:?}"),
        }
    }

    #[test]
    fn one_word_is_a_line_and_several_are_an_argv() {
        assert_eq!(command(&["exit 1"]), Command::Line("exit 1".into()));
        for words in [&["echo", "-n", "--x"][..], &["a b", "c"], &["[", "-f", "x", "]"]] {
            assert_eq!(command(words), Command::Argv(owned(words)));
        }
        assert_eq!(command(&[r#" {"command":"x"}"#]), Command::Line("x".into()));
        for line in ["[ -f x ] && y", "[ \"$A\" = b ] && y", "[[ a ]]"] {
            assert_eq!(command(&[line]), Command::Line(line.into()));
        }
    }

    #[test]
    fn an_array_is_many_jobs() {
        for array in [
            r#"[{"command":"x"}]"#,
            r#" [ {"command":"#,
            r#"["a b","c"]"#,
            "[]",
        ] {
            assert!(matches!(read(owned(&[array])), Ok(Asked::Many(_))), "{array}");
        }
        let said = read(owned(&[r#"{"command":"x"}"#, "y"])).unwrap_err().to_string();
        assert!(said.contains("stands alone"), "{said}");
    }

    #[test]
    fn hints_are_about_the_mistake() {
        for (word, wanted) in [
            ("{id:job1}", Some("took the double quotes away")),
            (
                "{ id: job1, command: sleep 2 }",
                Some("took the double quotes away"),
            ),
            ("{'id':'job1'}", Some("double quotes: '")),
            ("{ echo a; }", Some("sh -c")),
            (r#"{"command":"x",}"#, None),
            (r#"{ "command":"x",}"#, None),
            (r#"{"command":5}"#, None),
            (r#"{"comand":"x"}"#, None),
            ("{", None),
        ] {
            assert!(read(owned(&[word])).is_err(), "{word}");
            let found = hint(word);
            assert_eq!(found.is_some(), wanted.is_some(), "{word}: {found:?}");
            assert!(
                found.unwrap_or_default().contains(wanted.unwrap_or_default()),
                "{word}: {found:?}"
            );
        }
    }

    #[test]
    fn our_options_are_seen_among_arguments() {
        assert_eq!(
            strays(&owned(&["false", "--max-retries", "0"])),
            ["--max-retries"]
        );
        assert_eq!(
            strays(&owned(&["false", "--queue=mail", "--json"])),
            ["--queue", "--json"]
        );
        let others = ["--color=never", "-q", "--waiting", "--", "wait"];
        assert_eq!(strays(&owned(&others)), [""; 0]);
    }
}
