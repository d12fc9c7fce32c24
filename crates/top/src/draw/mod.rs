//! Puts the state on the screen: three lines above, the tab or a page, two lines below. It only looks at the state.

mod overview;
mod page;
#[cfg(test)]
pub mod stage;
mod table;
#[cfg(test)]
mod tests;

use queuectl_core::State;
use queuectl_frontend::columns::shorten_middle;
use queuectl_frontend::time::local;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use unicode_width::UnicodeWidthStr;

use crate::app::{App, LEAST, Mode};
use crate::keys;
use crate::snapshot::Tone;
use crate::tab::Tab;

/// How tones look.
#[derive(Debug, Clone, Copy)]
pub struct Theme {
    pub colours: bool,
}

impl Theme {
    pub fn of(self, tone: Tone) -> Style {
        let style = Style::new();
        match (tone, self.colours) {
            (Tone::Plain, _) => style,
            (Tone::Strong, _) | (Tone::Busy | Tone::Bad, false) => style.add_modifier(Modifier::BOLD),
            (Tone::Dim, true) => style.fg(Color::DarkGray),
            (Tone::Good | Tone::Warn | Tone::Dim, false) => style,
            (Tone::Good, true) => style.fg(Color::Green),
            (Tone::Busy, true) => style.fg(Color::Cyan),
            (Tone::Warn, true) => style.fg(Color::Yellow),
            (Tone::Bad, true) => style.fg(Color::Red),
        }
    }

    fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }
}

/// The states in the order in which their counts are left out last where there is no room for all.
const BY_INTEREST: [State; 8] = [
    State::Processing,
    State::Pending,
    State::Failed,
    State::Dead,
    State::Blocked,
    State::Scheduled,
    State::Completed,
    State::Cancelled,
];

/// Draws a frame.
pub fn draw(frame: &mut Frame<'_>, app: &App, theme: Theme) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    if app.is_too_small() || area.width < LEAST.0 || area.height < LEAST.1 {
        let (width, height) = LEAST;
        let text = format!("this terminal is {} x {}; ", area.width, area.height);
        put(buffer, 0, 0, area.width, &text, Style::new());
        let text = format!("top needs {width} x {height} (q quits)");
        put(buffer, 0, 1, area.width, &text, Style::new());
        return;
    }
    head(buffer, app, theme, area);
    let body = Rect::new(0, 3, area.width, area.height - 5);
    match (app.page(), app.tab) {
        (Some(open), _) => page::draw(buffer, open, theme, body),
        (None, Tab::Overview) => overview::draw(buffer, app, theme, body),
        (None, _) => table::draw(buffer, app, theme, body),
    }
    let cursor = foot(buffer, app, theme, area);
    if let Some(at) = cursor {
        frame.set_cursor_position((at, area.height - 2));
    }
}

fn head(buffer: &mut Buffer, app: &App, theme: Theme, area: Rect) {
    let width = area.width;
    let time = if app.at.0 == 0 {
        String::new()
    } else {
        local(app.at)
    };
    let clock = u16::try_from(time.len()).unwrap_or(0);
    let at = width.saturating_sub(clock + 1);
    put(buffer, at, 0, width, &time, theme.of(Tone::Dim));
    let end = put(buffer, 1, 0, width, "queuectl top", theme.of(Tone::Strong));
    let room = usize::from(at.saturating_sub(end + 3));
    put(
        buffer,
        end + 2,
        0,
        at,
        &shorten_middle(&app.location, room),
        Style::new(),
    );

    let mut x = 1;
    for state in BY_INTEREST {
        let jobs = app.counts.of(state);
        if jobs > 0 {
            let text = format!("{} {}", rounded(jobs), state.name());
            if usize::from(width.saturating_sub(x)) <= text.len() {
                break;
            }
            x = put(buffer, x, 1, width, &text, theme.of(Tone::of_state(state))) + 2;
        }
    }
    if x == 1 {
        put(
            buffer,
            1,
            1,
            width,
            if app.at.0 == 0 { "reading …" } else { "no jobs" },
            theme.of(Tone::Dim),
        );
    }

    let mut x = 0;
    for (number, tab) in (1..).zip(Tab::ALL) {
        let style = if tab == app.tab {
            theme.chosen()
        } else {
            Style::new()
        };
        x = put(buffer, x, 2, width, &format!("{number} {}", tab.name()), style) + 1;
    }
}

/// Draws the two lines below, and returns where the cursor of a line that is typed stands.
fn foot(buffer: &mut Buffer, app: &App, theme: Theme, area: Rect) -> Option<u16> {
    let (y, width) = (area.height - 2, area.width);
    let mut cursor = None;
    match &app.mode {
        Mode::Filter(input) | Mode::Palette(input) => {
            let mark = if matches!(app.mode, Mode::Filter(_)) {
                '/'
            } else {
                ':'
            };
            // Of a long line the part before the cursor is seen.
            let room = usize::from(width).saturating_sub(4);
            let (text, before) = (clean(&input.text()), clean(&input.before()));
            let skip = before.width().saturating_sub(room);
            let shown = skip_columns(&text, skip);
            put(
                buffer,
                0,
                y,
                width,
                &format!("{mark}{shown}"),
                theme.of(Tone::Strong),
            );
            let at = u16::try_from(before.width() - skip.min(before.width())).unwrap_or(0);
            cursor = Some((at + 1).min(width - 1));
        }
        Mode::Confirm { question, .. } => {
            let room = usize::from(width).saturating_sub(8);
            let end = put(
                buffer,
                0,
                y,
                width,
                &shorten_middle(question, room),
                theme.of(Tone::Warn),
            );
            put(buffer, end + 1, y, width, "[y/N]", theme.of(Tone::Strong));
        }
        Mode::Normal => status(buffer, app, theme, y, width),
    }
    let hints = match (&app.mode, &app.note) {
        (Mode::Filter(_) | Mode::Palette(_), Some(note)) if note.is_error => {
            let text = shorten_middle(&note.text, usize::from(width));
            put(buffer, 0, y + 1, width, &text, theme.of(Tone::Bad));
            return cursor;
        }
        (Mode::Filter(_), _) if app.tab.takes_selector() => {
            "state=dead queue=mail error~text older=2d 12-20 @group   Enter filters, Esc goes back".to_owned()
        }
        (Mode::Filter(_), _) => {
            "a part of a name or any other column   Enter filters, Esc goes back".to_owned()
        }
        (Mode::Palette(input), _) => crate::palette::matching(&input.text()).join(" "),
        (Mode::Confirm { .. }, _) => "y does it; any other key does nothing".to_owned(),
        (Mode::Normal, _) => keys::hints(app.page().is_some(), app.readonly).to_owned(),
    };
    put(buffer, 0, y + 1, width, &hints, theme.of(Tone::Dim));
    cursor
}

/// The line for what happened, and for what narrows the list.
fn status(buffer: &mut Buffer, app: &App, theme: Theme, y: u16, width: u16) {
    if let Some(fault) = &app.fault {
        let text = format!("cannot read the queue, trying again: {fault}");
        let text = shorten_middle(&text, usize::from(width));
        put(buffer, 0, y, width, &text, theme.of(Tone::Bad));
        return;
    }
    if let Some(note) = &app.note {
        let tone = if note.is_error { Tone::Bad } else { Tone::Strong };
        let text = shorten_middle(&note.text, usize::from(width));
        put(buffer, 0, y, width, &text, theme.of(tone));
        return;
    }
    let mut said = Vec::new();
    if app.page().is_none() {
        let list = app.list();
        if !app.marks.is_empty() && app.tab == Tab::Jobs {
            said.push(format!("{} marked", app.marks.len()));
        }
        if !list.filter.is_empty() {
            said.push(format!("/{}", clean(&list.filter)));
        }
        if app.is_scrolled() {
            said.push("not at the top; g goes there".to_owned());
        }
        if let Some(note) = list.table.as_ref().and_then(|table| table.note.as_ref()) {
            said.push(note.clone());
        }
    }
    put(buffer, 0, y, width, &said.join("   "), theme.of(Tone::Strong));
}

fn clean(text: &str) -> String {
    queuectl_frontend::escape::line(text).into_owned()
}

/// Returns a text without its first columns.
fn skip_columns(text: &str, columns: usize) -> String {
    let mut skipped = 0;
    let skip = |c: &char| {
        let is_before = skipped < columns;
        skipped += unicode_width::UnicodeWidthChar::width(*c).unwrap_or(0);
        is_before
    };
    text.chars().skip_while(skip).collect()
}

/// Returns a number in few columns: `12,345`, `123k`, `1.23M`.
fn rounded(number: u64) -> String {
    match number {
        0..100_000 => grouped(number),
        100_000..1_000_000 => format!("{}k", number / 1000),
        1_000_000..100_000_000 => format!("{}.{:02}M", number / 1_000_000, number / 10_000 % 100),
        _ => format!("{}M", grouped(number / 1_000_000)),
    }
}

/// Returns a number with its thousands apart.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Draws a text up to a column, and returns the column behind it.
fn put(buffer: &mut Buffer, x: u16, y: u16, end: u16, text: &str, style: Style) -> u16 {
    let area = buffer.area;
    let end = end.max(x).min(area.width);
    if x >= area.width || y >= area.height {
        return x;
    }
    buffer.set_stringn(x, y, text, usize::from(end - x), style).0
}
