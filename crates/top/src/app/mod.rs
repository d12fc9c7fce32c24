//! What is shown, and what a key, a snapshot or a report does to it. Pure: an event goes in, effects come out.

mod act;
mod list;
mod page;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use queuectl_core::selector::Selector;
use queuectl_core::{JobId, Timestamp};
use queuectl_views::{StateCounts, StatusView};

pub use self::list::List;
use self::list::Need;
pub use self::page::{LABEL, Open};
use crate::actor::{Act, Report};
use crate::history::History;
use crate::input::Input;
use crate::keys::{self, Key};
use crate::palette::{self, Wanted};
use crate::snapshot::{Ask, Content, JobFacts, PageOf, Place, Snapshot, Subject, What};
use crate::tab::Tab;

/// Lines of the screen that are not rows of a table: three above it, its heading, and two below.
const FRAME: u16 = 6;
/// The smallest screen.
pub const LEAST: (u16, u16) = (80, 24);
/// Most jobs that can be marked.
const MARKS: usize = 1000;

/// What happened.
#[derive(Debug)]
pub enum Event {
    Key(KeyEvent),
    Paste(String),
    Resize(u16, u16),
    Found(Box<Snapshot>),
    /// The store could not be read; with the number of the question.
    Failed(u64, String),
    Done(Report),
}

/// What is to be done.
#[derive(Debug, Clone)]
pub enum Effect {
    Ask(Ask),
    Act(Act),
    /// To the clipboard of the terminal.
    Copy(String),
    Quit,
}

/// What keys are for.
#[derive(Debug, Clone, PartialEq)]
pub enum Mode {
    Normal,
    Filter(Input),
    Palette(Input),
    /// A question with its answer yes.
    Confirm {
        question: String,
        act: Act,
    },
}

/// The state of the view.
pub struct App {
    /// Where the queue is, for people.
    pub location: String,
    pub readonly: bool,
    pub size: (u16, u16),
    pub tab: Tab,
    lists: [List; Tab::ALL.len()],
    pub marks: BTreeMap<JobId, JobFacts>,
    pages: Vec<Open>,
    pub mode: Mode,
    pub status: Option<Box<StatusView>>,
    pub counts: StateCounts,
    pub at: Timestamp,
    pub history: History,
    /// What became of the last action.
    pub note: Option<Report>,
    /// Why the store cannot be read.
    pub fault: Option<String>,
    asked: u64,
}

impl App {
    pub fn new(location: String, readonly: bool, size: (u16, u16)) -> App {
        App {
            location,
            readonly,
            size,
            tab: Tab::Overview,
            lists: Default::default(),
            marks: BTreeMap::new(),
            pages: Vec::new(),
            mode: Mode::Normal,
            status: None,
            counts: StateCounts::default(),
            at: Timestamp(0),
            history: History::default(),
            note: None,
            fault: None,
            asked: 0,
        }
    }

    /// The list of the tab.
    pub fn list(&self) -> &List {
        &self.lists[self.tab.index()]
    }

    fn list_mut(&mut self) -> &mut List {
        &mut self.lists[self.tab.index()]
    }

    /// The page that covers the tab.
    pub fn page(&self) -> Option<&Open> {
        self.pages.last()
    }

    /// Rows of a table that there is room for.
    pub fn seen(&self) -> usize {
        usize::from(self.size.1.saturating_sub(FRAME)).max(1)
    }

    /// Lines of a page that there is room for: a page has no heading of columns.
    fn seen_of_page(&self) -> usize {
        self.seen()
    }

    pub fn is_too_small(&self) -> bool {
        self.size.0 < LEAST.0 || self.size.1 < LEAST.1
    }

    /// Asks for what is shown now.
    pub fn ask(&mut self) -> Effect {
        self.asked += 1;
        let page = self.pages.last().map(|open| open.of.clone());
        let what = match page.filter(|of| *of != PageOf::Help) {
            Some(of) => What::Page(of),
            None => What::Tab {
                tab: self.tab,
                filter: self.list().filter.clone(),
                place: self.list().place(),
            },
        };
        Effect::Ask(Ask {
            number: self.asked,
            what,
            rows: u32::try_from(self.seen()).unwrap_or(1),
        })
    }

    /// Takes what happened.
    pub fn update(&mut self, event: Event) -> Vec<Effect> {
        match event {
            Event::Key(key) => self.key(key),
            Event::Paste(text) => {
                // What is pasted is text, never keys.
                if let Mode::Filter(input) | Mode::Palette(input) = &mut self.mode {
                    input.insert(&text);
                }
                Vec::new()
            }
            Event::Resize(width, height) => {
                self.size = (width, height);
                let seen = self.seen();
                self.lists.iter_mut().for_each(|list| list.show(seen));
                let lines = self.seen_of_page();
                self.pages.iter_mut().for_each(|page| page.fit(width, lines));
                vec![self.ask()]
            }
            Event::Found(snapshot) => self.found(*snapshot),
            Event::Failed(number, error) => {
                if number == self.asked {
                    self.fault = Some(error);
                }
                Vec::new()
            }
            Event::Done(report) => {
                self.note = Some(report);
                // Another connection changed the store, so the reader sees it; this is only sooner.
                vec![self.ask()]
            }
        }
    }

    fn found(&mut self, snapshot: Snapshot) -> Vec<Effect> {
        if snapshot.number != self.asked {
            return Vec::new();
        }
        self.history.add(snapshot.at, &snapshot.counts);
        (self.at, self.counts) = (snapshot.at, snapshot.counts);
        self.fault = None;
        let (width, lines, seen) = (self.size.0, self.seen_of_page(), self.seen());
        match snapshot.content {
            Content::Overview(view) => self.status = Some(view),
            Content::Table(table) => {
                if self.list_mut().replace(table, seen) == Need::Rows {
                    return vec![self.ask()];
                }
            }
            Content::Page(page) => {
                if let Some(open) = self.pages.last_mut() {
                    open.replace(page, width, lines);
                }
            }
        }
        Vec::new()
    }

    fn key(&mut self, mut key: KeyEvent) -> Vec<Effect> {
        if key.code == KeyCode::Char('j') && key.modifiers.contains(KeyModifiers::CONTROL) {
            // Enter, as it comes if it was typed before the terminal was taken over.
            key = KeyEvent::new(KeyCode::Enter, KeyModifiers::NONE);
        }
        match &mut self.mode {
            Mode::Normal => match keys::meaning(key) {
                Some(key) => {
                    self.note = None;
                    self.press(key)
                }
                None => Vec::new(),
            },
            Mode::Confirm { act, .. } => {
                let act = act.clone();
                self.mode = Mode::Normal;
                match key.code {
                    KeyCode::Char('y' | 'Y') => {
                        self.marks.clear();
                        self.say("…");
                        vec![Effect::Act(act)]
                    }
                    _ => {
                        self.say("nothing was done");
                        Vec::new()
                    }
                }
            }
            Mode::Filter(_) | Mode::Palette(_) => self.typed(key),
        }
    }

    /// Takes a key while a line is typed.
    fn typed(&mut self, key: KeyEvent) -> Vec<Effect> {
        let (Mode::Filter(input) | Mode::Palette(input)) = &mut self.mode else {
            return Vec::new();
        };
        let is_interrupt = keys::meaning(key) == Some(Key::Quit) && key.code == KeyCode::Char('c');
        match key.code {
            KeyCode::Esc => self.mode = Mode::Normal,
            _ if is_interrupt => self.mode = Mode::Normal,
            KeyCode::Enter => {
                let text = input.text();
                return match self.mode {
                    Mode::Filter(_) => self.filter(self.tab, text.trim()),
                    _ => self.command(&text),
                };
            }
            KeyCode::Tab => {
                if let Mode::Palette(input) = &mut self.mode
                    && let [one] = palette::matching(&input.text()).as_slice()
                {
                    *input = Input::new(one);
                }
            }
            _ => input.key(key),
        }
        Vec::new()
    }

    /// Filters a tab, and goes there. A filter that cannot be read stays to be mended.
    fn filter(&mut self, tab: Tab, text: &str) -> Vec<Effect> {
        if tab.takes_selector()
            && let Err(error) = text.parse::<Selector>()
        {
            self.refuse(&error.to_string());
            return Vec::new();
        }
        self.mode = Mode::Normal;
        self.pages.clear();
        self.tab = tab;
        self.list_mut().filter_by(text.to_owned());
        vec![self.ask()]
    }

    fn command(&mut self, text: &str) -> Vec<Effect> {
        if text.trim().is_empty() {
            self.mode = Mode::Normal;
            return Vec::new();
        }
        match palette::read(text) {
            Ok(wanted) => {
                self.mode = Mode::Normal;
                match wanted {
                    Wanted::Tab(tab, Some(filter)) if tab.takes_filter() => self.filter(tab, &filter),
                    Wanted::Tab(tab, _) => self.go_to(tab),
                    Wanted::Key(key) => self.press(key),
                }
            }
            Err(error) => {
                self.refuse(&error);
                Vec::new()
            }
        }
    }

    fn go_to(&mut self, tab: Tab) -> Vec<Effect> {
        self.tab = tab;
        self.pages.clear();
        vec![self.ask()]
    }

    fn press(&mut self, key: Key) -> Vec<Effect> {
        let index = self.tab.index();
        let tabs = Tab::ALL.len();
        match key {
            Key::Quit => return vec![Effect::Quit],
            Key::Tab(number) => return self.go_to(Tab::ALL[(number - 1).min(tabs - 1)]),
            Key::NextTab => return self.go_to(Tab::ALL[(index + 1) % tabs]),
            Key::PreviousTab => return self.go_to(Tab::ALL[(index + tabs - 1) % tabs]),
            Key::Palette => self.mode = Mode::Palette(Input::default()),
            Key::Filter if self.tab.takes_filter() => {
                self.mode = Mode::Filter(Input::new(&self.list().filter));
            }
            Key::Filter => self.say("this tab has no filter"),
            Key::Help => {
                let lines = self.seen_of_page();
                let help = keys::help(self.readonly);
                self.pages
                    .push(Open::with(PageOf::Help, None, help, self.size.0, lines));
            }
            Key::Back => return self.back(),
            Key::Mark => self.mark(),
            Key::Open => return self.open_jobs(),
            Key::Copy => return self.copy(),
            Key::Details | Key::Logs | Key::Explain => return self.open(key),
            Key::Retry | Key::Cancel | Key::Pause | Key::Hold => return self.wish(key),
            Key::Up | Key::Down | Key::PageUp | Key::PageDown | Key::Top | Key::Bottom => {
                return self.travel(key);
            }
        }
        Vec::new()
    }

    fn back(&mut self) -> Vec<Effect> {
        if self.pages.pop().is_some() {
            return vec![self.ask()];
        }
        if !self.marks.is_empty() {
            self.marks.clear();
        } else if !self.list().filter.is_empty() {
            return self.filter(self.tab, "");
        }
        Vec::new()
    }

    fn travel(&mut self, key: Key) -> Vec<Effect> {
        let (seen, lines) = (self.seen(), self.seen_of_page());
        if let Some(page) = self.pages.last_mut() {
            page.travel(key, lines);
            return Vec::new();
        }
        let screen = isize::try_from(seen).unwrap_or(1);
        let list = self.list_mut();
        let need = match key {
            Key::Up => list.move_by(-1, seen),
            Key::PageUp => list.move_by(-screen, seen),
            Key::PageDown => list.move_by(screen, seen),
            Key::Top => list.go_to_top(),
            Key::Bottom => list.go_to_end(seen),
            _ => list.move_by(1, seen),
        };
        match need {
            Need::Rows => vec![self.ask()],
            Need::Nothing => Vec::new(),
        }
    }

    fn mark(&mut self) {
        if self.pages.is_empty()
            && let Some(row) = self.list().chosen()
            && let Subject::Job(facts) = &row.subject
        {
            let facts = facts.clone();
            if self.marks.remove(&facts.number).is_none() {
                if self.marks.len() >= MARKS {
                    self.refuse(&format!("at most {MARKS} jobs can be marked"));
                    return;
                }
                self.marks.insert(facts.number, facts);
            }
            let seen = self.seen();
            self.list_mut().move_by(1, seen);
        } else {
            self.say("only jobs can be marked, in the tab of jobs");
        }
    }

    /// What keys are about: the page, or the chosen row.
    fn subject(&self) -> Option<Subject> {
        match self.pages.last() {
            Some(open) => open.subject.clone(),
            None => self.list().chosen().map(|row| row.subject.clone()),
        }
    }

    /// Opens a page about the chosen thing.
    fn open(&mut self, key: Key) -> Vec<Effect> {
        let subject = self.subject();
        let job = match &subject {
            Some(Subject::Job(facts)) => Some(facts.number),
            Some(Subject::Event { job, .. }) => *job,
            _ => None,
        };
        let of = match (key, job, &subject) {
            (Key::Logs, Some(job), _) => PageOf::Logs(job),
            (Key::Explain, Some(job), _) => PageOf::Explain(job),
            (Key::Logs | Key::Explain, None, _) => {
                self.say("choose a job for that");
                return Vec::new();
            }
            (_, _, Some(subject)) => match subject {
                Subject::Job(facts) => PageOf::Job(facts.number),
                Subject::Queue { name, .. } => PageOf::Queue(name.clone()),
                Subject::Limit(name) => PageOf::Limit(name.clone()),
                Subject::Group(name) => PageOf::Group(name.clone()),
                Subject::Schedule { name, .. } => PageOf::Schedule(name.clone()),
                Subject::Cause { key, .. } => PageOf::Cause(*key),
                Subject::Node(id) => PageOf::Node(*id),
                Subject::Event { id, .. } => PageOf::Event(*id),
                Subject::Rest => return Vec::new(),
            },
            (_, _, None) => return Vec::new(),
        };
        match self.pages.iter().position(|open| open.of == of) {
            // Back to it, instead of a pile that grows with every change between the same pages.
            Some(at) => self.pages.truncate(at + 1),
            None => self.pages.push(Open::new(of, subject)),
        }
        vec![self.ask()]
    }

    fn say(&mut self, text: &str) {
        self.note = Some(Report {
            text: text.to_owned(),
            is_error: false,
        });
    }

    fn refuse(&mut self, text: &str) {
        self.note = Some(Report {
            text: crate::snapshot::clean(text),
            is_error: true,
        });
    }

    /// Whether a place other than the beginning is shown.
    pub fn is_scrolled(&self) -> bool {
        self.list().place() != Place::Top
    }
}
