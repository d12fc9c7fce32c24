//! A page on the screen: wrapped to its width, and which lines are seen.

use queuectl_frontend::wrap::{wrap, wrap_sentence};

use crate::keys::Key;
use crate::snapshot::{Page, PageOf, Subject, Tone};

/// Columns of the names of fields.
pub const LABEL: usize = 14;

/// A page that is open.
#[derive(Debug)]
pub struct Open {
    pub of: PageOf,
    /// What actions are about.
    pub subject: Option<Subject>,
    /// What was read; none before that.
    pub page: Option<Page>,
    /// The same, wrapped.
    pub lines: Vec<Wrapped>,
    width: u16,
    pub offset: usize,
    /// Whether the end stays on the screen when there is more.
    follows: bool,
}

/// A line of the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrapped {
    pub label: Option<&'static str>,
    /// Whether it starts where texts of fields start.
    pub is_field: bool,
    pub text: String,
    pub tone: Tone,
}

impl Open {
    pub fn new(of: PageOf, subject: Option<Subject>) -> Open {
        Open {
            follows: matches!(of, PageOf::Logs(_)),
            of,
            subject,
            page: None,
            lines: Vec::new(),
            width: 0,
            offset: 0,
        }
    }

    pub fn with(of: PageOf, subject: Option<Subject>, page: Page, width: u16, seen: usize) -> Open {
        let mut open = Open::new(of, subject);
        open.replace(page, width, seen);
        open
    }

    /// Takes what was read.
    pub fn replace(&mut self, page: Page, width: u16, seen: usize) {
        if self.page.as_ref() != Some(&page) {
            self.page = Some(page);
            self.width = 0;
        }
        self.fit(width, seen);
    }

    /// Wraps it to a width.
    pub fn fit(&mut self, width: u16, seen: usize) {
        if self.width != width {
            self.width = width;
            let lines = self.page.iter().flat_map(|page| &page.lines);
            self.lines = lines
                .flat_map(|line| {
                    let indent = if line.label.is_some() { LABEL } else { 0 };
                    let texts = in_lines(&line.text, usize::from(width).saturating_sub(indent).max(1));
                    texts.into_iter().enumerate().map(|(number, text)| Wrapped {
                        label: line.label.filter(|_| number == 0),
                        is_field: line.label.is_some(),
                        text,
                        tone: line.tone,
                    })
                })
                .collect();
        }
        let end = self.lines.len().saturating_sub(seen);
        self.offset = match self.follows {
            true => end,
            false => self.offset.min(end),
        };
    }

    pub fn travel(&mut self, key: Key, seen: usize) {
        let end = self.lines.len().saturating_sub(seen);
        let to = match key {
            Key::Up => self.offset.saturating_sub(1),
            Key::Down => self.offset + 1,
            Key::PageUp => self.offset.saturating_sub(seen),
            Key::PageDown => self.offset + seen,
            Key::Top => 0,
            _ => end,
        };
        self.offset = to.min(end);
        self.follows = matches!(self.of, PageOf::Logs(_)) && self.offset == end;
    }
}

/// Returns a text in lines that fit. Commands in sentences stay whole where there is room.
fn in_lines(text: &str, width: usize) -> Vec<String> {
    if !text.starts_with("- ") {
        return wrap(text, width);
    }
    let lines = wrap_sentence(text, width, "  ").into_iter();
    lines.flat_map(|line| wrap(&line, width)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_output_follows_its_end_until_the_user_goes_up() {
        let page = |lines: usize| Page {
            lines: vec![Default::default(); lines],
            ..Page::default()
        };
        let job = queuectl_core::JobId(1);
        let mut open = Open::with(PageOf::Logs(job), None, page(30), 80, 10);
        assert_eq!(open.offset, 20);
        open.replace(page(40), 80, 10);
        assert_eq!(open.offset, 30);
        open.travel(Key::Up, 10);
        open.replace(page(50), 80, 10);
        assert_eq!(open.offset, 29);
        open.travel(Key::Bottom, 10);
        open.replace(page(60), 80, 10);
        assert_eq!(open.offset, 50);
        let mut other = Open::with(PageOf::Job(job), None, page(30), 80, 10);
        other.travel(Key::Bottom, 10);
        other.replace(page(40), 80, 10);
        assert_eq!(other.offset, 20, "details stay where they are");
    }
}
