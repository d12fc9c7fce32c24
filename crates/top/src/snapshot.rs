//! What is asked of the reader, and what it found. Texts are already escaped and bounded.

use queuectl_core::{GroupName, JobId, LimitName, NodeId, QueueName, ScheduleName, State, Timestamp};
use queuectl_dlq::CauseKey;
use queuectl_frontend::escape;
use queuectl_storage::Position;
use queuectl_views::{StateCounts, StatusView};

use crate::tab::Tab;

/// Longest text of a cell, in characters.
const CELL_CHARS: usize = 400;

/// What the reader looks at from now on.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Numbers the questions, so that an answer to an older one is recognised.
    pub number: u64,
    pub what: What,
    /// Rows of the screen that there is room for.
    pub rows: u32,
}

/// A tab, or a page about one thing.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    Tab {
        tab: Tab,
        /// The filter as it was typed; empty for all.
        filter: String,
        place: Place,
    },
    Page(PageOf),
}

/// Which part of a long list.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    /// Its beginning, also when that moves.
    Top,
    /// What comes after this place.
    Below(Position),
    /// As many as there is room for that come before this place.
    Above(Position),
    /// Its end.
    Bottom,
}

/// What a page is about.
#[derive(Debug, Clone, PartialEq)]
pub enum PageOf {
    Help,
    Job(JobId),
    Explain(JobId),
    Logs(JobId),
    Queue(QueueName),
    Limit(LimitName),
    Group(GroupName),
    Schedule(ScheduleName),
    Cause(CauseKey),
    Node(NodeId),
    Event(i64),
}

/// What the reader found.
#[derive(Debug)]
pub struct Snapshot {
    /// The number of the question.
    pub number: u64,
    pub at: Timestamp,
    /// Jobs of all queues by state.
    pub counts: StateCounts,
    pub content: Content,
}

#[derive(Debug)]
pub enum Content {
    Overview(Box<StatusView>),
    Table(Table),
    Page(Page),
}

/// Rows of a tab.
#[derive(Debug, Clone, Default)]
pub struct Table {
    pub rows: Vec<Row>,
    /// Where the first row is: a place to ask for again.
    pub place: Option<Place>,
    /// Whether there are rows after the last one.
    pub more: bool,
    /// Something to say about the list as a whole.
    pub note: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Row {
    pub subject: Subject,
    /// Its place in a list that is read in parts.
    pub position: Option<Position>,
    pub cells: Vec<Cell>,
}

/// What a row is about, with what an action has to know of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Subject {
    Job(JobFacts),
    Queue {
        name: QueueName,
        is_paused: bool,
    },
    Limit(LimitName),
    Group(GroupName),
    Schedule {
        name: ScheduleName,
        is_paused: bool,
    },
    Cause {
        key: CauseKey,
        jobs: u64,
        /// Whether older dead jobs were not looked at.
        more: bool,
    },
    Node(NodeId),
    Event {
        id: i64,
        job: Option<JobId>,
    },
    /// A line that stands for nothing.
    Rest,
}

#[derive(Debug, Clone, PartialEq)]
pub struct JobFacts {
    pub number: JobId,
    /// Its id, escaped.
    pub id: String,
    pub queue: QueueName,
    pub state: State,
    pub is_held: bool,
    /// Whether its queue is paused.
    pub is_queue_paused: bool,
}

impl Subject {
    /// Whether it is the same thing, whatever happened to it.
    pub fn is(&self, other: &Subject) -> bool {
        match (self, other) {
            (Subject::Job(a), Subject::Job(b)) => a.number == b.number,
            (Subject::Queue { name: a, .. }, Subject::Queue { name: b, .. }) => a == b,
            (Subject::Schedule { name: a, .. }, Subject::Schedule { name: b, .. }) => a == b,
            (Subject::Cause { key: a, .. }, Subject::Cause { key: b, .. }) => a == b,
            (Subject::Event { id: a, .. }, Subject::Event { id: b, .. }) => a == b,
            (a, b) => a == b,
        }
    }
}

/// How a text looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Tone {
    #[default]
    Plain,
    Strong,
    Dim,
    Good,
    Busy,
    Warn,
    Bad,
}

impl Tone {
    /// The tone of a job's state, as `list` has it.
    pub fn of_state(state: State) -> Tone {
        match state {
            State::Pending | State::Scheduled | State::Blocked => Tone::Plain,
            State::Processing => Tone::Busy,
            State::Completed => Tone::Good,
            State::Failed => Tone::Warn,
            State::Dead => Tone::Bad,
            State::Cancelled => Tone::Dim,
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cell {
    pub text: String,
    pub tone: Tone,
}

impl Cell {
    pub fn of_state(state: State) -> Cell {
        Cell::new(state.name(), Tone::of_state(state))
    }

    pub fn new(text: &str, tone: Tone) -> Cell {
        Cell {
            text: clean(text),
            tone,
        }
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::new(text.as_ref(), Tone::Plain)
    }
}

/// Returns the beginning of a text, on one line and without anything that a terminal obeys.
pub fn clean(text: &str) -> String {
    match text.char_indices().nth(CELL_CHARS) {
        Some((end, _)) => format!("{}…", escape::line(&text[..end])),
        None => escape::line(text).into_owned(),
    }
}

/// A text about one thing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    pub title: String,
    pub lines: Vec<PageLine>,
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct PageLine {
    /// What stands before the text, in a column of its own.
    pub label: Option<&'static str>,
    pub text: String,
    pub tone: Tone,
}

impl Page {
    pub fn new(title: &str) -> Page {
        Page {
            title: clean(title),
            lines: Vec::new(),
        }
    }

    /// Adds a field.
    pub fn field(&mut self, label: &'static str, text: impl AsRef<str>) {
        self.toned_field(label, text, Tone::Plain);
    }

    pub fn toned_field(&mut self, label: &'static str, text: impl AsRef<str>, tone: Tone) {
        self.lines.push(PageLine {
            label: Some(label),
            text: escape::line(text.as_ref()).into_owned(),
            tone,
        });
    }

    /// Adds a field if there is a value.
    pub fn field_if(&mut self, label: &'static str, text: Option<impl AsRef<str>>) {
        if let Some(text) = text {
            self.field(label, text);
        }
    }

    pub fn line(&mut self, text: impl AsRef<str>) {
        self.toned(text, Tone::Plain);
    }

    pub fn toned(&mut self, text: impl AsRef<str>, tone: Tone) {
        self.lines.push(PageLine {
            label: None,
            text: escape::line(text.as_ref()).into_owned(),
            tone,
        });
    }

    /// Adds an empty line and a heading.
    pub fn heading(&mut self, text: &str) {
        if !self.lines.is_empty() {
            self.line("");
        }
        self.toned(text, Tone::Strong);
    }
}
