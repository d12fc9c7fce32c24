//! Errors with what differs from job to job replaced: two jobs that died of the same thing have the same text then.
//!
//! A text is cut into words at blanks and at ``= , ; | ( ) [ ] { } < > " ' ` ``. What stands in quotes becomes `<text>`, and
//! each word is looked at in this order:
//!
//! | what | becomes |
//! |---|---|
//! | a UUID | `<uuid>` |
//! | a date, a time of day, or both in one word | `<time>`; several in a row are one |
//! | a URL | its scheme and host, then `/<path>` |
//! | a word that begins with `/`, `./`, `../`, `~/` or a drive, or has two separators | `<path>` |
//! | within other words, at least 8 hexadecimal digits with a letter and a digit, or `0x...` | `<hex>` |
//! | within other words, at least 16 letters and digits mixed | `<id>` |
//! | within other words, every other number | `<n>` |
//!
//! Blanks and control characters become one blank. The rules are part of the interface: a change of them changes the keys of causes.

/// Most characters that are looked at of a text.
const READ_CHARS: usize = 4096;
/// Most characters of a normalised text.
pub const NORMAL_CHARS: usize = 120;

/// Returns the text without what differs from job to job, on one line, at most [`NORMAL_CHARS`] characters of it.
pub fn normalise(text: &str) -> String {
    let chars: Vec<char> = text.chars().take(READ_CHARS).collect();
    let mut normal = String::new();
    let mut word = String::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        if let Some(end) = quoted(&chars, at) {
            end_word(&mut normal, &mut word);
            normal.push_str("<text>");
            at = end;
        } else if c.is_whitespace() || c.is_control() {
            end_word(&mut normal, &mut word);
            blank(&mut normal);
        } else if is_separator(c) {
            end_word(&mut normal, &mut word);
            normal.push(c);
        } else {
            word.push(c);
        }
        at += 1;
    }
    end_word(&mut normal, &mut word);
    shorten(normal.trim())
}

/// Where the quotes end that begin here, if any do. An apostrophe within a word is none.
fn quoted(chars: &[char], at: usize) -> Option<usize> {
    let quote = chars[at];
    let is_word = |place: Option<&char>| place.is_some_and(|c| c.is_alphanumeric());
    let before = at.checked_sub(1).and_then(|before| chars.get(before));
    if !matches!(quote, '"' | '\'' | '`') || is_word(before) {
        return None;
    }
    let ends = |end: &usize| chars[*end] == quote && !is_word(chars.get(end + 1));
    (at + 1..chars.len()).find(ends)
}

fn is_separator(c: char) -> bool {
    "=,;|()[]{}<>\"'`".contains(c)
}

fn blank(normal: &mut String) {
    if !normal.ends_with(' ') && !normal.is_empty() {
        normal.push(' ');
    }
}

/// Adds what stands for a word, and empties it.
fn end_word(normal: &mut String, word: &mut String) {
    const TIME: &str = "<time>";
    let whole = std::mem::take(word);
    let core = whole.trim_end_matches(['.', ':', '!', '?']);
    let rest = &whole[core.len()..];
    if core.is_empty() {
        normal.push_str(rest);
    } else if is_uuid(core) {
        normal.push_str("<uuid>");
        normal.push_str(rest);
    } else if is_time(core) {
        if !normal.trim_end().ends_with(TIME) {
            normal.push_str(TIME);
        }
        normal.push_str(rest);
    } else if let Some((scheme, place)) = core.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
        url(normal, scheme, place);
        normal.push_str(rest);
    } else if is_path(core) {
        normal.push_str("<path>");
        normal.push_str(rest);
    } else {
        numbers(normal, &whole);
    }
}

fn is_uuid(word: &str) -> bool {
    let parts: Vec<&str> = word.split('-').collect();
    let is_hex = |part: &&str| part.chars().all(|c| c.is_ascii_hexdigit());
    parts.iter().map(|part| part.len()).eq([8, 4, 4, 4, 12]) && parts.iter().all(is_hex)
}

/// A date, a time of day, or a date with a time.
fn is_time(word: &str) -> bool {
    let (date, clock) = match word.split_once(['T', '_']) {
        Some((date, clock)) => (Some(date), Some(clock)),
        None if word.contains(':') => (None, Some(word)),
        None => (Some(word), None),
    };
    date.is_none_or(is_date) && clock.is_none_or(is_clock)
}

fn are_digits(text: &str, lengths: std::ops::RangeInclusive<usize>) -> bool {
    lengths.contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit())
}

fn is_date(text: &str) -> bool {
    ['-', '/', '.'].into_iter().any(|separator| {
        let parts: Vec<&str> = text.split(separator).collect();
        match parts.as_slice() {
            [year, month, day] if year.len() == 4 => {
                [year, month, day].iter().all(|part| are_digits(part, 1..=4))
            }
            [day, month, year] => {
                are_digits(day, 1..=2) && are_digits(month, 1..=2) && are_digits(year, 4..=4)
            }
            _ => false,
        }
    })
}

/// `12:00`, `12:00:01.5`, each with a zone or without.
fn is_clock(text: &str) -> bool {
    let text = text.trim_end_matches('Z');
    let text = text.split(['+', '-']).next().unwrap_or_default();
    let text = text.split('.').next().unwrap_or_default();
    let parts: Vec<&str> = text.split(':').collect();
    matches!(parts.len(), 2 | 3) && parts.iter().all(|part| are_digits(part, 1..=2))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '+')
}

/// A URL keeps its host, but neither user nor password.
fn url(normal: &mut String, scheme: &str, place: &str) {
    let end = place.find(['/', '?', '#']).unwrap_or(place.len());
    let (host, path) = place.split_at(end);
    let host = host.rsplit('@').next().unwrap_or_default();
    numbers(normal, scheme);
    normal.push_str("://");
    numbers(normal, host);
    if !path.trim_matches('/').is_empty() {
        normal.push_str("/<path>");
    }
}

fn is_path(word: &str) -> bool {
    let drive = |word: &str| {
        let mut chars = word.chars();
        let letter = chars.next().is_some_and(|c| c.is_ascii_alphabetic());
        letter && chars.next() == Some(':') && chars.next().is_some_and(|c| c == '\\' || c == '/')
    };
    let begins = ["/", "./", "../", "~/", "\\\\"]
        .iter()
        .any(|begin| word.starts_with(begin));
    (begins && word.len() > 1) || drive(word) || word.matches(['/', '\\']).count() >= 2
}

/// Adds a word in which the numbers are replaced.
fn numbers(normal: &mut String, word: &str) {
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        let run = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let (letters, behind) = rest.split_at(run);
        if letters.is_empty() {
            normal.push(c);
            rest = &rest[c.len_utf8()..];
        } else if let Some(name) = whole_run(letters) {
            normal.push_str(name);
            rest = behind;
        } else if c.is_ascii_digit() {
            normal.push_str("<n>");
            rest = after_number(rest);
        } else {
            let end = letters
                .find(|c: char| c.is_ascii_digit())
                .unwrap_or(letters.len());
            normal.push_str(&letters[..end]);
            rest = &rest[end..];
        }
    }
}

/// What stands for letters and digits as a whole, if something does.
fn whole_run(run: &str) -> Option<&'static str> {
    let has = |is: fn(&u8) -> bool| run.as_bytes().iter().any(is);
    let is_hex = |text: &str| text.bytes().all(|c| c.is_ascii_hexdigit());
    let is_mixed = has(u8::is_ascii_digit) && has(u8::is_ascii_alphabetic);
    match run.strip_prefix("0x") {
        Some(digits) if !digits.is_empty() && is_hex(digits) => Some("<hex>"),
        _ if is_mixed && run.len() >= 8 && is_hex(run) => Some("<hex>"),
        _ if is_mixed && run.len() >= 16 => Some("<id>"),
        _ => None,
    }
}

/// What follows the number at the beginning of a text; `1.5` and `10.0.0.1` are one.
fn after_number(text: &str) -> &str {
    let mut rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    while let Some(more) = rest
        .strip_prefix('.')
        .filter(|more| more.starts_with(|c: char| c.is_ascii_digit()))
    {
        rest = more.trim_start_matches(|c: char| c.is_ascii_digit());
    }
    rest
}

fn shorten(text: &str) -> String {
    match text.char_indices().nth(NORMAL_CHARS) {
        None => text.to_owned(),
        Some(_) => {
            let mut short: String = text.chars().take(NORMAL_CHARS - 1).collect();
            short.push('…');
            short
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_differs_is_replaced() {
        for (text, wanted) in [
            ("exit status 3", "exit status <n>"),
            ("disk12 is 99.5% full, -7 left", "disk<n> is <n>% full, -<n> left"),
            (
                "can't open 'a b': no such file",
                "can't open <text>: no such file",
            ),
            (
                "open \"x\" and `y`, it's not there",
                "open <text> and <text>, it's not there",
            ),
            ("an unclosed 'quote 5", "an unclosed 'quote <n>"),
            ("/var/lib/x.db: locked", "<path>: locked"),
            (
                "at ./a/b.py:12: or C:\\x\\y or src/main/x.rs:7",
                "at <path>: or <path> or <path>",
            ),
            ("and/or n/a 1/2", "and/or n/a <n>/<n>"),
            ("id=550e8400-e29b-41d4-a716-446655440000;", "id=<uuid>;"),
            (
                "at 0x7ffe12ab in deadbeef1 of cafebabe",
                "at <hex> in <hex> of cafebabe",
            ),
            ("request req_8fK2mQpL0xYz91Ab failed", "request req_<id> failed"),
            ("2026-11-29 12:00:01.123 ERROR x", "<time> ERROR x"),
            ("[2026-11-29T12:00:01+01:00] 9:05 late", "[<time>] <time> late"),
            ("from 10.0.0.1:8080", "from <n>:<n>"),
            (
                "GET https://u:p4ss@db7.example.com/a?b=1: 503",
                "GET https://db<n>.example.com/<path>=<n>: <n>",
            ),
            ("http://host/", "http://host"),
            ("s3://bucket/key and 0://", "s<n>://bucket/<path> and <path>"),
            ("  two\tblanks\n\u{1b}[31mred ", "two blanks [<n>mred"),
            ("", ""),
            ("...", "..."),
        ] {
            assert_eq!(normalise(text), wanted, "{text:?}");
        }
        let long = "ä".repeat(10_000);
        assert_eq!(normalise(&long).chars().count(), NORMAL_CHARS);
    }

    proptest! {
        /// Whatever the text: a line of bounded length, without digits and control characters, and always the same.
        #[test]
        fn any_text_becomes_a_short_line(text in "\\PC{0,40}|[ -~\t\n]{0,200}|[a-f0-9x:./'\" -]{0,200}|.{0,5000}") {
            let normal = normalise(&text);
            prop_assert!(normal.chars().count() <= NORMAL_CHARS);
            prop_assert!(!normal.chars().any(|c| c.is_ascii_digit() || c.is_control()), "{normal:?}");
            prop_assert!(!normal.contains("  ") && normal.trim() == normal, "{normal:?}");
            prop_assert_eq!(normalise(&text), normal);
        }

        /// Texts that differ in numbers, ids, paths, times and quotes alone are the same; another word tells them apart.
        #[test]
        fn what_jobs_have_of_their_own_does_not_matter(
            numbers in [0..u64::MAX, 0..u64::MAX],
            ids in ["[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"],
            paths in ["/[a-z]{1,9}/[a-z0-9._-]{0,20}", "/[a-z]{1,9}/[a-z0-9._-]{0,20}"],
            quotes in ["[a-z0-9 ]{0,20}", "[a-z0-9 ]{0,20}"],
            minutes in [0..60u32, 0..60u32],
        ) {
            let text = |n: usize, word: &str| format!(
                "2026-01-02 03:{:02}:05 {word} {} of {} at {} ('{}')",
                minutes[n], numbers[n], ids[n], paths[n].trim_end_matches(['.', '-']), quotes[n],
            );
            prop_assert_eq!(normalise(&text(0, "lost")), normalise(&text(1, "lost")));
            prop_assert_ne!(normalise(&text(0, "lost")), normalise(&text(0, "found")));
        }
    }
}
