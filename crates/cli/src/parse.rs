//! Reading the command line: what `clap::Parser::parse` does, but sooner, and with what people mean beyond the grammar.
//!
//! `cli` says which words there are, `tips` what is said about others. What is typed here and not there: `help COMMAND`,
//! and options behind a command that cannot be a program's name.

use std::ffi::OsString;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Args, Command, CommandFactory, FromArgMatches};

use crate::cli::{CommandLine, Global, Verb};
use crate::commands::enqueue::EnqueueArgs;
use crate::commands::enqueue::words::{is_file, is_no_program};
use crate::{exit, tips};

/// Reads the command line of this process. If it asks for help, or has a mistake in it, that is printed, and the status is
/// what comes back.
pub fn parse() -> Result<CommandLine, ExitCode> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let line = understand(&words).map_err(|error| refuse(&error))?;
    Ok(CommandLine {
        verb: line.verb.plain(),
        ..line
    })
}

fn understand(words: &[OsString]) -> Result<CommandLine, clap::Error> {
    let mut line = read(words)?;
    if let Verb::Help(help) = &line.verb {
        let asked = words.iter().take(1).chain(&help.words).cloned();
        let asked: Vec<OsString> = asked.chain(["--help".into()]).collect();
        return read(&asked);
    }
    match &mut line.verb {
        Verb::Enqueue(enqueue) if says_quiet(enqueue, words) => Err(CommandLine::command().error(
            ErrorKind::ArgumentConflict,
            "-q is short for --quiet here, not for --queue: `--queue NAME` names a queue, and `--quiet` logs less",
        )),
        Verb::Enqueue(enqueue) => match meant(enqueue, words) {
            Some((words, command)) => {
                let line = read(&words)?;
                match &line.verb {
                    Verb::Enqueue(enqueue) if enqueue.words() == command => Ok(line),
                    _ => Err(CommandLine::command().error(
                        ErrorKind::ArgumentConflict,
                        "there are words after the command and its options; a program whose name has blanks in it, or \
                         begins with @, is given after --: queuectl enqueue -- PROGRAM ARGUMENT...",
                    )),
                }
            }
            None => Ok(line),
        },
        _ => Ok(line),
    }
}

/// Whether the short option for less log stands among those of `enqueue`, which logs next to nothing: other tools name a
/// queue by it, whose name would then be the command.
fn says_quiet(enqueue: &EnqueueArgs, words: &[OsString]) -> bool {
    let before = words.len().saturating_sub(enqueue.words().len());
    let options: Vec<&OsString> = words[..before]
        .iter()
        .skip_while(|word| *word != "enqueue")
        .collect();
    options.windows(2).any(|pair| {
        let value = pair[0] == "--stdin" || pair[0] == "--command";
        pair[1] == "-q" && !value
    })
}

/// The command line that was meant, where the words of an `enqueue` say so: options after a command that can be no
/// program's name are options, and `@FILE` is a file of jobs. After `--` every word is what it is. Yields also the words
/// that are to be left for the command.
fn meant(enqueue: &mut EnqueueArgs, words: &[OsString]) -> Option<(Vec<OsString>, Vec<String>)> {
    let typed = enqueue.words();
    let (before, command) = words.split_at(words.len().checked_sub(typed.len())?);
    let (first, rest) = command.split_first()?;
    let name = typed.first()?;
    if before.last().is_some_and(|word| word == "--") {
        enqueue.take_exactly();
        return None;
    }
    let options = typed
        .get(1)
        .is_some_and(|word| word.len() > 1 && word.starts_with('-') && word != "--");
    let is_file = is_file(name);
    if !(options && is_no_program(name) || is_file && rest.is_empty()) {
        return None;
    }
    let mut meant = [before, rest].concat();
    if is_file {
        meant.push(format!("--from={}", &name[1..]).into());
        return Some((meant, Vec::new()));
    }
    meant.extend(["--".into(), first.clone()]);
    Some((meant, vec![name.clone()]))
}

/// The same for these words. All of clap takes longer than many a command, so a command line without a mistake is read by
/// a grammar of one command. Nothing is taken down again; the process ends soon enough.
fn read(words: &[OsString]) -> Result<CommandLine, clap::Error> {
    let all = ManuallyDrop::new(CommandLine::command());
    if let Some(mut one) = with_one_verb(&all, words).map(ManuallyDrop::new)
        && let Ok(matches) = one.try_get_matches_from_mut(words).map(ManuallyDrop::new)
        && let Ok(line) = CommandLine::from_arg_matches(&matches)
    {
        return Ok(line);
    }
    // Help, or a mistake: what is said of it may need the whole.
    let mut all = ManuallyDrop::into_inner(all);
    all.build();
    all.try_get_matches_from_mut(words)
        .and_then(|matches| CommandLine::from_arg_matches(&matches).map_err(|error| error.format(&mut all)))
        .map_err(|error| tips::amend(error, &all, words))
}

/// Prints help or what is wrong with the command line, as clap would, but does not pass over that it cannot be printed.
fn refuse(error: &clap::Error) -> ExitCode {
    let printed = error.print().and_then(|()| io::stdout().flush());
    match printed {
        Err(unprinted) if !error.use_stderr() => exit::report_unprinted(&unprinted),
        _ => u8::try_from(error.exit_code()).map_or(exit::Exit::USAGE.into(), ExitCode::from),
    }
}

/// The command line with a single command, the first one that is named. It may be the wrong one, if it is an option's value;
/// then the command line does not fit.
fn with_one_verb(all: &Command, words: &[OsString]) -> Option<Command> {
    let verb = words
        .iter()
        .skip(1)
        .find_map(|word| all.find_subcommand(word).cloned())?;
    let one = Command::new("queuectl").disable_help_subcommand(true);
    Some(Global::augment_args(one).subcommand(verb))
}
