//! Splits Rust source into words and signs, each with its line.
//!
//! Comments, strings and numbers' meaning are dropped; that is all that finding paths needs. Whether the source is
//! valid is the compiler's business.

/// A word, `::`, or a single sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    pub text: &'a str,
    pub line: usize,
}

/// The tokens of a source file.
pub fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut line = 1;
    while let Some(first) = rest.chars().next() {
        let (length, is_code) = measure(rest, first);
        let (token, after) = rest.split_at(length);
        if is_code {
            tokens.push(Token { text: token, line });
        }
        line += token.matches('\n').count();
        rest = after;
    }
    tokens
}

fn is_word(first: char) -> bool {
    first.is_alphanumeric() || first == '_'
}

/// The length in bytes of what stands first, and whether that is a word or a sign, not white space, comment or string.
fn measure(rest: &str, first: char) -> (usize, bool) {
    if rest.starts_with("//") {
        return (rest.find('\n').unwrap_or(rest.len()), false);
    }
    if rest.starts_with("/*") {
        return (block_comment(rest), false);
    }
    if rest.starts_with("::") {
        return (2, true);
    }
    let word = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
    let string = match first {
        '"' => Some(quoted(rest, '"')),
        '\'' => character(rest),
        'r' | 'b' | 'c' if word <= 2 => prefixed(rest, word),
        _ => None,
    };
    match string {
        Some(length) => (length, false),
        None if word > 0 => (word, true),
        None => (first.len_utf8(), !first.is_whitespace()),
    }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// The length of a string or character in these quotes, with its escapes.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if character == quote => return at + character.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// The length of a character such as `'a'`, unless the quote begins a lifetime such as `'a`.
fn character(rest: &str) -> Option<usize> {
    let mut characters = rest.chars().skip(1);
    match (characters.next(), characters.next()) {
        (Some('\\'), _) | (_, Some('\'')) => Some(quoted(rest, '\'')),
        _ => None,
    }
}

/// The length of a string such as `r#""#`, `b""` or `br""`, whose prefix has `word` bytes; none if it is only a word.
fn prefixed(rest: &str, word: usize) -> Option<usize> {
    let (prefix, after) = rest.split_at(word);
    if !prefix.ends_with('r') {
        return match after.chars().next()? {
            '"' => Some(word + quoted(after, '"')),
            '\'' if prefix == "b" => Some(word + quoted(after, '\'')),
            _ => None,
        };
    }
    let hashes = after.len() - after.trim_start_matches('#').len();
    if !after[hashes..].starts_with('"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let inside = word + hashes + 1;
    let length = rest[inside..].find(&end);
    Some(length.map_or(rest.len(), |at| inside + at + end.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        tokens(text).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn words_and_signs_have_their_lines() {
        let found = tokens("use crate::a;\n\nfn b");
        let lines: Vec<(&str, usize)> = found.iter().map(|token| (token.text, token.line)).collect();
        assert_eq!(
            lines,
            [
                ("use", 1),
                ("crate", 1),
                ("::", 1),
                ("a", 1),
                (";", 1),
                ("fn", 3),
                ("b", 3)
            ]
        );
    }

    #[test]
    fn comments_and_strings_are_no_code() {
        for text in [
            "x // crate::a\n y",
            "x /* crate /* :: */ a */ y",
            "x \"crate \\\" \n::a\" y",
            "x r#\"crate \" ::a\"# y",
            "x b\"crate\" br\"\\\" y",
        ] {
            assert_eq!(words(text), ["x", "y"], "{text}");
        }
    }

    #[test]
    fn quotes_begin_characters_and_lifetimes() {
        assert_eq!(
            words("f('\"', '\\'', b'\"') 'a \"x\" b"),
            ["f", "(", ",", ",", ")", "'", "a", "b"]
        );
        assert_eq!(words("r#type rest b c"), ["r", "#", "type", "rest", "b", "c"]);
    }
}
