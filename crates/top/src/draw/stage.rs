//! An app for tests, whose questions the test answers, and its frames as text.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use queuectl_core::{JobId, QueueName, State, Timestamp};
use queuectl_views::StateCounts;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use unicode_width::UnicodeWidthStr;

use super::{Theme, draw};
use crate::app::{App, Effect, Event};
use crate::snapshot::{Ask, Cell, Content, JobFacts, Row, Snapshot, Subject, Table, What};

/// A name that wants to control the terminal and to be wider than it looks.
pub const HOSTILE: &str =
    "\u{1b}[2J\u{9b}31m\u{202e}evil\n\t\u{200f}日本語日本語e\u{301}\u{1f469}\u{200d}\u{1f4bb}";

/// An app of that size whose questions are answered here.
pub struct Stage {
    pub app: App,
    ask: Ask,
    /// Actions that were wished for.
    pub acts: Vec<crate::actor::Act>,
    /// What was copied last.
    pub copied: Option<String>,
    pub has_quit: bool,
}

impl Stage {
    pub fn new(size: (u16, u16), readonly: bool) -> Stage {
        let mut app = App::new(format!("/a/{HOSTILE}/queue.db").repeat(3), readonly, size);
        app.location = crate::snapshot::clean(&app.location);
        let Effect::Ask(ask) = app.ask() else {
            panic!("a question")
        };
        Stage {
            app,
            ask,
            acts: Vec::new(),
            copied: None,
            has_quit: false,
        }
    }

    pub fn happen(&mut self, event: Event) {
        for effect in self.app.update(event) {
            match effect {
                Effect::Ask(ask) => self.ask = ask,
                Effect::Act(act) => self.acts.push(act),
                Effect::Copy(text) => self.copied = Some(text),
                Effect::Quit => self.has_quit = true,
            }
        }
    }

    pub fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            let code = match key {
                '\n' => KeyCode::Enter,
                '\u{1b}' => KeyCode::Esc,
                key => KeyCode::Char(key),
            };
            self.happen(Event::Key(KeyEvent::new(code, KeyModifiers::NONE)));
        }
    }

    pub fn ask(&self) -> &Ask {
        &self.ask
    }

    pub fn asked(&self) -> &What {
        &self.ask.what
    }

    pub fn ask_number(&self) -> u64 {
        self.ask.number
    }

    pub fn answer(&mut self, content: Content) {
        self.answer_to(self.ask.number, content);
    }

    pub fn answer_to(&mut self, number: u64, content: Content) {
        let mut counts = StateCounts::default();
        State::ALL
            .into_iter()
            .for_each(|state| counts.add(state, 1_234_567));
        let snapshot = Snapshot {
            number,
            at: Timestamp(1_800_000_000_000),
            counts,
            content,
        };
        self.happen(Event::Found(Box::new(snapshot)));
    }

    /// The lines of a frame.
    pub fn frame(&self) -> Vec<String> {
        let (width, height) = self.app.size;
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        let theme = Theme { colours: true };
        terminal.draw(|frame| draw(frame, &self.app, theme)).unwrap();
        let buffer = terminal.backend().buffer();
        let lines = buffer.content().chunks(usize::from(width));
        let line = |cells: &[ratatui::buffer::Cell]| {
            let mut line = String::new();
            let mut covered = 0;
            for cell in cells {
                if covered > 0 {
                    covered -= 1;
                    continue;
                }
                covered = cell.symbol().width().saturating_sub(1);
                line.push_str(cell.symbol());
            }
            line
        };
        lines.map(line).collect()
    }

    pub fn shows(&self, text: &str) -> bool {
        self.frame().iter().any(|line| line.contains(text))
    }
}

pub fn job(number: i64, id: &str, state: State) -> Row {
    let facts = JobFacts {
        number: JobId(number),
        id: crate::snapshot::clean(id),
        queue: QueueName::as_stored("mail".to_owned()),
        state,
        is_held: false,
        is_queue_paused: false,
    };
    Row {
        subject: Subject::Job(facts),
        position: None,
        cells: vec![
            Cell::from(id),
            Cell::of_state(state),
            Cell::from("mail"),
            Cell::from("1/5"),
            Cell::from("3 s ago"),
            Cell::from(""),
            Cell::from(HOSTILE.repeat(20)),
        ],
    }
}

pub fn table(rows: Vec<Row>) -> Content {
    Content::Table(Table {
        rows,
        ..Table::default()
    })
}
