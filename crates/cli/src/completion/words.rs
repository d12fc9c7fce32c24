//! Where in the grammar the next word stands, after the words before it.
//!
//! Words that do not fit the grammar are passed over: the line is not finished yet.

use clap::{Arg, ArgAction, Args, Command};

use super::Commands;
use crate::global::Global;
use crate::registry::Entry;

/// What the next word is.
pub enum At {
    /// A command.
    Command,
    /// A member of a group, in the spaced form.
    Member(&'static str),
    /// The value of an option.
    Value(Arg),
    /// An argument, or an option; none if the command takes no more arguments.
    Argument(Option<Arg>),
}

/// How much of the command was named.
#[derive(Clone, Copy)]
enum Named {
    Nothing,
    Group(&'static str),
    Command(&'static Entry),
    Unknown,
}

/// The place of the next word.
pub struct Place {
    /// The table of commands.
    pub commands: Commands,
    named: Named,
    /// The option whose value comes next.
    pending: Option<Arg>,
    /// How many arguments come before it.
    pub position: usize,
    /// Whether `--` came, after which no word is an option.
    is_literal: bool,
    /// Arguments that were given.
    pub given: Vec<String>,
    /// Options that were given, by their identifiers.
    pub given_options: Vec<String>,
    /// The queue that `--db` names, as it is typed.
    pub db: Option<String>,
    /// The options and arguments of the command, with the global options.
    grammar: Command,
}

impl Place {
    /// Returns the place after these words, without the program.
    pub fn after(commands: Commands, words: &[String]) -> Place {
        let mut place = Place {
            commands,
            named: Named::Nothing,
            pending: None,
            position: 0,
            is_literal: false,
            given: Vec::new(),
            given_options: Vec::new(),
            db: None,
            grammar: Global::augment_args(Command::new("queuectl")),
        };
        for word in words {
            place.pass(word);
        }
        place
    }

    /// Returns what the next word is.
    pub fn at(&self) -> At {
        match (&self.pending, self.named) {
            (Some(arg), _) => At::Value(arg.clone()),
            (None, Named::Nothing) => At::Command,
            (None, Named::Group(group)) => At::Member(group),
            (None, Named::Command(_)) => At::Argument(self.argument().cloned()),
            (None, Named::Unknown) => At::Argument(None),
        }
    }

    /// Returns the command, if it was named.
    pub fn entry(&self) -> Option<&'static Entry> {
        match self.named {
            Named::Command(entry) => Some(entry),
            _ => None,
        }
    }

    /// Whether the next word can be an option of ours.
    pub fn takes_options(&self) -> bool {
        let is_program =
            self.position > 0 && self.grammar.get_positionals().any(Arg::is_trailing_var_arg_set);
        !self.is_literal && !is_program
    }

    /// Goes past a word.
    fn pass(&mut self, word: &str) {
        if let Some(arg) = self.pending.take() {
            self.take_value(&arg, word);
        } else if word == "--" && self.takes_options() {
            self.is_literal = true;
        } else if word.starts_with('-') && word.len() > 1 && self.takes_options() {
            self.pass_option(word);
        } else {
            self.pass_word(word);
        }
    }

    fn pass_option(&mut self, word: &str) {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (word, None),
        };
        let Some(arg) = self.option(name) else {
            return;
        };
        self.given_options.push(arg.get_id().to_string());
        match value {
            Some(value) => self.take_value(&arg, value),
            // `-c2` has its value.
            None if arg.get_action().takes_values() && (name.starts_with("--") || name.len() == 2) => {
                self.pending = Some(arg);
            }
            None => {}
        }
    }

    fn pass_word(&mut self, word: &str) {
        let entry = match self.named {
            Named::Nothing => match (self.commands.find(word), self.commands.group(word)) {
                (None, Some(group)) => return self.named = Named::Group(group),
                (entry, _) => entry,
            },
            Named::Group(group) => self.commands.find(&format!("{group}:{word}")),
            Named::Command(_) | Named::Unknown => {
                self.given.push(word.to_owned());
                self.position += 1;
                return;
            }
        };
        self.named = entry.map_or(Named::Unknown, Named::Command);
        if let Some(entry) = entry {
            self.grammar = Global::augment_args(entry.augment(Command::new(entry.name)));
        }
    }

    fn take_value(&mut self, arg: &Arg, value: &str) {
        if arg.get_id() == "db" {
            self.db = Some(value.to_owned());
        }
    }

    /// The argument of the next word. The last one may take many.
    fn argument(&self) -> Option<&Arg> {
        let last = self.grammar.get_positionals().last();
        let is_many = |arg: &&Arg| matches!(arg.get_action(), ArgAction::Append);
        self.grammar
            .get_positionals()
            .nth(self.position)
            .or(last.filter(is_many))
    }

    /// The options that may stand here.
    pub fn options(&self) -> impl Iterator<Item = &Arg> {
        self.grammar.get_arguments().filter(|arg| !arg.is_positional())
    }

    /// The option with that name, such as `--queue` or `-f`.
    pub fn option(&self, name: &str) -> Option<Arg> {
        let has = |arg: &&Arg| match name.strip_prefix("--") {
            Some(long) => {
                let is_alias = arg.get_all_aliases().is_some_and(|all| all.contains(&long));
                arg.get_long() == Some(long) || is_alias
            }
            None => arg.get_short().is_some() && arg.get_short() == name.chars().nth(1),
        };
        self.options().find(has).cloned()
    }
}
