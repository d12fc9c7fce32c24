//! Reading the command line: what `clap::Parser::parse` does, but sooner, and with what people mean beyond the grammar.
//!
//! `cli` says which words there are, `tips` what is said about others. What is typed here and not there: `help COMMAND`,
//! and options behind a command that cannot be a program's name.

use std::ffi::OsString;
use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory, FromArgMatches};

use crate::cli::{CommandLine, Global, Verb};
use crate::{exit, tips};

/// Reads the command line of this process. If it asks for help, or has a mistake in it, that is printed, and the status is
/// what comes back.
pub fn parse() -> Result<CommandLine, ExitCode> {
    let words: Vec<OsString> = std::env::args_os().collect();
    understand(&words).map_err(|error| refuse(&error))
}

fn understand(words: &[OsString]) -> Result<CommandLine, clap::Error> {
    let line = read(words)?;
    if let Verb::Help(help) = &line.verb {
        let asked = words.iter().take(1).chain(&help.words).cloned();
        let asked: Vec<OsString> = asked.chain(["--help".into()]).collect();
        return read(&asked);
    }
    Ok(line)
}

/// The same for these words. All of clap takes longer than many a verb, so a command line without a mistake is read by
/// a grammar of one verb. Nothing is taken down again; the process ends soon enough.
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

/// The command line with a single verb, the first one that is named. It may be the wrong one, if it is an option's value;
/// then the command line does not fit.
fn with_one_verb(all: &Command, words: &[OsString]) -> Option<Command> {
    let verb = words
        .iter()
        .skip(1)
        .find_map(|word| all.find_subcommand(word).cloned())?;
    let one = Command::new("queuectl").disable_help_subcommand(true);
    Some(Global::augment_args(one).subcommand(verb))
}
