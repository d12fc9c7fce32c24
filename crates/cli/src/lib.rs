//! The `queuectl` command line: reads it, runs one command, reports how that went.
//!
//! - `commands/`: one file a command, and the table of all. A command calls the store, the DLQ or the node and hands over
//!   views. `registry`: what a command is. `load`: views that take more than one look into the store.
//! - `grammar`: the table as clap is to read it. `parse`: reading. `tips`: what is said about words that are not in it.
//! - `global`: the options of every command. `context`: the same, resolved.
//! - `input/`: texts that users write (times, job JSON, lines) into types of the core. `number`: options within a range.
//! - `output/`: views into tables, JSON and other formats. `stderr`: the way of remarks and log lines.
//! - `secret`: a password that was given leaves the arguments and the environment.
//! - `exit`: errors into messages and exit statuses. `logging`: log events onto standard error.
//!
//! No decision about jobs is made here; those belong to the crates below. The interface is [`main`]; `input` is visible
//! for the fuzzer alone.

mod commands;
mod context;
mod exit;
mod global;
mod grammar;
// For the fuzzer.
#[doc(hidden)]
pub mod input;
mod load;
mod logging;
mod number;
mod output;
mod parse;
mod registry;
mod secret;
mod stderr;
mod tips;

use std::process::ExitCode;

use queuectl_executor::inherit;

/// Runs the command line of this process. The status is the one to exit with.
pub fn main() -> ExitCode {
    inherit::withhold_descriptors();
    inherit::survive_file_limit();
    let (global, command) = match parse::parse() {
        Ok(read) => read,
        Err(ended) => return ended,
    };
    global.choose_color();
    let context = match context::Context::resolve(&global) {
        Ok(context) => context,
        Err(error) => return exit::report(&error, None),
    };
    if !command.entry.names_queues
        && let Err(error) = secret::leave_sight(&global, &context.location)
    {
        return exit::report(&error, None);
    }
    let _logging = match logging::start(&global, command.entry.is_node) {
        Ok(logging) => logging,
        Err(error) => return exit::report(&error, None),
    };
    match command.run(&context) {
        Ok(status) => status.into(),
        Err(error) => exit::report(&error, Some(&context.location)),
    }
}
