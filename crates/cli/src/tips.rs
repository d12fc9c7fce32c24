//! What is said about a word that is not in the grammar.
//!
//! Similar letters are no reason to name a command that runs, stops or removes something, or one that is hidden: whoever
//! copies a tip must not lose anything by it. Words of other tools get the command that does what they mean there, and
//! only its help where that command does something which cannot be taken back.

use std::ffi::OsString;

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};
use queuectl_core::excerpt;

/// The commands that a tip may name for their letters alone.
const HARMLESS: &[&str] = &[
    "enqueue",
    "list",
    "show",
    "logs",
    "status",
    "wait",
    "worker:list",
    "dlq:list",
    "dlq:show",
    "config:list",
    "config:get",
    "config:set",
    "config:unset",
    "db:check",
    "db:backup",
    "db:path",
    "plugin:list",
    "plugin:info",
];

/// Groups of commands, whose members may be typed after a blank.
const GROUPS: &[&str] = &["worker", "dlq", "config", "plugin", "db"];

/// Commands of other tools, and what to do here. A name with a colon is known in that group only.
const KNOWN_COMMANDS: &[(&str, &str)] = &[
    (
        "add submit push create new put schedule job task",
        "`queuectl enqueue COMMAND` stores a job",
    ),
    (
        "jobs ls queue queues tasks all find search",
        "`queuectl list` lists the jobs, `queuectl status` counts them by queue",
    ),
    (
        "get info inspect describe view details",
        "`queuectl show JOB` shows a job, `queuectl config:get KEY` a setting",
    ),
    (
        "log output tail follow",
        "`queuectl logs JOB` prints what a job printed",
    ),
    (
        "stats stat statistics metrics metric summary count counts health ping",
        "`queuectl status` counts the jobs and shows the nodes; add --json for programs",
    ),
    (
        "dashboard ui web webui gui tui monitor top watch serve server",
        "there is no dashboard; `watch queuectl status` shows the counts and the nodes",
    ),
    (
        "workers nodes node ps",
        "`queuectl worker:list` lists the nodes with their worker processes",
    ),
    (
        "dead deadletter dead-letter dead-letters deadletters failed failures dlqs",
        "`queuectl dlq:list` lists the jobs that are out of attempts",
    ),
    (
        "settings setting configure set",
        "`queuectl config:list` lists the settings; `queuectl config:set KEY VALUE` changes one",
    ),
    (
        "plugins executors executor",
        "`queuectl plugin:list` lists the executor plugins",
    ),
    (
        "backup dump export save",
        "`queuectl db:backup FILE` copies the queue to a new file",
    ),
    (
        "check verify fsck doctor",
        "`queuectl db:check` checks the queue's file",
    ),
    (
        "reset db:reset db:drop db:delete db:clear",
        "another --db FILE is a fresh queue; `queuectl config:unset KEY` gives a setting its default again",
    ),
    (
        "config:reset config:delete config:remove config:rm config:clear config:default",
        "`queuectl config:unset KEY` gives a setting its default again",
    ),
    (
        "config:edit config:update config:change config:put config:add",
        "`queuectl config:set KEY VALUE` changes a setting",
    ),
    (
        "delete del remove rm clear clean cleanup clean-up drop flush prune empty truncate destroy expire",
        "nodes remove ended jobs after the setting `retention`; how to remove some sooner is in `queuectl purge --help`, \
         how to give jobs up in `queuectl cancel --help`",
    ),
    (
        "dlq:delete dlq:del dlq:remove dlq:rm dlq:clear dlq:clean dlq:drop dlq:flush dlq:empty",
        "see `queuectl dlq:purge --help`",
    ),
    (
        "requeue re-queue rerun re-run redo replay restart retry-all dlq:requeue dlq:rerun dlq:replay dlq:redrive \
         dlq:retry-all dlq:restart",
        "see `queuectl dlq:retry --help` for dead jobs, `queuectl retry --help` for others",
    ),
    (
        "start run work daemon process consume worker:run worker:launch worker:up worker:begin worker:daemon \
         worker:restart worker:scale",
        "a node runs the jobs: see `queuectl worker:start --help`",
    ),
    (
        "stop shutdown quit kill abort terminate halt worker:kill worker:down worker:shutdown worker:quit worker:halt \
         worker:stop-all",
        "see `queuectl worker:stop --help` for nodes, `queuectl cancel --help` for jobs",
    ),
    (
        "pause resume hold release suspend unpause worker:pause worker:resume",
        "a queue cannot be paused; its jobs wait while no node serves it",
    ),
];

/// Options of other tools, and what to do here. A word in front and a colon: with that command only.
const KNOWN_OPTIONS: &[(&str, &str)] = &[
    (
        "worker:start:--daemon worker:start:--daemonize worker:start:--background worker:start:--bg \
         worker:start:--detached worker:start:--fork worker:start:-d worker:start:-D worker:start:-b",
        "`--detach` runs the node in the background",
    ),
    (
        "worker:start:--workers worker:start:--num-workers worker:start:--processes worker:start:-n worker:start:-w \
         worker:start:--threads worker:start:-j",
        "`--count N` starts N worker processes; `--concurrency M` lets each run M jobs at a time",
    ),
    (
        "enqueue:--retries enqueue:--max-attempts enqueue:--attempts enqueue:--retry enqueue:-r",
        "`--max-retries N` limits the retries after the first attempt",
    ),
    (
        "enqueue:--prio enqueue:-p",
        "`--priority N` says which jobs run first",
    ),
    (
        "enqueue:--at enqueue:--schedule enqueue:--run-after enqueue:--after enqueue:--in enqueue:--start-at",
        "`--delay DURATION` or `--run-at TIME` starts a job later",
    ),
    (
        "enqueue:--name enqueue:--job-id",
        "`--id ID` gives the job an id of your own",
    ),
    (
        "list:--status list:-s dlq:list:--status",
        "`--state STATE` picks the jobs in one state",
    ),
    ("--format --output -o", "`--json` prints JSON"),
    (
        "--database --file --db-path --queue-file",
        "`--db PATH` names the queue",
    ),
];

/// The error with tips that help, in the place of those that clap finds by letters.
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

/// What is wrong with a number, in words; the standard library's are about its types.
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

/// Clap names other commands that take a similar option, too.
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

/// Whether clap's tip is an option that no help shows.
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

/// What to do instead of a command that does not exist.
fn about_command(word: &str, words: &[String]) -> Option<String> {
    let lower = word.to_lowercase().replace('_', "-");
    let group = words
        .iter()
        .take_while(|other| *other != word)
        .find(|other| GROUPS.contains(&other.as_str()));
    let full = match group {
        Some(group) => format!("{group}:{lower}"),
        None => match lower.split_once(['-', '.']) {
            Some((group, verb)) if GROUPS.contains(&group) => format!("{group}:{verb}"),
            _ => lower.clone(),
        },
    };
    let known = |name: &str| known(KNOWN_COMMANDS, name);
    known(&full)
        .or_else(|| known(&lower))
        .map(str::to_owned)
        .or_else(|| {
            Some(format!(
                "a similar command exists: `queuectl {}`",
                similar(&full)?
            ))
        })
}

/// What to do instead of an option that the command does not take.
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
    let verb = match before.iter().position(|word| GROUPS.contains(word)) {
        Some(at) => Some(format!("{}:{}", before[at], before.get(at + 1).unwrap_or(&""))),
        None => before
            .iter()
            .find(|word| !word.starts_with('-'))
            .map(|word| (*word).to_owned()),
    };
    let option = option.split('=').next().unwrap_or(option);
    verb.and_then(|verb| known(KNOWN_OPTIONS, &format!("{verb}:{option}")))
        .or_else(|| known(KNOWN_OPTIONS, option))
        .map(str::to_owned)
}

fn known(table: &'static [(&str, &str)], name: &str) -> Option<&'static str> {
    let mut rows = table.iter();
    let row = rows.find(|(names, _)| names.split_whitespace().any(|known| known == name))?;
    Some(row.1)
}

/// The harmless command whose name begins like that, or is but a slip away.
fn similar(name: &str) -> Option<&'static str> {
    let distance = |other: &&&str| strsim::osa_distance(other, name);
    let begins = |other: &&&str| name.len() >= 3 && other.starts_with(name);
    let most = (name.chars().count() / 3).min(2);
    let mut all = HARMLESS.iter();
    all.clone()
        .find(begins)
        .or_else(|| {
            all.by_ref()
                .min_by_key(distance)
                .filter(|other| distance(other) <= most)
        })
        .copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::CommandLine;
    use clap::CommandFactory;

    /// What is said about a command line.
    fn said(words: &[&str]) -> String {
        let words: Vec<OsString> = std::iter::once(&"queuectl")
            .chain(words)
            .map(Into::into)
            .collect();
        let mut all = CommandLine::command();
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
            (&["stats"], "`queuectl status`"),
            (&["metrics"], "`queuectl status`"),
            (&["dashboard"], "`watch queuectl status`"),
            (&["ui"], "`watch queuectl status`"),
            (&["workers"], "`queuectl worker:list`"),
            (&["pause"], "cannot be paused"),
            (&["worker", "kill"], "`queuectl worker:stop --help`"),
            (&["worker", "start", "--daemon"], "`--detach`"),
            (&["worker:start", "--background"], "`--detach`"),
            (&["worker", "start", "--detached"], "`--detach`"),
            (&["worker", "start", "-d"], "`--detach`"),
            (&["list", "--status", "dead"], "`--state STATE`"),
            (&["list", "-q", "mail"], "`--queue mail`"),
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
        let mut all = CommandLine::command();
        all.build();
        let mut tried = 0;
        for verb in all.clone().get_subcommands() {
            let name = verb.get_name();
            if HARMLESS.contains(&name) || name == "help" {
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
                            && !HARMLESS.contains(&verb)
                    });
                    assert_eq!(named, None, "{slip}: {said}");
                    assert!(!said.contains("exists: '"), "clap's own tip: {said}");
                }
            }
        }
        assert!(tried > 200, "{tried}");
        for verb in HARMLESS {
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
