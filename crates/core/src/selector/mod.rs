//! Which jobs a command is about: the one grammar of every command that takes jobs.
//!
//! A [`Word`] either names jobs ([`Pick`]: `12`, `nightly-7`, `12-20`, `last~2`, `@import`) or narrows ([`Filter`]: `state=dead`,
//! `error~timeout`). A [`Selector`] has the jobs that one of its picks names, or all if it has none, and of those the ones that
//! fit every filter. Reading is in `read`, writing in `write`. Which rows these are is known to the store.

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::time::Duration;

use crate::limits::{SELECTOR_PICKS, SELECTOR_TEXT_BYTES, SELECTOR_VALUES};
use crate::quote::excerpt;
use crate::{ExecutorName, GroupName, IdError, JobId, JobRef, LabelMatch, QueueName, ScheduleName, State};

/// Names jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pick {
    /// The job of that id or number.
    Job(JobRef),
    /// The jobs with these numbers and those between them.
    Range(JobId, JobId),
    /// The newest job, or the one that is this many older.
    Last(u32),
    /// The members of a group.
    Group(GroupName),
}

impl Pick {
    /// Whether it names one job, and not as many as there happen to be.
    pub fn is_one(&self) -> bool {
        matches!(self, Pick::Job(_) | Pick::Last(_))
    }
}

/// Narrows the jobs to those that fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Filter {
    /// In one of these states.
    State(Vec<State>),
    /// In one of these queues.
    Queue(Vec<QueueName>),
    /// Of one of these executors.
    Executor(Vec<ExecutorName>),
    /// In one of these groups.
    Group(Vec<GroupName>),
    /// Made by one of these schedules.
    Schedule(Vec<ScheduleName>),
    /// With one of these labels.
    Label(Vec<LabelMatch>),
    /// Whose last attempt ended with one of these exit statuses.
    Exit(Vec<i32>),
    /// Whose last attempt has this text in its error.
    Error(String),
    /// That have this text in their id, command or other input.
    Text(String),
    /// That ended longer ago, or were enqueued longer ago and have not ended.
    Older(Duration),
    /// That ended less long ago, or were enqueued less long ago and have not ended.
    Newer(Duration),
}

impl Filter {
    /// What is written before the value.
    pub fn key(&self) -> &'static Key {
        let name = match self {
            Filter::State(_) => "state",
            Filter::Queue(_) => "queue",
            Filter::Executor(_) => "executor",
            Filter::Group(_) => "group",
            Filter::Schedule(_) => "schedule",
            Filter::Label(_) => "label",
            Filter::Exit(_) => "exit",
            Filter::Error(_) => "error",
            Filter::Text(_) => "text",
            Filter::Older(_) => "older",
            Filter::Newer(_) => "newer",
        };
        Key::named(name).unwrap_or(&KEYS[0])
    }
}

/// What can stand before the value of a filter.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// `=`, or `~` where a part of a text is enough.
    pub operator: char,
    /// What is expected behind it.
    pub expects: &'static str,
    /// A filter with it.
    pub example: &'static str,
    /// Which jobs fit.
    pub about: &'static str,
}

/// Every key, in the order of the help.
pub const KEYS: [Key; 11] = [
    Key {
        name: "state",
        operator: '=',
        expects: "states, separated by commas",
        example: "state=dead,failed",
        about: "in one of these states",
    },
    Key {
        name: "queue",
        operator: '=',
        expects: "names of queues, separated by commas",
        example: "queue=mail",
        about: "in one of these queues",
    },
    Key {
        name: "group",
        operator: '=',
        expects: "names of groups, separated by commas",
        example: "group=import",
        about: "in one of these groups",
    },
    Key {
        name: "schedule",
        operator: '=',
        expects: "names of schedules, separated by commas",
        example: "schedule=nightly",
        about: "made by one of these schedules",
    },
    Key {
        name: "executor",
        operator: '=',
        expects: "names of executors, separated by commas",
        example: "executor=docker",
        about: "of one of these executors",
    },
    Key {
        name: "label",
        operator: '=',
        expects: "keys of labels, with or without a value, separated by commas",
        example: "label=team:web",
        about: "with one of these labels (label=team: whatever its value); several such filters all have to fit",
    },
    Key {
        name: "exit",
        operator: '=',
        expects: "exit statuses, separated by commas",
        example: "exit=4",
        about: "whose last attempt ended with one of these exit statuses",
    },
    Key {
        name: "error",
        operator: '~',
        expects: "a part of an error",
        example: "error~timeout",
        about: "whose last attempt failed with this in its error",
    },
    Key {
        name: "text",
        operator: '~',
        expects: "a part of a command",
        example: "text~invoice",
        about: "with this in their id, command, arguments, environment or input",
    },
    Key {
        name: "older",
        operator: '=',
        expects: "a length of time of at most 36525 days",
        example: "older=2d",
        about: "that ended longer ago; of those that have not ended, enqueued longer ago",
    },
    Key {
        name: "newer",
        operator: '=',
        expects: "a length of time of at most 36525 days",
        example: "newer=1h",
        about: "that ended less long ago; of those that have not ended, enqueued less long ago",
    },
];

impl Key {
    /// The key of that name.
    pub fn named(name: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.name == name)
    }
}

/// One word of a selector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Names jobs.
    Pick(Pick),
    /// Narrows them.
    Filter(Filter),
}

/// A word that names one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OneJob(Pick);

impl OneJob {
    /// The word.
    pub fn pick(&self) -> &Pick {
        &self.0
    }
}

/// Which jobs are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    picks: Vec<Pick>,
    filters: Vec<Filter>,
}

impl Selector {
    /// Puts words together.
    ///
    /// # Errors
    /// A key is given twice that one value of a job has to fit, or there are too many filters.
    pub fn new(words: impl IntoIterator<Item = Word>) -> Result<Selector, SelectorError> {
        let mut selector = Selector::default();
        for word in words {
            match word {
                Word::Pick(pick) => selector.picks.push(pick),
                Word::Filter(filter) => selector.narrow(filter)?,
            }
        }
        // Jobs that are named one by one are taken one by one, however many.
        if !selector.is_by_name() && selector.picks.len() > SELECTOR_PICKS {
            return Err(SelectorError::TooManyPicks);
        }
        Ok(selector)
    }

    /// Adds a filter.
    ///
    /// # Errors
    /// As of [`Selector::new`].
    pub fn narrow(&mut self, filter: Filter) -> Result<(), SelectorError> {
        let key = filter.key();
        // A job has many labels.
        let is_single = key.operator == '=' && key.name != "label";
        if is_single && self.filters.iter().any(|other| other.key() == key) {
            return Err(SelectorError::Twice(key));
        }
        if self.filters.len() == SELECTOR_VALUES {
            return Err(SelectorError::TooMany);
        }
        self.filters.push(filter);
        Ok(())
    }

    /// The words that name jobs.
    pub fn picks(&self) -> &[Pick] {
        &self.picks
    }

    /// The words that narrow.
    pub fn filters(&self) -> &[Filter] {
        &self.filters
    }

    /// Whether it names its jobs one by one, so that no more can be meant than were typed.
    pub fn is_by_name(&self) -> bool {
        !self.picks.is_empty() && self.picks.iter().all(Pick::is_one)
    }
}

/// Most characters of a word that a message repeats; what is wrong with a part of it may repeat that, too.
const SHOWN_CHARS: usize = 40;

/// Why a text is not a selector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// A word that names nothing.
    #[error("'{}' does not name jobs: {cause}", short(word))]
    Name {
        /// The word.
        word: String,
        /// What is wrong with it.
        cause: IdError,
    },
    /// A range whose ends are not numbers of jobs.
    #[error(
        "'{}' is not a range of jobs; expected two numbers, the smaller one first, as in 12-20",
        short(word)
    )]
    Range {
        /// The word.
        word: String,
    },
    /// Something behind `last~` that is not a number.
    #[error(
        "'{}' does not name a job; expected a whole number after last~, as in last~2",
        short(word)
    )]
    Last {
        /// The word.
        word: String,
    },
    /// A word that does not name one job, where one is expected.
    #[error(
        "'{}' can mean several jobs; expected one, as in 12, last or last~2",
        short(word)
    )]
    Several {
        /// The word.
        word: String,
    },
    /// A key that does not exist.
    #[error("'{}' has an unknown key; expected {}", short(word), examples())]
    Key {
        /// The word.
        word: String,
    },
    /// A key with the other operator.
    #[error("'{}' is not a filter; expected '{}' after {}, as in {}", short(word), key.operator, key.name, key.example)]
    Operator {
        /// The word.
        word: String,
        /// Its key.
        key: &'static Key,
    },
    /// A value that does not fit its key.
    #[error(
        "'{}' is not a filter{}; expected {} after {}{}, as in {}",
        short(word), because(problem), key.expects, key.name, key.operator, key.example
    )]
    Value {
        /// The word.
        word: String,
        /// Its key.
        key: &'static Key,
        /// What is wrong with the value; may be empty.
        problem: String,
    },
    /// A key given twice.
    #[error("{}= is given twice; expected one filter with all values, as in {}", .0.name, .0.example)]
    Twice(&'static Key),
    /// Too many filters.
    #[error("a selector has at most {SELECTOR_VALUES} filters")]
    TooMany,
    /// Too many words that name jobs.
    #[error("a selector with a range or a group names at most {SELECTOR_PICKS} jobs, ranges and groups")]
    TooManyPicks,
    /// A quotation mark without its end.
    #[error(
        "a quotation mark has no end; expected \"...\" around a word with blanks, as in \"error~timed out\""
    )]
    Quote,
    /// A text that is too long.
    #[error("a selector has at most {SELECTOR_TEXT_BYTES} bytes")]
    TooLong,
}

/// The beginning of a word, which is enough to find it.
fn short(word: &str) -> String {
    let begin: String = word.chars().take(SHOWN_CHARS).collect();
    match begin.len() < word.len() {
        true => format!("{}…", excerpt(&begin)),
        false => excerpt(&begin),
    }
}

fn examples() -> String {
    let examples: Vec<&str> = KEYS.iter().map(|key| key.example).collect();
    format!("a filter such as {}", examples.join(", "))
}

fn because(problem: &str) -> String {
    match problem {
        "" => String::new(),
        problem => format!(": {problem}"),
    }
}
