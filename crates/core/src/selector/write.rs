//! Writes selectors as they are read.

use std::fmt::{self, Display, Formatter, Write};
use std::time::Duration;

use super::read::is_digits;
use super::{Filter, Pick, Selector, Word};
use crate::{JobRef, show_time, whole_ms};

impl Display for Pick {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Pick::Job(JobRef::Name(name)) if is_read_otherwise(name.as_str()) => write!(f, "id={name}"),
            Pick::Job(job) => job.fmt(f),
            Pick::Range(from, to) => write!(f, "{from}-{to}"),
            Pick::Last(0) => f.write_str("last"),
            Pick::Last(back) => write!(f, "last~{back}"),
            Pick::Group(group) => write!(f, "@{group}"),
        }
    }
}

/// Whether the id of a job would be taken for something else.
fn is_read_otherwise(name: &str) -> bool {
    let is_range = |(from, to)| is_digits(from) && is_digits(to);
    name == "last" || name.split_once('-').is_some_and(is_range)
}

impl Display for Filter {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let key = self.key();
        write!(f, "{}{}", key.name, key.operator)?;
        match self {
            Filter::State(values) => list(f, values),
            Filter::Queue(values) => list(f, values),
            Filter::Executor(values) => list(f, values),
            Filter::Group(values) => list(f, values),
            Filter::Schedule(values) => list(f, values),
            Filter::Label(values) => list(f, values),
            Filter::Exit(values) => list(f, values),
            Filter::Error(text) | Filter::Text(text) => f.write_str(text),
            Filter::Older(age) | Filter::Newer(age) => f.write_str(&length(*age)),
        }
    }
}

fn list(f: &mut Formatter<'_>, values: &[impl Display]) -> fmt::Result {
    for (index, value) in values.iter().enumerate() {
        if index > 0 {
            f.write_char(',')?;
        }
        value.fmt(f)?;
    }
    Ok(())
}

/// A length of time as one word.
fn length(time: Duration) -> String {
    show_time(whole_ms(time)).replace(' ', "")
}

impl Display for Word {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Word::Pick(pick) => pick.fmt(f),
            Word::Filter(filter) => filter.fmt(f),
        }
    }
}

impl Display for Selector {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let picks = self.picks.iter().map(ToString::to_string);
        let filters = self.filters.iter().map(ToString::to_string);
        for (index, word) in picks.chain(filters).enumerate() {
            if index > 0 {
                f.write_char(' ')?;
            }
            quoted(f, &word)?;
        }
        Ok(())
    }
}

fn quoted(f: &mut Formatter<'_>, word: &str) -> fmt::Result {
    if !word.contains(|c: char| c.is_whitespace() || c == '"') {
        return f.write_str(word);
    }
    f.write_char('"')?;
    for c in word.chars() {
        if matches!(c, '"' | '\\') {
            f.write_char('\\')?;
        }
        f.write_char(c)?;
    }
    f.write_char('"')
}
