//! Writes what users wrote: an argument vector as a line that a POSIX shell reads back the same way, and the beginning of a
//! text for a message.

/// Joins `argv` into one line, quoting what a POSIX shell would otherwise interpret. For display only: queuectl
/// never runs the result.
pub fn quote_argv<S: AsRef<str>>(argv: &[S]) -> String {
    let words: Vec<String> = argv.iter().map(|word| quote(word.as_ref())).collect();
    words.join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// Most characters of a text that a message repeats.
const EXCERPT_CHARS: usize = 100;

/// Text as a message may repeat it: on one line, with control characters escaped, and only its beginning if it is long.
pub fn excerpt(text: &str) -> String {
    let mut chars = text.chars();
    let mut shown: String = chars.by_ref().take(EXCERPT_CHARS).collect();
    shown = shown.escape_debug().to_string();
    if chars.next().is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_only_what_needs_it() {
        assert_eq!(quote_argv(&["echo", "Hello Queue"]), "echo 'Hello Queue'");
        assert_eq!(quote_argv(&["a", "", "it's"]), r"a '' 'it'\''s'");
    }

    #[test]
    fn messages_repeat_the_beginning_without_controls() {
        assert_eq!(excerpt("a\u{1b}b"), "a\\u{1b}b");
        let long = "é".repeat(EXCERPT_CHARS);
        assert_eq!(excerpt(&long), long);
        assert_eq!(excerpt(&format!("{long}x")), format!("{long}…"));
    }
}
