//! The `queuectl` command line: reads it, runs one command, reports the result.
//!
//! - `commands/`: one file per command, and the table of all. A command calls the store, the DLQ or the node and hands over
//!   views. `registry`: entries of the table. `load`: views that take more than one query.
//!   `reasons`: what is around a job that does not run.
//! - `grammar`: the clap grammar of the table. `parse`: reads the command line. `tips`: help with unknown words.
//! - `completion`: what a shell can complete.
//! - `about`: texts about the whole of it. `global`: the options of every command. `context`: the same, resolved.
//! - `input/`: texts that users write (times, job JSON, lines) into types of the core. `number`: options within a range. `operator`: who runs the command.
//! - `output/`: prints views as tables, JSON and other formats. `stderr`: writes notes and log lines.
//! - `secret`: removes a password from the arguments and the environment.
//! - `exit`: maps errors to messages and exit statuses. `logging`: formats log events.
//!
//! This crate makes no decisions about jobs; the crates below do. Its interface is [`main`]; `input` is visible only for the
//! fuzzer.

mod about;
mod commands;
mod completion;
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
mod operator;
mod output;
mod parse;
mod reasons;
mod registry;
mod secret;
mod stderr;
mod tips;

use std::process::ExitCode;

use queuectl_executor::inherit;

/// Runs the command line of this process and returns the exit status.
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
