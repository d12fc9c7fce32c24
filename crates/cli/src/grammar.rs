//! The clap grammar of the command line, derived from the table of commands.
//!
//! The forms with a colon (`dlq:list`) are documented. The hyphen form (`dlq-list`) is an alias, the spaced form
//! (`dlq list`) a member of a hidden group. A group alone lists.

use std::ffi::OsString;

use clap::{ArgMatches, Args, Command, FromArgMatches};

use crate::about::{ABOUT, EPILOGUE};
use crate::commands::{COMMANDS, find};
use crate::global::Global;
use crate::registry::{Entry, Reading};

/// Returns the command line without commands.
pub fn root() -> Command {
    Global::augment_args(Command::new("queuectl"))
        .about(ABOUT)
        .version(env!("CARGO_PKG_VERSION"))
        .after_help(EPILOGUE)
        .max_term_width(100)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
}

/// Returns the command line with all commands.
pub fn whole() -> Command {
    root()
        .subcommands(COMMANDS.iter().map(Entry::command))
        .subcommands(groups().map(group))
}

/// Returns the command line with one command or group: the first that a word names. If that word is an option's value, the
/// grammar does not fit the command line.
pub fn with_one_command(words: &[OsString]) -> Option<Command> {
    let named = |word: &str| {
        let group_of = || groups().find(|name| *name == word).map(group);
        find(word).map(Entry::command).or_else(group_of)
    };
    let command = words.iter().skip(1).find_map(|word| named(word.to_str()?))?;
    let root = Command::new("queuectl").disable_help_subcommand(true);
    Some(Global::augment_args(root).subcommand(command))
}

/// Returns the names of the groups, in the order of their commands.
pub fn groups() -> impl Iterator<Item = &'static str> {
    let mut last = None;
    COMMANDS
        .iter()
        .filter_map(Entry::group)
        .filter(move |group| last.replace(*group) != Some(*group))
}

/// Returns a group of commands in their spaced form.
fn group(name: &'static str) -> Command {
    let members = || {
        COMMANDS
            .iter()
            .filter(move |entry| entry.group() == Some(name) && !entry.is_hidden)
    };
    let (group, names) = (Command::new(name), members().map(|entry| entry.name));
    let about = format!("Same as {}", names.collect::<Vec<_>>().join(", "));
    let group = match lister(name) {
        Some(lister) => lister.augment(group).args_conflicts_with_subcommands(true),
        None => group.subcommand_required(true).arg_required_else_help(true),
    };
    group
        .about(about)
        .hide(true)
        .subcommands(members().filter_map(Entry::spaced))
}

fn lister(group: &str) -> Option<&'static Entry> {
    find(&format!("{group}:list"))
}

/// Reads matches of the grammar; none if they have no command.
pub fn read(
    matches: &ArgMatches,
    words: &[OsString],
    is_again: bool,
) -> Result<Option<(Global, Reading)>, clap::Error> {
    let global = Global::from_arg_matches(matches)?;
    let Some((name, own)) = matches.subcommand() else {
        return Ok(None);
    };
    let (entry, own) = match (find(name), own.subcommand()) {
        (Some(entry), _) => (Some(entry), own),
        (None, Some((member, own))) => (find(&format!("{name}:{member}")), own),
        (None, None) => (lister(name), own),
    };
    entry
        .map(|entry| Ok((global, entry.read(own, words, is_again)?)))
        .transpose()
}
