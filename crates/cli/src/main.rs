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

use std::mem::ManuallyDrop;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

fn main() -> ExitCode {
    let command_line = parse();
    command_line.global.choose_color();
    let context = match context::Context::resolve(&command_line.global) {
        Ok(context) => context,
        Err(error) => return exit::report(&error, None),
    };
    if let Err(error) = logging::start(&command_line.global, command_line.verb.is_node()) {
        return exit::report(&error, None);
    }
    match command_line.verb.run(&context) {
        Ok(status) => status.into(),
        Err(error) => exit::report(&error, Some(&context.location)),
    }
}

/// What `clap::Parser::parse` does, but for taking down the description of all verbs and options, which takes longer than
/// many a verb; the process ends soon enough.
fn parse() -> cli::CommandLine {
    let mut command = ManuallyDrop::new(cli::CommandLine::command());
    let matches = command.try_get_matches_from_mut(std::env::args_os());
    matches
        .and_then(|matches| {
            let matches = ManuallyDrop::new(matches);
            cli::CommandLine::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
        })
        .unwrap_or_else(|error| error.exit())
}
