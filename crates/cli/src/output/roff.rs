//! Pages for `man`, as text in the language of roff.
//!
//! What a page says is not here: the command `manual` takes it from the grammar.

use std::fmt::Write as _;

/// A page in the making.
pub struct Roff(String);

impl Roff {
    /// Starts a page of section 1, written on that day.
    pub fn new(name: &str, day: &str, version: &str) -> Roff {
        let mut page = Roff(String::new());
        let (name, version) = (escaped(&name.to_uppercase()), escaped(version));
        page.request(&format!(
            ".TH \"{name}\" 1 \"{day}\" \"queuectl {version}\" \"queuectl manual\""
        ));
        // Words are not broken, nor are lines filled with blanks.
        page.request(".nh");
        page.request(".ad l");
        page
    }

    /// Returns the text of the page.
    pub fn finish(self) -> String {
        self.0
    }

    /// Starts a section.
    pub fn section(&mut self, title: &str) {
        let title = escaped(&title.to_uppercase());
        self.request(&format!(".SH \"{title}\""));
    }

    /// Writes text as it is.
    pub fn text(&mut self, text: &str) {
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let line = escaped(&line);
        // A line that begins like a request would be taken for one.
        let guard = if line.starts_with(['.', '\'']) { "\\&" } else { "" };
        let _ = writeln!(self.0, "{guard}{line}");
    }

    /// Ends a paragraph, so that another follows.
    pub fn paragraph(&mut self) {
        // At the beginning of a section or a paragraph there is nothing to end.
        let last = self.0.lines().next_back().unwrap_or_default();
        if !last.starts_with(".SH") && last != ".PP" {
            self.request(".PP");
        }
    }

    /// Starts an item with a tag, whose text follows. Parts of the tag between `<` and `>` are values.
    pub fn item(&mut self, tag: &str) {
        self.request(".TP");
        let mut line = String::from("\\fB");
        for (index, part) in tag.split(['<', '>']).enumerate() {
            let value = index % 2 == 1;
            let part = escaped(part);
            line += &if value { format!("\\fI{part}\\fB") } else { part };
        }
        let _ = writeln!(self.0, "{line}\\fR");
    }

    /// Writes lines that stay as they are.
    pub fn lines<'a>(&mut self, lines: impl IntoIterator<Item = &'a str>) {
        self.paragraph();
        self.request(".nf");
        for line in lines {
            // The guard also keeps blanks at the beginning, and lines that are empty.
            let _ = writeln!(self.0, "\\&{}", escaped(line));
        }
        self.request(".fi");
    }

    fn request(&mut self, request: &str) {
        let _ = writeln!(self.0, "{request}");
    }
}

/// The text without characters that mean something to roff.
fn escaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => plain += "\\e",
            '-' => plain += "\\-",
            '"' => plain += "\\(dq",
            '\'' => plain += "\\(aq",
            '`' => plain += "\\(ga",
            '^' => plain += "\\(ha",
            '~' => plain += "\\(ti",
            c if c.is_ascii() => plain.push(c),
            c => {
                let _ = write!(plain, "\\[u{:04X}]", u32::from(c));
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_taken_for_a_request() {
        let mut page = Roff::new("a-b", "2026-11-29", "1.0");
        page.section("Exit status");
        page.text(".br is\n  'not' a \\request … `x`");
        page.item("-f, --from <FILE>");
        page.lines(["", "  .x"]);
        let text = page.finish();
        let wanted = [
            ".TH \"A\\-B\" 1 \"2026-11-29\" \"queuectl 1.0\" \"queuectl manual\"",
            ".nh",
            ".ad l",
            ".SH \"EXIT STATUS\"",
            "\\&.br is \\(aqnot\\(aq a \\erequest \\[u2026] \\(gax\\(ga",
            ".TP",
            "\\fB\\-f, \\-\\-from \\fIFILE\\fB\\fR",
            ".PP",
            ".nf",
            "\\&",
            "\\&  .x",
            ".fi",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), wanted);
    }
}
