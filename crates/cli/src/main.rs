//! The `queuectl` binary: reads the command line, runs one verb, reports how it went.
//!
//! - `cli`: the command line as it is typed.
//! - `context`: the global options, resolved.
//! - `verbs/`: one file per verb or family of verbs. A verb calls the store, the DLQ or the node and prints.
//! - `input/`: texts that users write (times, job JSON, lines) into types of the core.
//! - `output/`: types of the core into tables, JSON and escaped text.
//! - `exit`: errors into messages and exit statuses. `logging`: log events onto standard error.
//!
//! No decision about jobs is made here; those belong to the crates below.

mod cli;
mod context;
mod exit;
mod input;
mod logging;
mod output;
mod verbs;

use std::io::{self, Write};
use std::mem::ManuallyDrop;
use std::process::ExitCode;

use clap::{Args, Command, CommandFactory, FromArgMatches};

fn main() -> ExitCode {
    let command_line = match parse() {
        Ok(command_line) => command_line,
        Err(error) => return refuse(&error),
    };
    command_line.global.choose_color();
    let context = match context::Context::resolve(&command_line.global) {
        Ok(context) => context,
        Err(error) => return exit::report(&error, None),
    };
    let _logging = match logging::start(&command_line.global, command_line.verb.is_node()) {
        Ok(logging) => logging,
        Err(error) => return exit::report(&error, None),
    };
    match command_line.verb.run(&context) {
        Ok(status) => status.into(),
        Err(error) => exit::report(&error, Some(&context.location)),
    }
}

/// What `clap::Parser::parse` does, but sooner, for that takes longer than many a verb. Nothing is taken down again; the
/// process ends soon enough.
fn parse() -> Result<cli::CommandLine, clap::Error> {
    let all = ManuallyDrop::new(cli::CommandLine::command());
    if let Some(mut one) = with_one_verb(&all).map(ManuallyDrop::new)
        && let Ok(matches) = one
            .try_get_matches_from_mut(std::env::args_os())
            .map(ManuallyDrop::new)
        && let Ok(command_line) = cli::CommandLine::from_arg_matches(&matches)
    {
        return Ok(command_line);
    }
    // Help, or a mistake: what is said of it may need the whole.
    let mut all = ManuallyDrop::into_inner(all);
    all.build();
    all.try_get_matches_from_mut(std::env::args_os())
        .and_then(|matches| {
            cli::CommandLine::from_arg_matches(&matches).map_err(|error| error.format(&mut all))
        })
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
fn with_one_verb(all: &Command) -> Option<Command> {
    let verb = std::env::args_os()
        .skip(1)
        .find_map(|word| all.find_subcommand(word).cloned())?;
    Some(cli::Global::augment_args(Command::new("queuectl")).subcommand(verb))
}
