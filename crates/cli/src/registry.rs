//! Commands as entries of a table. The table is [`crate::commands::COMMANDS`].

use std::ffi::OsString;

use anyhow::Result;
use clap::{ArgMatches, Args, Command};

use crate::context::Context;
use crate::exit::Exit;

/// The arguments of a command, which can run it.
pub trait Run: Args + 'static {
    /// Returns the words to read instead, if the grammar misread the command line. `is_again` is set for such words.
    ///
    /// # Errors
    /// A mistake that the grammar does not find.
    fn reread(&mut self, _words: &[OsString], _is_again: bool) -> Result<Option<Vec<OsString>>, String> {
        Ok(None)
    }

    /// Runs the command.
    fn run(self, context: &Context) -> Result<Exit>;
}

/// A command with its arguments, ready to run.
pub struct Ready {
    /// The command.
    pub entry: &'static Entry,
    run: Act,
}

/// A command with its arguments, as a function.
type Act = Box<dyn FnOnce(&Context) -> Result<Exit>>;

impl Ready {
    /// Runs it.
    pub fn run(self, context: &Context) -> Result<Exit> {
        (self.run)(context)
    }
}

/// The result of reading a command line.
pub enum Reading {
    /// A command.
    Ready(Ready),
    /// Other words to read instead.
    Again(Vec<OsString>),
    /// A mistake, as a message.
    Mistake(String),
}

/// A command in the table.
pub struct Entry {
    /// Its name, such as `list` or `dlq:list`.
    pub name: &'static str,
    aliases: &'static [&'static str],
    /// Whether help leaves it out.
    pub is_hidden: bool,
    /// Whether a tip may name it for a typing mistake: it runs, stops and removes nothing.
    pub is_harmless: bool,
    /// Whether it is a node or a worker process, which log more.
    pub is_node: bool,
    /// Whether its arguments name the queues, not the global options.
    pub names_queues: bool,
    augment: fn(Command) -> Command,
    read: fn(&'static Entry, &ArgMatches, &[OsString], bool) -> Result<Reading, clap::Error>,
}

/// Returns the entry of a command with arguments of type `A`. The hyphen form and the spaced form follow from the name.
pub const fn command<A: Run>(name: &'static str) -> Entry {
    Entry {
        name,
        aliases: &[],
        is_hidden: false,
        is_harmless: false,
        is_node: false,
        names_queues: false,
        augment: A::augment_args,
        read: read::<A>,
    }
}

impl Entry {
    /// Adds hidden aliases.
    pub const fn aliases(mut self, aliases: &'static [&'static str]) -> Entry {
        self.aliases = aliases;
        self
    }

    pub const fn hidden(mut self) -> Entry {
        self.is_hidden = true;
        self
    }

    pub const fn harmless(mut self) -> Entry {
        self.is_harmless = true;
        self
    }

    pub const fn node(mut self) -> Entry {
        self.is_node = true;
        self
    }

    pub const fn naming_queues(mut self) -> Entry {
        self.names_queues = true;
        self
    }

    /// Returns the group it belongs to: `dlq` of `dlq:list`.
    pub fn group(&self) -> Option<&'static str> {
        self.name.split_once(':').map(|(group, _)| group)
    }

    /// Returns whether this word names it.
    pub fn is_named(&self, word: &str) -> bool {
        let hyphen = || word.split_once('-');
        self.names()
            .any(|name| name == word || name.split_once(':').is_some_and(|parts| hyphen() == Some(parts)))
    }

    fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Returns the clap command. Clap describes its options only if the command is used.
    pub fn command(&self) -> Command {
        let hyphens = self.names().filter(|name| name.contains(':'));
        // Clap takes static names only; the process ends soon.
        let hyphens = hyphens.map(|name| &*name.replace(':', "-").leak());
        Command::new(self.name)
            .aliases(self.aliases)
            .aliases(hyphens)
            .hide(self.is_hidden)
            .defer(self.augment)
    }

    /// Returns the clap command of its spaced form.
    pub fn spaced(&self) -> Option<Command> {
        let member = |name: &'static str| Some(name.split_once(':')?.1);
        let command = Command::new(member(self.name)?);
        Some(
            command
                .aliases(self.aliases.iter().copied().filter_map(member))
                .defer(self.augment),
        )
    }

    /// Adds its arguments to another clap command.
    pub fn augment(&self, command: Command) -> Command {
        (self.augment)(command)
    }

    /// Reads its arguments.
    pub fn read(
        &'static self,
        matches: &ArgMatches,
        words: &[OsString],
        is_again: bool,
    ) -> Result<Reading, clap::Error> {
        (self.read)(self, matches, words, is_again)
    }
}

fn read<A: Run>(
    entry: &'static Entry,
    matches: &ArgMatches,
    words: &[OsString],
    is_again: bool,
) -> Result<Reading, clap::Error> {
    let mut args = A::from_arg_matches(matches)?;
    Ok(match args.reread(words, is_again) {
        Ok(None) => Reading::Ready(Ready {
            entry,
            run: Box::new(move |context| args.run(context)),
        }),
        Ok(Some(words)) => Reading::Again(words),
        Err(mistake) => Reading::Mistake(mistake),
    })
}
