//! Texts in lines that fit a terminal. What is to be escaped is escaped before.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Returns a text in lines of at most that width, broken at blanks where there are any.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut rest = text;
    loop {
        let (mut used, mut end, mut blank) = (0, rest.len(), None);
        for (at, c) in rest.char_indices() {
            used += c.width().unwrap_or(0);
            // A wide character is taken even where there is no room, or this would not end.
            if used > width && at > 0 {
                end = at;
                break;
            }
            if c == ' ' && at > 0 {
                blank = Some(at);
            }
        }
        if end == rest.len() {
            lines.push(rest.to_owned());
            return lines;
        }
        let end = match blank {
            Some(blank) if rest[..blank].chars().any(|c| c != ' ') => blank,
            _ => end,
        };
        lines.push(rest[..end].to_owned());
        rest = rest[end..].strip_prefix(' ').unwrap_or(&rest[end..]);
    }
}

/// Returns a sentence in lines of at most that width, broken at blanks; all but the first begin with `indent`. A command
/// between backticks stays on one line, and is longer than the width rather than broken, so that it can be copied.
pub fn wrap_sentence(text: &str, width: usize, indent: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in words(text) {
        let begins = line.is_empty() || line == indent;
        if !begins && line.width() + 1 + word.width() > width {
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
        } else if !begins {
            line.push(' ');
        }
        if word.starts_with('`') || line.width() + word.width() <= width {
            line.push_str(word);
            continue;
        }
        // A word without an end, such as a name.
        let mut parts = wrap(word, width.saturating_sub(line.width()).max(1)).into_iter();
        line.extend(parts.next());
        for part in parts {
            lines.push(std::mem::replace(&mut line, format!("{indent}{part}")));
        }
    }
    lines.push(line);
    lines
}

/// The words of a text. What stands between backticks is one, with what follows it without a blank.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let mut is_quoted = false;
    text.split(move |c| {
        is_quoted ^= c == '`';
        c == ' ' && !is_quoted
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_lose_nothing() {
        assert_eq!(wrap("the quick brown fox", 10), ["the quick", "brown fox"]);
        assert_eq!(wrap("", 10), [""]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("日本語", 4), ["日本", "語"]);
        assert_eq!(wrap("日", 1), ["日"], "no line is empty for ever");
        let hostile = "e\u{301}".repeat(50) + &"日 ".repeat(50) + &"x".repeat(99);
        for width in 2..60 {
            let lines = wrap(&hostile, width);
            assert!(lines.iter().all(|line| line.width() <= width), "{width}");
            let whole: String = lines.concat().replace(' ', "");
            assert_eq!(whole, hostile.replace(' ', ""), "{width}");
        }
    }

    #[test]
    fn a_command_stays_in_one_piece() {
        let text = "- no node serves queue mail: `queuectl worker:start --queues mail`";
        assert_eq!(
            wrap_sentence(text, 40, "  "),
            [
                "- no node serves queue mail:",
                "  `queuectl worker:start --queues mail`"
            ]
        );
        assert_eq!(
            wrap_sentence(text, 20, "  "),
            [
                "- no node serves",
                "  queue mail:",
                "  `queuectl worker:start --queues mail`"
            ]
        );
        assert_eq!(wrap_sentence(text, 80, "  "), [text]);
        assert_eq!(wrap_sentence("", 80, "  "), [""]);
        let name = "x".repeat(25);
        assert_eq!(
            wrap_sentence(&format!("job {name} waits"), 10, "  "),
            ["job", "  xxxxxxxx", "  xxxxxxxx", "  xxxxxxxx", "  x waits"]
        );
    }
}
