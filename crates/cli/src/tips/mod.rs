//! Tips for words that are not in the grammar.
//!
//! Copying a tip must never do harm. A typing mistake is never corrected to a hidden command, nor to one that runs, stops
//! or removes something. A word of another tool gets the command that does the same here, or the help of that command if it
//! cannot be undone.

mod known;

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};
use queuectl_core::excerpt;

use crate::commands::{COMMANDS, find};
use crate::grammar::groups;

/// Returns the commands that a tip may name for a typing mistake.
fn harmless() -> impl Iterator<Item = &'static str> + Clone {
    let mut all = COMMANDS.iter();
    std::iter::from_fn(move || all.find(|entry| entry.is_harmless).map(|entry| entry.name))
}

fn is_group(word: &str) -> bool {
    groups().any(|group| group == word)
}

/// Replaces clap's tips, which it finds by similar letters, with ours.
pub fn amend(mut error: Error, all: &Command, words: &[OsString]) -> Error {
    let words: Vec<String> = words
        .iter()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            error.remove(ContextKind::SuggestedSubcommand);
            let tip =
                wrong(&error, ContextKind::InvalidSubcommand).and_then(|word| about_command(&word, &words));
            add(&mut error, tip);
        }
        ErrorKind::UnknownArgument => {
            let tip = wrong(&error, ContextKind::InvalidArg).and_then(|option| about_option(&option, &words));
            if tip.is_some() || suggests_hidden(&error, all) {
                error.remove(ContextKind::SuggestedArg);
            }
            if tip.is_some() {
                error.remove(ContextKind::Suggested);
            } else {
                keep_own_tips(&mut error);
            }
            add(&mut error, tip);
        }
        ErrorKind::ValueValidation => {
            if let Some(plain) = plain_number(&error) {
                return all.clone().error(ErrorKind::ValueValidation, plain);
            }
        }
        _ => {}
    }
    error
}

/// Returns a message about a number; those of the standard library are about its types.
fn plain_number(error: &Error) -> Option<String> {
    let why = match std::error::Error::source(error)?.to_string().as_str() {
        "invalid digit found in string" | "cannot parse integer from empty string" => "is not a whole number",
        "invalid float literal" | "cannot parse float from empty string" => "is not a number",
        "number too large to fit in target type" => "is too large",
        "number too small to fit in target type" => "is too small",
        _ => return None,
    };
    let option = wrong(error, ContextKind::InvalidArg)?;
    let value = wrong(error, ContextKind::InvalidValue)?;
    Some(format!(
        "invalid value for '{option}': '{}' {why}",
        excerpt(&value)
    ))
}

fn wrong(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::String(word)) => Some(word.clone()),
        _ => None,
    }
}

fn add(error: &mut Error, tip: Option<String>) {
    if let Some(tip) = tip {
        let tips = vec![StyledStr::from(tip)];
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
    }
}

/// Removes tips about other commands that take a similar option.
fn keep_own_tips(error: &mut Error) {
    if let Some(ContextValue::StyledStrs(tips)) = error.remove(ContextKind::Suggested) {
        let own: Vec<StyledStr> = tips
            .into_iter()
            .filter(|tip| !tip.to_string().ends_with("exists"))
            .collect();
        if !own.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(own));
        }
    }
}

/// Returns whether clap's tip is a hidden option.
fn suggests_hidden(error: &Error, all: &Command) -> bool {
    let Some(tip) = wrong(error, ContextKind::SuggestedArg) else {
        return false;
    };
    let hidden = |command: &Command| {
        command
            .get_arguments()
            .any(|arg| arg.is_hide_set() && arg.get_long().is_some_and(|long| tip == format!("--{long}")))
    };
    all.get_subcommands()
        .any(|verb| hidden(verb) || verb.get_subcommands().any(hidden))
}

/// Returns the tip for an unknown command.
fn about_command(word: &str, words: &[String]) -> Option<String> {
    let lower = word.to_lowercase().replace('_', "-");
    let group = words
        .iter()
        .take_while(|other| *other != word)
        .find(|other| is_group(other));
    let full = match group {
        Some(group) => format!("{group}:{lower}"),
        None => match lower.split_once(['-', '.']) {
            Some((group, member)) if is_group(group) => format!("{group}:{member}"),
            _ => lower.clone(),
        },
    };
    known::command(&full)
        .or_else(|| known::command(&lower))
        .map(str::to_owned)
        .or_else(|| {
            Some(format!(
                "a similar command exists: `queuectl {}`",
                similar(&full)?
            ))
        })
}

/// Returns the tip for an unknown option.
fn about_option(option: &str, words: &[String]) -> Option<String> {
    let before: Vec<&str> = words
        .iter()
        .take_while(|other| !other.starts_with(option))
        .map(String::as_str)
        .collect();
    if !option.starts_with('-') && before.last() == Some(&"-q") {
        return Some(format!(
            "`-q` is short for --quiet; `--queue {option}` names a queue"
        ));
    }
    let command = match before.iter().position(|word| is_group(word)) {
        Some(at) => Some(format!("{}:{}", before[at], before.get(at + 1).unwrap_or(&""))),
        None => before
            .iter()
            .find(|word| !word.starts_with('-'))
            // By its own name, whichever was typed.
            .map(|word| find(word).map_or(*word, |entry| entry.name).to_owned()),
    };
    let option = option.split('=').next().unwrap_or(option);
    command
        .and_then(|command| known::option(&format!("{command}:{option}")))
        .or_else(|| known::option(option))
        .map(str::to_owned)
}

/// Returns the harmless command whose name starts with that, or is one or two letters off.
fn similar(name: &str) -> Option<&'static str> {
    let distance = |other: &&str| strsim::osa_distance(other, name);
    let begins = |other: &&str| name.len() >= 3 && other.starts_with(name);
    let most = (name.chars().count() / 3).min(2);
    let mut all = harmless();
    all.clone().find(begins).or_else(|| {
        all.by_ref()
            .min_by_key(distance)
            .filter(|other| distance(other) <= most)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grammar;

    /// What is said about a command line.
    fn said(words: &[&str]) -> String {
        let words: Vec<OsString> = std::iter::once(&"queuectl")
            .chain(words)
            .map(Into::into)
            .collect();
        let mut all = grammar::whole();
        all.build();
        match all.try_get_matches_from_mut(&words) {
            Ok(_) => String::new(),
            Err(error) => amend(error, &all, &words).to_string(),
        }
    }

    /// The lines of a message that are tips.
    fn tips(words: &[&str]) -> String {
        let said = said(words);
        let tips: Vec<&str> = said.lines().filter(|line| line.contains("tip:")).collect();
        tips.join("\n")
    }

    #[test]
    fn words_of_other_tools_get_the_command_that_does_it() {
        for (words, wanted) in [
            (&["delete"][..], "`queuectl purge --help`"),
            (&["clear"], "`queuectl purge --help`"),
            (&["clean"], "`queuectl purge --help`"),
            (&["dlq", "clear"], "`queuectl dlq:purge --help`"),
            (&["dlq-clear"], "`queuectl dlq:purge --help`"),
            (&["reset"], "config:unset"),
            (&["config", "reset"], "config:unset"),
            (&["metrics"], "`queuectl status`"),
            (&["dashboard"], "`queuectl top`"),
            (&["ui"], "`queuectl top`"),
            (&["modify"], "`queuectl edit JOB`"),
            (&["signal"], "`queuectl kill --signal SIG JOB`"),
            (&["metrics"], "`queuectl stats`"),
            (&["workers"], "`queuectl worker:list`"),
            (&["pause"], "queue:pause NAME"),
            (&["worker", "kill"], "`queuectl worker:stop --help`"),
            (&["worker", "start", "--daemon"], "`--detach`"),
            (&["worker:start", "--background"], "`--detach`"),
            (&["worker", "start", "--detached"], "`--detach`"),
            (&["worker", "start", "-d"], "`--detach`"),
            (&["list", "--status", "dead"], "`--state STATE`"),
            (&["status", "-q", "mail"], "`--queue mail`"),
            (&["ls", "--status", "dead"], "`--state STATE`"),
            (&["rm", "1"], "`queuectl purge --help`"),
            (&["ps"], "`queuectl list --state processing`"),
            (&["tail", "1"], "`queuectl logs -f JOB`"),
            (&["abort", "1"], "`queuectl cancel --help`"),
            (&["restart", "1"], "`queuectl rerun --help`"),
            (&["stash", "1"], "`queuectl hold JOB`"),
        ] {
            let said = tips(words);
            assert!(
                said.contains(wanted) && said.lines().count() == 1,
                "{words:?}: {said}"
            );
        }
    }

    #[test]
    fn slips_of_the_finger_are_seen() {
        for (words, wanted) in [
            (&["stauts"][..], "`queuectl status`"),
            (&["enq"], "`queuectl enqueue`"),
            (&["lst"], "`queuectl list`"),
            (&["dlq", "lsit"], "`queuectl dlq:list`"),
            (&["dlq-lsit"], "`queuectl dlq:list`"),
            (&["enqueue", "--max_retries", "1", "x"], "--max-retries"),
        ] {
            let said = tips(words);
            assert!(said.contains(wanted), "{words:?}: {said}");
        }
    }

    #[test]
    fn numbers_are_told_in_words() {
        for (words, wanted) in [
            (
                &["enqueue", "--priority", "high", "x"][..],
                "'high' for '--priority <N>': expected a whole number",
            ),
            (
                &["enqueue", "--backoff-base", "much", "x"],
                "'much' for '--backoff-base <BASE>': expected a number from 1 to 3600",
            ),
            (
                &["list", "--limit", "x"],
                "'x' for '--limit <N>': expected a whole number",
            ),
        ] {
            let said = said(words);
            assert!(
                said.contains(wanted) && !said.contains("digit"),
                "{words:?}: {said}"
            );
        }
    }

    /// No letters at all lead to a command that changes what is there, or to one that is hidden.
    #[test]
    fn no_tip_by_letters_is_dangerous() {
        let mut all = grammar::whole();
        all.build();
        let mut tried = 0;
        for verb in all.clone().get_subcommands() {
            let name = verb.get_name();
            if harmless().any(|other| other == name) || name == "help" {
                continue;
            }
            // Every slip of one letter.
            for at in 0..name.len() {
                let mut slip = name.to_owned();
                slip.remove(at);
                for slip in [slip.clone(), format!("{}x{}", &name[..at], &slip[at..])] {
                    if all.find_subcommand(&slip).is_some() {
                        continue;
                    }
                    tried += 1;
                    let said = said(&[&slip]);
                    let named = said.split('`').skip(1).step_by(2).find(|named| {
                        let verb = named.trim_start_matches("queuectl ");
                        !named.ends_with("--help")
                            && all.find_subcommand(verb).is_some()
                            && !harmless().any(|other| other == verb)
                    });
                    assert_eq!(named, None, "{slip}: {said}");
                    assert!(!said.contains("exists: '"), "clap's own tip: {said}");
                }
            }
        }
        assert!(tried > 200, "{tried}");
        for verb in harmless() {
            assert!(
                all.find_subcommand(verb).is_some_and(|verb| !verb.is_hide_set()),
                "{verb}"
            );
        }
        for option in ["--detache", "--detachd", "--internal-backgroun"] {
            assert!(
                !tips(&["worker:start", option]).contains("--internal"),
                "{option}"
            );
        }
    }
}
