//! Columns of tables for people: on a terminal they fit its width, since the least important ones are left out and long texts
//! shortened.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Spaces between columns.
pub const GAP: usize = 2;
/// Stands for omitted text.
pub const ELLIPSIS: char = '…';

/// A column, and how it gives way on a narrow terminal.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    heading: &'static str,
    shorten: Shorten,
    /// The highest is left out first; 0 always stays.
    expendable: u8,
    /// Whether it is left out if it has no text.
    if_any: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shorten {
    Never,
    /// At the end, to that width at least.
    End(usize),
    /// In the middle, to that width at least: ids, names, paths and commands differ at both ends.
    Middle(usize),
}

impl Column {
    /// Returns a column of short texts, which are never shortened.
    pub const fn whole(heading: &'static str) -> Column {
        Column {
            heading,
            shorten: Shorten::Never,
            expendable: 0,
            if_any: false,
        }
    }

    /// Returns a column of sentences, shortened at the end.
    pub const fn sentence(heading: &'static str, least: usize) -> Column {
        Column {
            heading,
            shorten: Shorten::End(least),
            expendable: 0,
            if_any: false,
        }
    }

    /// Returns a column of names, shortened in the middle.
    pub const fn name(heading: &'static str, least: usize) -> Column {
        Column {
            heading,
            shorten: Shorten::Middle(least),
            expendable: 0,
            if_any: false,
        }
    }

    /// Lets the column be left out, before those with a lower rank.
    pub const fn expendable(mut self, rank: u8) -> Column {
        self.expendable = rank;
        self
    }

    /// Has the column left out of a table without any text in it.
    pub const fn if_any(mut self) -> Column {
        self.if_any = true;
        self
    }

    /// Returns its heading.
    pub fn heading(&self) -> &'static str {
        self.heading
    }

    /// Whether it is left out of a table without any text in it.
    pub fn is_there_if_any(&self) -> bool {
        self.if_any
    }

    /// Returns a text of this column, shortened to that width.
    pub fn fit<'a>(&self, text: &'a str, width: usize) -> Cow<'a, str> {
        shorten(text, width, self.shorten)
    }
}

/// Returns the width of each column; none if it is left out.
pub fn widths(columns: &[Column], most: &[usize], room: Option<usize>) -> Vec<Option<usize>> {
    let Some(room) = room else {
        return most.iter().copied().map(Some).collect();
    };
    let least = |at: usize| match columns[at].shorten {
        Shorten::Never => most[at],
        Shorten::End(least) | Shorten::Middle(least) => most[at].min(least.max(columns[at].heading.width())),
    };
    let mut widths: Vec<Option<usize>> = (0..columns.len()).map(|at| Some(least(at))).collect();
    let taken = |widths: &[Option<usize>]| {
        let shown = widths.iter().flatten();
        shown.clone().sum::<usize>() + GAP * shown.count().saturating_sub(1)
    };
    while taken(&widths) > room {
        let shown = (0..columns.len()).filter(|at| widths[*at].is_some() && columns[*at].expendable > 0);
        match shown.max_by_key(|at| columns[*at].expendable) {
            Some(at) => widths[at] = None,
            None => break,
        }
    }
    let mut left = room.saturating_sub(taken(&widths));
    while left > 0 {
        let short = (0..columns.len()).filter(|at| widths[*at].is_some_and(|width| width < most[*at]));
        let Some(at) = short.min_by_key(|at| widths[*at]) else {
            break;
        };
        widths[at] = widths[at].map(|width| width + 1);
        left -= 1;
    }
    widths
}

/// Returns a text, shortened in the middle to that width.
pub fn shorten_middle(text: &str, width: usize) -> Cow<'_, str> {
    shorten(text, width, Shorten::Middle(0))
}

/// Returns the text, shortened to that width.
fn shorten(text: &str, width: usize, how: Shorten) -> Cow<'_, str> {
    if text.width() <= width || how == Shorten::Never {
        return Cow::Borrowed(text);
    }
    let room = width.saturating_sub(1);
    let behind = match how {
        Shorten::Middle(_) => room / 2,
        _ => 0,
    };
    let head = fitting(text.chars(), room - behind);
    let mut tail: String = fitting(text.chars().rev(), behind).chars().rev().collect();
    // A mark belongs to the letter before it.
    while tail.starts_with(|c: char| c.width() == Some(0)) {
        tail.remove(0);
    }
    Cow::Owned(format!("{head}{ELLIPSIS}{tail}"))
}

/// Returns as many characters as fit.
fn fitting(chars: impl Iterator<Item = char>, room: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|c| {
            used += c.width().unwrap_or(1);
            used <= room
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_keep_both_ends_and_sentences_their_beginning() {
        fn middle(text: &str, width: usize) -> Cow<'_, str> {
            shorten(text, width, Shorten::Middle(0))
        }
        assert_eq!(middle("abcdefghij", 10), "abcdefghij");
        assert_eq!(middle("abcdefghij", 7), "abc…hij");
        assert_eq!(middle("日本語日本語", 6), "日…語");
        assert_eq!(middle("abe\u{301}", 2), "a…", "no mark without its letter");
        assert_eq!(shorten("abcdefghij", 4, Shorten::End(0)), "abc…");
        assert_eq!(shorten("abcdefghij", 4, Shorten::Never), "abcdefghij");
    }
}
