//! A page: its title, and the lines that are seen.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;

use super::{Theme, put};
use crate::app::{LABEL, Open};
use crate::snapshot::Tone;

pub fn draw(buffer: &mut Buffer, open: &Open, theme: Theme, area: Rect) {
    let heading = theme.of(Tone::Strong).add_modifier(Modifier::UNDERLINED);
    buffer.set_style(Rect::new(0, area.y, area.width, 1), heading);
    let title = open.page.as_ref().map_or("reading …", |page| page.title.as_str());
    let seen = usize::from(area.height - 1);
    let last = open.lines.len().min(open.offset + seen);
    let part = match open.lines.len() > seen {
        true => format!("{}-{last} of {}", open.offset + 1, open.lines.len()),
        false => String::new(),
    };
    let at = area
        .width
        .saturating_sub(u16::try_from(part.len()).unwrap_or(0) + 1);
    put(buffer, 0, area.y, at.saturating_sub(1), title, heading);
    put(buffer, at, area.y, area.width, &part, heading);
    for (y, line) in (area.y + 1..).zip(open.lines.iter().skip(open.offset).take(seen)) {
        if let Some(label) = line.label {
            put(buffer, 0, y, LABEL as u16 - 1, label, theme.of(Tone::Dim));
        }
        let x = if line.is_field { LABEL as u16 } else { 0 };
        put(buffer, x, y, area.width, &line.text, theme.of(line.tone));
    }
}
