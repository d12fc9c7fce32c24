//! The `queuectl` command line: reads it, runs one command, reports how that went.
//!
//! - `cli`: the command line as it is typed. `parse`: reading it. `tips`: what is said about words that are not in it.
//! - `context`: the global options, resolved.
//! - `commands/`: one file per command or family of commands. A command calls the store, the DLQ or the node and prints.
//! - `input/`: texts that users write (times, job JSON, lines) into types of the core. `number`: options within a range.
//! - `output/`: types of the core into tables, JSON and escaped text.
//! - `secret`: a password that was given leaves the arguments and the environment.
//! - `exit`: errors into messages and exit statuses. `logging`: log events onto standard error.
//!
//! No decision about jobs is made here; those belong to the crates below. The interface is [`main`]; `input` is visible
//! for the fuzzer alone.

mod cli;
mod commands;
mod context;
mod exit;
// For the fuzzer.
#[doc(hidden)]
pub mod input;
mod logging;
mod number;
mod output;
mod parse;
mod secret;
mod tips;

use std::process::ExitCode;

use queuectl_executor::inherit;

/// Runs the command line of this process. The status is the one to exit with.
pub fn main() -> ExitCode {
    inherit::withhold_descriptors();
    inherit::survive_file_limit();
    let command_line = match parse::parse() {
        Ok(command_line) => command_line,
        Err(ended) => return ended,
    };
    command_line.global.choose_color();
    let context = match context::Context::resolve(&command_line.global) {
        Ok(context) => context,
        Err(error) => return exit::report(&error, None),
    };
    if command_line.verb.has_one_location()
        && let Err(error) = secret::leave_sight(&command_line.global, &context)
    {
        return exit::report(&error, None);
    }
    let _logging = match logging::start(&command_line.global, command_line.verb.is_node()) {
        Ok(logging) => logging,
        Err(error) => return exit::report(&error, None),
    };
    match command_line.verb.run(&context) {
        Ok(status) => status.into(),
        Err(error) => exit::report(&error, Some(&context.location)),
    }
}
