//! A tab that is a table.

use queuectl_frontend::columns::{GAP, widths};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Modifier, Style};
use unicode_width::UnicodeWidthStr;

use super::{Theme, put};
use crate::app::App;
use crate::snapshot::{Row, Subject, Tone};
use crate::tabs;

/// Columns before the first, for the marks.
const MARGIN: u16 = 2;

pub fn draw(buffer: &mut Buffer, app: &App, theme: Theme, area: Rect) {
    let list = app.list();
    let columns = tabs::columns(app.tab);
    let seen: Vec<&Row> = list.rows().iter().skip(list.offset()).take(app.seen()).collect();
    let text = |row: &Row, at: usize| row.cells.get(at).map_or(0, |cell| cell.text.width());
    // Columns get their room by what is seen; those that are there only for their texts and have none are left out.
    let shown: Vec<usize> = (0..columns.len())
        .filter(|at| !columns[*at].is_there_if_any() || seen.iter().any(|row| text(row, *at) > 0))
        .collect();
    let of_shown: Vec<_> = shown.iter().map(|at| columns[*at]).collect();
    let most: Vec<usize> = shown
        .iter()
        .map(|at| {
            let widest = seen.iter().map(|row| text(row, *at)).max().unwrap_or(0);
            widest.max(columns[*at].heading().width())
        })
        .collect();
    let widths = widths(&of_shown, &most, Some(usize::from(area.width - MARGIN)));
    let heading = theme.of(Tone::Strong).add_modifier(Modifier::UNDERLINED);
    buffer.set_style(Rect::new(0, area.y, area.width, 1), heading);
    line(buffer, area.y, area.width, &widths, |at| {
        (columns[shown[at]].heading().into(), heading)
    });
    for (number, row) in seen.iter().enumerate() {
        let y = area.y + 1 + u16::try_from(number).unwrap_or(0);
        let is_chosen = list.offset() + number == list.cursor();
        let is_marked = matches!(&row.subject, Subject::Job(facts) if app.marks.contains_key(&facts.number));
        line(buffer, y, area.width, &widths, |at| {
            let Some(cell) = row.cells.get(shown[at]) else {
                return ("".into(), Style::new());
            };
            let text = of_shown[at].fit(&cell.text, widths[at].unwrap_or(0));
            (text, theme.of(cell.tone))
        });
        let mark = match (is_marked, is_chosen) {
            (true, _) => "*",
            (false, true) => ">",
            (false, false) => "",
        };
        put(buffer, 0, y, MARGIN, mark, theme.of(Tone::Warn));
        if is_chosen {
            buffer.set_style(Rect::new(0, y, area.width, 1), theme.chosen());
        } else if is_marked {
            buffer.set_style(Rect::new(0, y, area.width, 1), theme.of(Tone::Strong));
        }
    }
    if seen.is_empty() {
        let text = match (list.is_read(), list.filter.is_empty()) {
            (false, _) => "reading …",
            (true, true) => "nothing here",
            (true, false) => "nothing fits the filter; Esc clears it",
        };
        put(buffer, MARGIN, area.y + 1, area.width, text, theme.of(Tone::Dim));
    }
}

/// Draws one line of cells.
fn line<'a>(
    buffer: &mut Buffer,
    y: u16,
    end: u16,
    widths: &[Option<usize>],
    cell: impl Fn(usize) -> (std::borrow::Cow<'a, str>, Style),
) {
    let mut x = MARGIN;
    for (at, width) in widths.iter().enumerate() {
        let Some(width) = width.and_then(|width| u16::try_from(width).ok()) else {
            continue;
        };
        let (text, style) = cell(at);
        put(buffer, x, y, end.min(x.saturating_add(width)), &text, style);
        x = x.saturating_add(width).saturating_add(GAP as u16);
    }
}
