//! Where the values of an argument come from, and the names in the queue, the settings and the plugins.
//!
//! An argument's source follows from its type, so a new option needs nothing here.

use std::any::TypeId;
use std::path::PathBuf;
use std::sync::mpsc;
use std::thread;

use clap::Arg;
use queuectl_core::limits::{COMPLETION_TIME, COMPLETIONS};
use queuectl_core::selector::{KEYS as FILTERS, OneJob, Word};
use queuectl_core::settings::KEYS;
use queuectl_core::{
    GroupName, HookName, JobRef, NodeId, QueueName, ScheduleName, State, TokenName, parse_duration,
};
use queuectl_dlq::{CauseCount, Causes};
use queuectl_executor::SearchPath;
use queuectl_storage::{
    EDITABLE_STATES, Location, MassChange, StoreError, Suggest, Suggestion, newest_dead, suggest,
};

use super::Look;
use crate::context::Context;
use crate::registry::Entry;

/// The environment variable with another limit than [`COMPLETION_TIME`], for servers that are far away.
const TIMEOUT: &str = "QUEUECTL_COMPLETION_TIMEOUT";

/// Where values come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Nothing,
    /// The argument's own values.
    Listed(Vec<String>),
    /// Some of these, separated by commas.
    Several(Vec<String>),
    Store(Suggest),
    /// A word of a selector, with jobs in one of these states.
    Selector(&'static [State]),
    /// What jobs died of.
    Causes,
    Settings,
    Executors,
    Commands,
    Files,
    Folders,
    Programs,
}

/// Dead jobs that are looked at for their causes, the newest.
const DEAD: u32 = 500;

const ENDED: &[State] = &[State::Completed, State::Dead, State::Cancelled];

impl Source {
    /// Returns the source of an argument of a command, which is the `position`-th of the command if it is no option.
    pub fn of(entry: Option<&'static Entry>, arg: &Arg, position: usize) -> Source {
        let command = entry.map_or("", |entry| entry.name);
        let listed: Vec<String> = arg
            .get_possible_values()
            .iter()
            .filter(|value| !value.is_hide_set())
            .map(|value| value.get_name().to_owned())
            .collect();
        let takes_several = arg.get_value_delimiter() == Some(',');
        if !listed.is_empty() {
            return match takes_several || arg.get_id() == "columns" {
                true => Source::Several(listed),
                false => Source::Listed(listed),
            };
        }
        let kind = arg.get_value_parser().type_id();
        if kind == TypeId::of::<JobRef>() || kind == TypeId::of::<OneJob>() {
            return Source::Store(Suggest::Jobs(states(command)));
        }
        if kind == TypeId::of::<Word>() {
            return Source::Selector(states(command));
        }
        if kind == TypeId::of::<QueueName>() {
            return Source::Store(Suggest::Queues);
        }
        if kind == TypeId::of::<ScheduleName>() && command != "schedule:add" {
            return Source::Store(Suggest::Schedules);
        }
        if kind == TypeId::of::<GroupName>() && command != "group:create" {
            return Source::Store(Suggest::Groups);
        }
        if kind == TypeId::of::<HookName>() && command != "hook:add" {
            return Source::Store(Suggest::Hooks);
        }
        if kind == TypeId::of::<TokenName>() && command != "token:add" {
            return Source::Store(Suggest::Tokens);
        }
        if kind == TypeId::of::<NodeId>() {
            return Source::Store(Suggest::Nodes);
        }
        let names: Vec<&str> = arg
            .get_value_names()
            .unwrap_or_default()
            .iter()
            .map(|name| name.as_str())
            .collect();
        let value = names.first().copied().unwrap_or_default();
        match (arg.get_id().as_str(), value) {
            (_, "STATE") => {
                let names = |states: &[State]| states.iter().map(ToString::to_string).collect();
                match command {
                    "purge" => Source::Listed(names(ENDED)),
                    _ => Source::Several(names(&State::ALL)),
                }
            }
            (_, "CAUSE") => Source::Causes,
            ("queue", _) => Source::Store(Suggest::Queues),
            ("group", _) => Source::Store(Suggest::Groups),
            ("executor", _) | (_, "NAME|FILE" | "FILE|NAME") => Source::Executors,
            ("by", "WHAT") => {
                let by = ["queue", "executor", "command", "label"];
                Source::Listed(by.map(str::to_owned).into())
            }
            ("labels", _) => Source::Store(Suggest::Labels),
            ("key", _) => Source::Settings,
            ("words", _) if command == "help" => Source::Commands,
            ("words", _) if position == 0 => Source::Programs,
            (_, "DIR") => Source::Folders,
            ("words", _) | (_, "FROM" | "TO") => Source::Files,
            (_, value) if value.contains("FILE") || value.contains("PATH") || value.ends_with(".json") => {
                Source::Files
            }
            _ if kind == TypeId::of::<PathBuf>() => Source::Files,
            _ => Source::Nothing,
        }
    }
}

/// The states of the jobs that a command acts on.
fn states(command: &str) -> &'static [State] {
    match command {
        "cancel" => MassChange::Cancel.states(),
        "hold" => MassChange::Hold.states(),
        "release" => MassChange::Release.states(),
        "kill" | "suspend" | "resume" => &[State::Processing],
        "edit" | "priority" | "move" => &EDITABLE_STATES,
        "rerun" => ENDED,
        "retry" => MassChange::Retry.states(),
        "start" => MassChange::Start.states(),
        _ if command.starts_with("dlq:") => &[State::Dead],
        _ => &[],
    }
}

pub fn plain(value: &str) -> Suggestion {
    Suggestion {
        value: value.to_owned(),
        about: String::new(),
    }
}

/// Looks where this command is run.
pub struct Here<'a>(pub &'a Context);

impl Look for Here<'_> {
    fn look(&self, source: Source, begin: &str, db: Option<&str>) -> Vec<Suggestion> {
        match source {
            Source::Listed(values) => values.iter().map(|value| plain(value)).collect(),
            Source::Store(what) => self.suggest(what, begin, db),
            Source::Causes => self.ask(db, |location| {
                let dead = newest_dead(&location, DEAD)?;
                let causes = Causes::of(&dead, COMPLETIONS).list.into_iter();
                Ok(causes.map(|count| described(&count)).collect())
            }),
            Source::Selector(states) => self.selector(states, begin, db),
            Source::Settings => KEYS
                .iter()
                .map(|key| Suggestion {
                    value: key.name.to_owned(),
                    about: key.about.to_owned(),
                })
                .collect(),
            Source::Executors => SearchPath::standard(&self.0.plugin_dirs)
                .list()
                .iter()
                .map(|plugin| plain(&plugin.name))
                .collect(),
            _ => Vec::new(),
        }
    }
}

impl Here<'_> {
    /// Finds words of a selector: `@` and groups, keys of filters, after a key its values, and jobs.
    fn selector(&self, states: &'static [State], begin: &str, db: Option<&str>) -> Vec<Suggestion> {
        let after = |prefix: &str, found: Vec<Suggestion>| -> Vec<Suggestion> {
            let found = found.into_iter();
            let with = |found: Suggestion| Suggestion {
                value: format!("{prefix}{}", found.value),
                ..found
            };
            found.map(with).collect()
        };
        if let Some(name) = begin.strip_prefix('@') {
            return after("@", self.suggest(Suggest::Groups, name, db));
        }
        if let Some((key, value)) = begin.split_once('=') {
            // Further values follow a comma.
            let last = value.rfind(',').map_or(0, |comma| comma + 1);
            let (before, value) = value.split_at(last);
            let found = match key {
                "state" => State::ALL.iter().map(|state| plain(state.name())).collect(),
                "queue" => self.suggest(Suggest::Queues, value, db),
                "group" => self.suggest(Suggest::Groups, value, db),
                "schedule" => self.suggest(Suggest::Schedules, value, db),
                "executor" => self.look(Source::Executors, value, db),
                "label" => self.suggest(Suggest::Labels, value, db),
                _ => Vec::new(),
            };
            return after(&format!("{key}={before}"), found);
        }
        let keys = FILTERS.iter().map(|key| Suggestion {
            value: format!("{}{}", key.name, key.operator),
            about: format!("jobs {}", key.about),
        });
        let mut found: Vec<Suggestion> = keys
            .filter(|key| !begin.is_empty() && key.value.starts_with(begin))
            .collect();
        found.extend(self.suggest(Suggest::Jobs(states), begin, db));
        found
    }

    fn suggest(&self, what: Suggest, begin: &str, db: Option<&str>) -> Vec<Suggestion> {
        let begin = begin.to_owned();
        self.ask(db, move |location| suggest(&location, what, &begin, COMPLETIONS))
    }

    /// Asks the queue, and gives up when the time is over: the process ends with the thread.
    fn ask(
        &self,
        db: Option<&str>,
        question: impl FnOnce(Location) -> Result<Vec<Suggestion>, StoreError> + Send + 'static,
    ) -> Vec<Suggestion> {
        let location = match db {
            Some(db) => match locate(db) {
                Some(location) => location,
                None => return Vec::new(),
            },
            None => self.0.location.clone(),
        };
        let time = std::env::var(TIMEOUT)
            .ok()
            .and_then(|text| parse_duration(&text).ok());
        let time = time.unwrap_or(COMPLETION_TIME);
        let (answer, answered) = mpsc::channel();
        let asked = thread::Builder::new().spawn(move || {
            let _ = answer.send(question(location));
        });
        if asked.is_err() {
            return Vec::new();
        }
        let found = answered.recv_timeout(time).ok().and_then(Result::ok);
        found.unwrap_or_default()
    }
}

/// A cause, with how many of the jobs that were looked at died of it, and of what.
fn described(count: &CauseCount) -> Suggestion {
    let (program, error) = (&count.cause.program, &count.cause.error);
    Suggestion {
        value: count.key.to_string(),
        about: format!("{} of {program}: {error}", count.jobs),
    }
}

/// The place that a word names which the shell has not expanded yet.
fn locate(word: &str) -> Option<Location> {
    let home = word.strip_prefix("~/").zip(std::env::home_dir());
    let path = home.map(|(rest, home)| home.join(rest));
    match path {
        Some(path) => Some(Location::Sqlite(path)),
        None => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_completes_is_what_the_store_changes() {
        assert!(
            states("hold").contains(&State::Blocked),
            "a job can wait for two things"
        );
        assert!(!states("hold").contains(&State::Processing));
        assert!(states("cancel").contains(&State::Blocked));
        assert!(!states("release").contains(&State::Pending));
    }
}
