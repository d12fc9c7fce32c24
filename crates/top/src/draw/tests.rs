//! Frames at the smallest and at a large size, with names that want to break them.

use std::collections::BTreeMap;

use queuectl_core::{NodeId, State, Timestamp};
use queuectl_views::{NodeState, NodeView, ProblemView, StateCounts, StatusView};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use unicode_width::UnicodeWidthStr;

use super::stage::{HOSTILE, Stage, job, table};
use super::{Theme, draw, grouped, rounded};
use crate::app::Event;
use crate::snapshot::{Cell, Content, Page, Row, Subject, Tone};
use crate::tab::Tab;
use crate::tabs;

const SIZES: [(u16, u16); 2] = [(80, 24), (160, 50)];

fn status(problems: usize, nodes: usize) -> StatusView {
    let node = |id: usize| NodeView {
        id: NodeId(id as i64),
        state: NodeState::Running,
        host: HOSTILE.to_owned(),
        pid: 1,
        version: "0".to_owned(),
        workers: 8,
        concurrency: 100,
        queues: vec![HOSTILE.to_owned()],
        jobs: 2,
        started_at: Timestamp(0),
        heartbeat_at: Timestamp(0),
    };
    let problem = |_| ProblemView {
        code: "unserved",
        text: format!("queue {}: no node serves it", HOSTILE.repeat(5)),
        queue: None,
        since: None,
        command: format!("queuectl worker:start --queue {}", HOSTILE.repeat(9)),
    };
    let mut view = StatusView {
        db: String::new(),
        bytes: 0,
        folder_bytes: 0,
        next_due: None,
        rescued_at: None,
        rescued_jobs: 0,
        total: StateCounts::default(),
        queues: BTreeMap::new(),
        paused: BTreeMap::new(),
        limited: BTreeMap::new(),
        unserved: Vec::new(),
        oldest_pending: BTreeMap::from([(HOSTILE.to_owned(), Timestamp(0))]),
        groups: Vec::new(),
        overlapping: Vec::new(),
        nodes: (0..nodes).map(node).collect(),
        healthy: problems == 0,
        problems: (0..problems).map(problem).collect(),
    };
    view.add("mail".to_owned(), State::Pending, 1_000_000);
    view
}

/// Whatever is shown, no cell holds what a terminal would obey, and no line is wider than the screen.
fn check(stage: &Stage) {
    let (width, height) = stage.app.size;
    let lines = stage.frame();
    assert_eq!(lines.len(), usize::from(height));
    for line in lines {
        assert!(!line.contains(queuectl_frontend::escape::is_unsafe), "{line:?}");
        assert_eq!(line.width(), usize::from(width), "{line:?}");
    }
}

#[test]
fn hostile_names_stay_text_on_every_screen() {
    for size in SIZES {
        let mut stage = Stage::new(size, false);
        check(&stage);
        stage.answer(Content::Overview(Box::new(status(9, 300))));
        check(&stage);
        assert!(stage.shows("problems") && stage.shows("and "), "{size:?}");
        for tab in Tab::ALL.into_iter().skip(1) {
            stage.press(&(tab.index() + 1).to_string());
            check(&stage);
            let rows = (0..300).map(|number| Row {
                subject: Subject::Node(NodeId(number)),
                position: None,
                cells: vec![Cell::from(HOSTILE.repeat(3)); tabs::columns(tab).len()],
            });
            stage.answer(table(rows.collect()));
            check(&stage);
            assert!(stage.shows("evil"), "{tab:?}");
            stage.press("G\n");
            check(&stage);
            let mut page = Page::new(&HOSTILE.repeat(9));
            page.field("name", HOSTILE.repeat(99));
            page.toned(HOSTILE.repeat(99), Tone::Bad);
            stage.answer(Content::Page(page));
            check(&stage);
            assert!(stage.shows("evil"), "{tab:?}");
            stage.press("G\u{1b}");
            stage.happen(Event::Failed(stage.ask_number(), crate::snapshot::clean(HOSTILE)));
            check(&stage);
            stage.press("?");
            check(&stage);
            assert!(stage.shows("pause or resume"));
            stage.press("\u{1b}/");
            stage.happen(Event::Paste(HOSTILE.repeat(20)));
            check(&stage);
            stage.press("\u{1b}:xyz\n");
            check(&stage);
            assert!(stage.shows("is not a tab"));
            stage.press("\u{1b}");
        }
    }
}

#[test]
fn names_are_shortened_in_the_middle_and_states_stay() {
    let mut stage = Stage::new((80, 24), false);
    stage.press("2");
    let long = "3f0c1a52-9a1e-4d53-8a0a-0c8f5e1b2d34-and-on-and-on-and-on-to-the-very-END";
    stage.answer(table(vec![job(1, long, State::Processing)]));
    let row = &stage.frame()[4];
    assert!(
        row.contains("> 3f0c1a5") && row.contains("…") && row.contains("END"),
        "{row}"
    );
    assert!(row.contains("processing") && row.contains("mail"), "{row}");
}

#[test]
fn a_small_terminal_says_what_it_needs() {
    for size in [(79, 24), (80, 23), (1, 1), (40, 200)] {
        let mut stage = Stage::new(size, false);
        stage.answer(Content::Overview(Box::new(status(9, 300))));
        let said = stage.frame().concat();
        assert!(size.0 < 40 || said.contains("needs 80 x 24"), "{said}");
    }
}

#[test]
fn without_colours_there_are_none() {
    let mut stage = Stage::new((80, 24), false);
    stage.press("2");
    let states = State::ALL.into_iter().zip(1..);
    stage.answer(table(
        states.map(|(state, number)| job(number, "a", state)).collect(),
    ));
    let colours = |colours| {
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        let theme = Theme { colours };
        terminal.draw(|frame| draw(frame, &stage.app, theme)).unwrap();
        let cells = terminal.backend().buffer().content().iter();
        let plain = ratatui::style::Color::Reset;
        cells.filter(|cell| cell.fg != plain || cell.bg != plain).count()
    };
    assert!(colours(false) == 0 && colours(true) > 0);
}

#[test]
fn numbers_have_their_thousands_apart_or_few_columns() {
    let numbers = [99_999, 123_999, 1_239_999, 1_234_567_890];
    assert_eq!(numbers.map(rounded), ["99,999", "123k", "1.23M", "1,234M"]);
    let numbers = [0, 12, 999, 1000, 12_345, 1_234_567];
    assert_eq!(
        numbers.map(grouped),
        ["0", "12", "999", "1,000", "12,345", "1,234,567"]
    );
}
