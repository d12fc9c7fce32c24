//! The `queuectl` command line: reads it, runs one command, reports the result.
//!
//! - `commands/`: one file per command, and the table of all. A command calls the store, the DLQ or the node and hands over
//!   views. `registry`: entries of the table.
//! - `grammar`: the clap grammar of the table. `parse`: reads the command line. `tips`: help with unknown words.
//! - `completion`: what a shell can complete.
//! - `about`: texts about the whole of it. `global`: the options of every command. `config_file`: their defaults on this machine.
//!   `context`: the same, resolved.
//! - `input`: the folder that a job is given in. `number`: options within a range. `listed`: options that shells complete. `moment`: times. `operator`: who runs the command.
//! - `output/`: prints views as tables, JSON and other formats. `stderr`: writes notes and log lines.
//! - `secret`: removes a password from the arguments and the environment.
//! - `exit`: maps errors to messages and exit statuses. `logging`: formats log events.
//!
//! This crate makes no decisions about jobs; the crates below do. Its interface is [`main`]; `input` is visible only for the
//! fuzzer.

mod about;
mod commands;
mod completion;
mod config_file;
mod context;
mod exit;
mod global;
mod grammar;
// For the fuzzer.
#[doc(hidden)]
pub mod input;
mod inside;
mod listed;
mod logging;
mod moment;
mod number;
mod operator;
mod output;
mod parse;
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
    let (mut global, command) = match parse::parse() {
        Ok(read) => read,
        Err(ended) => return ended,
    };
    let config = match config_file::ConfigFile::load() {
        // Scripts and other processes of queuectl, which call hidden commands, expect what the options say.
        config if command.entry.is_hidden => config.unwrap_or_default(),
        Ok(config) => match config.complete(&mut global) {
            Ok(()) => config,
            Err(error) => return exit::report(&error.into(), None),
        },
        Err(error) => return exit::report(&error.into(), None),
    };
    global.choose_color();
    if global.quiet > 0 {
        output::progress::hide();
    }
    let context = match context::Context::resolve(&global, config) {
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
