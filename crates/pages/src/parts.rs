//! What pages are made of. Texts of the queue go through [`text`], which makes visible what could deceive a reader.

use std::fmt::Write as _;

use maud::{Markup, html};
use queuectl_core::{JobId, State, Timestamp};
use queuectl_frontend::escape;
use queuectl_frontend::time::{local, relative};

/// A page, or a part of one.
pub type Html = Markup;

/// Longest text of a cell, and of anything else, in characters.
const CELL_CHARS: usize = 300;
const WHOLE_CHARS: usize = 4000;

/// Returns a text of the queue for a cell: on one line, and its beginning.
pub fn text(text: &str) -> String {
    beginning(text, CELL_CHARS)
}

/// Returns a text of the queue on one line, as much of it as a page has room for.
pub fn whole(text: &str) -> String {
    beginning(text, WHOLE_CHARS)
}

fn beginning(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", escape::line(&text[..end])),
        None => escape::line(text).into_owned(),
    }
}

/// Returns a name as a part of a path.
pub fn in_path(name: &str) -> String {
    // A name of points alone would be another folder.
    let is_points = name.bytes().all(|byte| byte == b'.');
    encoded(name, |byte| {
        byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) || byte == b'.' && !is_points
    })
}

/// Returns a text as a value of a query.
pub fn in_query(value: &str) -> String {
    encoded(value, |byte| {
        byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)
    })
}

fn encoded(text: &str, is_plain: impl Fn(u8) -> bool) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match is_plain(byte) {
            true => encoded.push(byte.into()),
            // A string takes everything.
            false => drop(write!(encoded, "%{byte:02X}")),
        }
    }
    encoded
}

/// A number with its thousands apart.
pub fn number(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number of things.
pub fn counted(count: u64, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        _ => format!("{} {several}", number(count)),
    }
}

/// How long ago or ahead a time is, with the time itself.
pub fn when(at: Timestamp, now: Timestamp) -> Html {
    html! { time datetime=(at) title=(local(at)) { (relative(at, now)) } }
}

/// A time of the clock.
pub fn clock(at: Timestamp) -> Html {
    html! { time datetime=(at) { (local(at)) } }
}

/// A state of a job.
pub fn state(state: State) -> Html {
    html! { span class={ "state " (state.name()) } { (state.name()) } }
}

/// A link to a job.
pub fn job_link(number: JobId, id: &str) -> Html {
    html! { a href={ "/jobs/" (number) } { (text(id)) } }
}

/// A link to a queue.
pub fn queue_link(queue: &str) -> Html {
    html! { a href={ "/queues/" (in_path(queue)) } { (text(queue)) } }
}

/// A command line, to be copied.
pub fn command(line: &str) -> Html {
    html! { code.command { (whole(line)) } }
}

/// A field of a list of fields, if there is something in it.
pub fn field(name: &str, value: Option<Html>) -> Html {
    html! {
        @if let Some(value) = value {
            div { dt { (name) } dd { (value) } }
        }
    }
}

/// A text as the value of a field.
pub fn value(value: impl AsRef<str>) -> Option<Html> {
    Some(html! { (whole(value.as_ref())) })
}

/// Something that can be done.
pub struct Act<'a> {
    /// Where it is sent.
    pub path: String,
    /// What is said on the button.
    pub label: &'a str,
    /// The command that does the same.
    pub command: String,
    /// Whether it takes something away.
    pub is_harsh: bool,
}

/// Buttons with the commands that do the same; none if nothing can be changed.
pub fn acts(readonly: bool, acts: &[Act]) -> Html {
    html! {
        @if !readonly && !acts.is_empty() {
            ul.acts {
                @for act in acts {
                    li {
                        form method="post" action=(act.path) {
                            button class=[act.is_harsh.then_some("harsh")] { (act.label) }
                        }
                        (command(&act.command))
                    }
                }
            }
        }
    }
}

/// A table that scrolls by itself on a narrow screen, with what is said if it has no rows.
pub fn table(caption: &str, columns: &[&str], rows: &[Html], none: &str) -> Html {
    html! {
        @if rows.is_empty() {
            p.none { (none) }
        } @else {
            div.table role="region" aria-label=(caption) tabindex="0" {
                table {
                    caption.hidden { (caption) }
                    thead { tr { @for column in columns { th scope="col" { (column) } } } }
                    tbody { @for row in rows { (row) } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_cannot_leave_their_place() {
        assert_eq!(text("a\u{202e}b\n"), "a\\u{202e}b\\n");
        assert_eq!(text(&"x".repeat(400)).chars().count(), CELL_CHARS + 1);
        let page = html! { a title=(text("\"'><script>")) { (text("<b>&")) } };
        assert_eq!(
            page.into_string(),
            "<a title=\"&quot;'&gt;&lt;script&gt;\">&lt;b&gt;&amp;</a>"
        );
    }

    #[test]
    fn names_stay_one_part_of_a_path() {
        assert_eq!(in_path("a/b c?d#e%ä"), "a%2Fb%20c%3Fd%23e%25%C3%A4");
        assert_eq!(
            (in_path(".."), in_path("a.b")),
            ("%2E%2E".to_owned(), "a.b".to_owned())
        );
        assert_eq!(in_query("state=dead queue=a&b"), "state%3Ddead%20queue%3Da%26b");
    }

    #[test]
    fn numbers_are_read_easily() {
        assert_eq!(
            [1, 999, 1000, 1_234_567].map(number),
            ["1", "999", "1,000", "1,234,567"]
        );
        assert_eq!(counted(1, "job", "jobs"), "1 job");
        assert_eq!(counted(2000, "job", "jobs"), "2,000 jobs");
    }
}
