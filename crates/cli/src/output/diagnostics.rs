//! Notes and errors on standard error. A closed standard error is not a failure.

use std::fmt::Arguments;
use std::io::Write;

use anstyle::{AnsiColor, Style};
use queuectl_frontend::wrap::wrap_sentence;

use super::escape::line;
use super::progress;
use crate::stderr;

/// Bold red, for errors.
const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Bold yellow, for hints and warnings.
const HINT: Style = AnsiColor::Yellow.on_default().bold();

/// Prints an error.
pub fn error(message: &str) {
    print(ERROR, "error:", message);
}

/// Prints what to do about an error.
pub fn hint(message: &str) {
    print(HINT, "hint:", message);
}

/// Prints a problem that does not fail the command.
pub fn warning(message: &str) {
    print(HINT, "warning:", message);
}

/// Prints a note.
pub fn note(message: &str) {
    print(Style::new(), "", message);
}

/// Prints a question; the answer follows on the same line.
pub fn ask(question: &str) {
    write(format_args!("{}", line(question)));
}

/// Prints a message behind a label. On a terminal it is broken at blanks.
fn print(style: Style, label: &str, message: &str) {
    let text = match label.is_empty() {
        true => line(message).into_owned(),
        false => format!("{label} {}", line(message)),
    };
    let text = match stderr::width() {
        Some(width) => wrap_sentence(&text, width, "").join("\n"),
        None => text,
    };
    let rest = text.strip_prefix(label).unwrap_or(&text);
    write(format_args!("{style}{label}{style:#}{rest}\n"));
}

fn write(text: Arguments<'_>) {
    let mut bytes = anstream::AutoStream::new(Vec::new(), stderr::color());
    let _ = bytes
        .write_fmt(text)
        .and_then(|()| progress::above(|| stderr::write(&bytes.into_inner())));
}
