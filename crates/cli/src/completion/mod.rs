//! What can stand at the cursor of a command line: commands, options, and values of both.
//!
//! The scripts of the shells (`scripts/`) ask the hidden command `complete`, which asks [`complete`] with the table of commands. The grammar says what
//! a word may be; [`values`] finds names in the queue. Nothing here fails: where nothing is known, nothing is offered.

pub mod values;
mod words;

use clap::{Arg, ArgAction, Command};
use queuectl_core::limits::COMPLETIONS;
use queuectl_storage::Suggestion;

use self::values::Source;
use self::words::{At, Place};
use crate::registry::Entry;

/// What can stand at the cursor.
#[derive(Debug, PartialEq, Eq)]
pub enum Offer {
    /// One of these.
    Values(Vec<Suggestion>),
    /// The name of a file.
    Files,
    /// The name of a folder.
    Folders,
    /// The name of a program.
    Programs,
}

impl Offer {
    /// Returns how the scripts know it.
    pub fn name(&self) -> &'static str {
        match self {
            Offer::Values(_) => "values",
            Offer::Files => "files",
            Offer::Folders => "folders",
            Offer::Programs => "programs",
        }
    }

    fn none() -> Offer {
        Offer::Values(Vec::new())
    }
}

/// The table of commands.
#[derive(Clone, Copy)]
pub struct Commands(pub &'static [Entry]);

impl Commands {
    fn find(self, word: &str) -> Option<&'static Entry> {
        self.0.iter().find(|entry| entry.is_named(word))
    }

    fn shown(self) -> impl Iterator<Item = &'static Entry> {
        self.0.iter().filter(|entry| !entry.is_hidden)
    }

    /// The group of commands with that name.
    fn group(self, word: &str) -> Option<&'static str> {
        self.0
            .iter()
            .filter_map(Entry::group)
            .find(|group| *group == word)
    }
}

/// Finds names that begin with a text, in the queue that `--db` names if it was given.
pub trait Look {
    /// Returns the names.
    fn look(&self, source: Source, begin: &str, db: Option<&str>) -> Vec<Suggestion>;
}

/// Returns what can stand in the place of the last word. The first word is the program.
pub fn complete(commands: Commands, words: &[String], look: &impl Look) -> Offer {
    let Some((current, before)) = words.split_last() else {
        return Offer::none();
    };
    let place = Place::after(commands, before.get(1..).unwrap_or_default());
    let at = place.at();
    if current.starts_with('-') && place.takes_options() && !matches!(at, At::Value(_)) {
        // A value may be joined to its option.
        return match current.split_once('=') {
            Some((name, begin)) => match place.option(name).filter(|arg| arg.get_action().takes_values()) {
                Some(arg) => offer(&place, &arg, &format!("{name}="), begin, look),
                None => Offer::none(),
            },
            None => Offer::Values(options(&place, current)),
        };
    }
    match at {
        At::Command => Offer::Values(names(commands, current)),
        At::Member(group) => Offer::Values(members(commands, group, current)),
        At::Value(arg) => offer(&place, &arg, "", current, look),
        At::Argument(Some(arg)) => offer(&place, &arg, "", current, look),
        At::Argument(None) => Offer::none(),
    }
}

/// Offers values of an argument, with `joined` before each.
fn offer(place: &Place, arg: &Arg, joined: &str, begin: &str, look: &impl Look) -> Offer {
    let found = match Source::of(place.entry(), arg, place.position) {
        Source::Nothing => return Offer::none(),
        Source::Files => return Offer::Files,
        Source::Folders => return Offer::Folders,
        Source::Programs => return Offer::Programs,
        Source::Commands => names(place.commands, begin),
        Source::Several(values) => further(&values, begin),
        source => look.look(source, begin, place.db.as_deref()),
    };
    let found = found.into_iter().filter(|value| value.value.starts_with(begin));
    let is_given = |value: &Suggestion| arg.is_positional() && place.given.contains(&value.value);
    let new = found.filter(|value| !is_given(value)).take(COMPLETIONS);
    Offer::Values(
        new.map(|found| Suggestion {
            value: format!("{joined}{}", found.value),
            about: found.about,
        })
        .collect(),
    )
}

/// Values that can follow those which are there already, separated by commas; with a hyphen before it if that was begun.
fn further(values: &[String], begin: &str) -> Vec<Suggestion> {
    let (before, last) = begin.split_at(begin.rfind(',').map_or(0, |comma| comma + 1));
    let sign = if last.starts_with('-') { "-" } else { "" };
    let is_there = |value: &str| {
        let mut there = before.split(',').map(|other| other.trim_start_matches('-'));
        there.any(|other| other == value)
    };
    let new = values.iter().filter(|value| !is_there(value));
    new.map(|value| values::plain(&format!("{before}{sign}{value}")))
        .collect()
}

/// Visible commands whose names begin like that.
fn names(commands: Commands, begin: &str) -> Vec<Suggestion> {
    let named = commands.shown().filter(|entry| entry.name.starts_with(begin));
    let mut found: Vec<Suggestion> = named.map(|entry| describe(entry, entry.name)).collect();
    if found.is_empty() && !begin.is_empty() {
        // The hyphen form of a name, by which it is known, too.
        let hyphens = commands
            .shown()
            .map(|entry| (entry, entry.name.replace(':', "-")));
        let hyphens = hyphens.filter(|(_, name)| name.starts_with(begin));
        found.extend(hyphens.map(|(entry, name)| describe(entry, &name)));
    }
    found
}

/// Members of a group, for the spaced form.
fn members(commands: Commands, group: &str, begin: &str) -> Vec<Suggestion> {
    commands
        .shown()
        .filter_map(|entry| {
            let (of, member) = entry.name.split_once(':')?;
            (of == group && member.starts_with(begin)).then(|| describe(entry, member))
        })
        .collect()
}

fn describe(entry: &Entry, name: &str) -> Suggestion {
    let command = entry.augment(Command::new(entry.name));
    Suggestion {
        value: name.to_owned(),
        about: command.get_about().map(ToString::to_string).unwrap_or_default(),
    }
}

/// Visible options of the place that begin like that. One that was given and cannot be repeated is left out.
fn options(place: &Place, begin: &str) -> Vec<Suggestion> {
    let mut found = Vec::new();
    let shown = place.options().filter(|arg| !arg.is_hide_set());
    for arg in shown.filter(|arg| may_come(arg, place)) {
        let about = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let about = about.split('\n').next().unwrap_or_default();
        let longs = arg.get_long().map(|long| format!("--{long}"));
        let short = arg.get_short().map(|short| format!("-{short}"));
        // A dash alone asks for everything; short ones say nothing that a long one does not.
        let short = short.filter(|_| longs.is_none());
        let names = longs.into_iter().chain(short);
        found.extend(
            names
                .filter(|name| name.starts_with(begin))
                .map(|value| Suggestion {
                    value,
                    about: about.to_owned(),
                }),
        );
    }
    let help = "--help".to_owned();
    if help.starts_with(begin) {
        let about = "Print help".to_owned();
        found.push(Suggestion { value: help, about });
    }
    found
}

fn may_come(arg: &Arg, place: &Place) -> bool {
    let repeats = matches!(arg.get_action(), ArgAction::Append | ArgAction::Count);
    repeats || !place.given_options.iter().any(|id| id == arg.get_id().as_str())
}
