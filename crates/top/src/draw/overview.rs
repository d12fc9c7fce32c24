//! The first tab: whether the queue is healthy, how it goes, and who runs its jobs.

use queuectl_core::{State, show_rough};
use queuectl_frontend::columns::shorten_middle;
use queuectl_views::{NodeState, StatusView};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use unicode_width::UnicodeWidthStr;

use super::{Theme, clean, grouped, put};
use crate::app::App;
use crate::snapshot::Tone;

/// Columns of the names at the left.
const LABEL: u16 = 14;
/// Problems, of up to two lines, that there is room for on the smallest screen.
const PROBLEMS: usize = 3;
/// Length of time of a column of a chart, in ms.
const STEP: i64 = 1000;
/// Heights of a column.
const BARS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

/// Draws line after line.
struct Lines<'a> {
    buffer: &'a mut Buffer,
    y: u16,
    end: u16,
    width: u16,
}

impl Lines<'_> {
    fn field(&mut self, label: &str, text: &str, labels: Style, style: Style) {
        if self.y < self.end {
            put(self.buffer, 0, self.y, LABEL - 1, label, labels);
            put(self.buffer, LABEL, self.y, self.width, text, style);
            self.y += 1;
        }
    }

    fn left(&self) -> usize {
        usize::from(self.end.saturating_sub(self.y))
    }
}

pub fn draw(buffer: &mut Buffer, app: &App, theme: Theme, area: Rect) {
    let Some(status) = &app.status else {
        put(buffer, 0, area.y, area.width, "reading …", theme.of(Tone::Dim));
        return;
    };
    let mut lines = Lines {
        buffer,
        y: area.y,
        end: area.y + area.height,
        width: area.width,
    };
    let dim = theme.of(Tone::Dim);
    health(&mut lines, status, theme, area.height);
    lines.y += 1;
    for state in State::ALL {
        let jobs = status.total.of(state);
        let tone = if jobs > 0 {
            Tone::of_state(state)
        } else {
            Tone::Dim
        };
        // Two columns of four, so that charts and nodes have their room.
        let index = State::ALL.iter().position(|one| *one == state).unwrap_or(0);
        let (x, y) = (
            u16::try_from(index / 4).unwrap_or(0) * 30,
            lines.y + u16::try_from(index % 4).unwrap_or(0),
        );
        put(lines.buffer, x, y, area.width, state.name(), dim);
        put(
            lines.buffer,
            x + LABEL,
            y,
            area.width,
            &grouped(jobs),
            theme.of(tone),
        );
    }
    let right = 60;
    let paused = status.paused.len();
    let facts = [
        ("queues", grouped(status.queues.len() as u64)),
        ("paused", paused.to_string()),
        ("rescued", format!("{} in 24 h", grouped(status.rescued_jobs))),
    ];
    for (y, (name, value)) in (lines.y..).zip(facts) {
        put(lines.buffer, right, y, area.width, name, dim);
        put(lines.buffer, right + 9, y, area.width, &value, Style::new());
    }
    lines.y += 5;
    let columns = usize::from(area.width);
    let ended = app.history.ended_per_second(columns, STEP);
    chart(
        &mut lines,
        "ended/s",
        ended.last().copied().unwrap_or(0.0),
        &ended,
        theme,
    );
    let pending = app.history.waiting(columns, STEP);
    let now = status.total.of(State::Pending) as f64;
    chart(&mut lines, "pending", now, &pending, theme);
    oldest(&mut lines, status, app, theme);
    lines.y += 1;
    nodes(&mut lines, status, app, theme);
}

fn health(lines: &mut Lines<'_>, status: &StatusView, theme: Theme, height: u16) {
    if status.healthy {
        lines.field("health", "healthy", theme.of(Tone::Dim), theme.of(Tone::Good));
        return;
    }
    let (labels, style) = (theme.of(Tone::Dim), theme.of(Tone::Bad));
    let columns = usize::from(lines.width.saturating_sub(LABEL));
    let room = PROBLEMS + usize::from(height.saturating_sub(19)) / 4;
    for (number, problem) in status.problems.iter().take(room).enumerate() {
        let label = if number == 0 { "problems" } else { "" };
        let (text, command) = (clean(&problem.text), clean(&problem.command));
        let whole = format!("{text}: {command}");
        if whole.width() <= columns {
            lines.field(label, &whole, labels, style);
        } else {
            lines.field(label, &shorten_middle(&text, columns), labels, style);
            let command = format!("  {}", shorten_middle(&command, columns - 2));
            lines.field("", &command, labels, style);
        }
    }
    if status.problems.len() > room {
        let more = format!("and {} more: queuectl status", status.problems.len() - room);
        lines.field("", &more, labels, style);
    }
}

/// Draws a chart with its newest value.
fn chart(lines: &mut Lines<'_>, name: &str, newest: f64, values: &[f64], theme: Theme) {
    let value = match newest {
        value if value > 0.0 && value < 10.0 => format!("{value:.1}"),
        value => grouped(value.round() as u64),
    };
    let room = usize::from(lines.width.saturating_sub(LABEL + 12));
    let shown = &values[values.len().saturating_sub(room)..];
    let most = shown.iter().copied().fold(0.0, f64::max);
    let bars: String = shown.iter().map(|value| bar(*value, most)).collect();
    let y = lines.y;
    lines.field(name, &value, theme.of(Tone::Dim), theme.of(Tone::Strong));
    put(
        lines.buffer,
        LABEL + 12,
        y,
        lines.width,
        &bars,
        theme.of(Tone::Busy),
    );
}

fn bar(value: f64, most: f64) -> &'static str {
    if value <= 0.0 || most <= 0.0 {
        return BARS[0];
    }
    // Anything at all is seen.
    let height = (value / most * 8.0).round().clamp(1.0, 8.0);
    BARS[height as usize]
}

/// The oldest job that could run.
fn oldest(lines: &mut Lines<'_>, status: &StatusView, app: &App, theme: Theme) {
    let runnable = status.oldest_pending.iter();
    let runnable = runnable.filter(|(queue, _)| !status.paused.contains_key(*queue));
    let text = match runnable.min_by_key(|(_, since)| **since) {
        Some((queue, since)) => {
            let waited = show_rough(app.at.since(*since));
            format!("waits for {waited} in queue {}", clean(queue))
        }
        None => "no job waits that could run".to_owned(),
    };
    lines.field("oldest", &text, theme.of(Tone::Dim), Style::new());
}

fn nodes(lines: &mut Lines<'_>, status: &StatusView, app: &App, theme: Theme) {
    if status.nodes.is_empty() {
        let text = "no node is running; `queuectl worker:start` starts one";
        lines.field("nodes", text, theme.of(Tone::Dim), Style::new());
        return;
    }
    let room = lines.left();
    let shown = if status.nodes.len() > room {
        room.saturating_sub(1)
    } else {
        room
    };
    for (number, node) in status.nodes.iter().take(shown).enumerate() {
        let label = if number == 0 { "nodes" } else { "" };
        let tone = match node.state {
            NodeState::Running => Tone::Plain,
            NodeState::Stopping => Tone::Warn,
            NodeState::Dead => Tone::Bad,
        };
        let queues = match node.queues.is_empty() {
            true => "all queues".to_owned(),
            false => node.queues.join(", "),
        };
        let text = format!(
            "{} {} on {}: {}, {}, seen {} ago, {queues}",
            node.id,
            node.state.name(),
            node.host,
            counted(node.jobs, "job"),
            counted(u64::from(node.workers) * u64::from(node.concurrency), "slot"),
            show_rough(app.at.since(node.heartbeat_at)),
        );
        let left = usize::from(lines.width.saturating_sub(LABEL));
        let text = clean(&text);
        let text = shorten_middle(&text, left);
        lines.field(label, &text, theme.of(Tone::Dim), theme.of(tone));
    }
    if status.nodes.len() > shown {
        let more = format!("and {} more", status.nodes.len() - shown);
        lines.field("", &more, theme.of(Tone::Dim), theme.of(Tone::Dim));
    }
}

fn counted(number: u64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}
