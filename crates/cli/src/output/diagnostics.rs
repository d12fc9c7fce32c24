//! Notes and errors on standard error. A closed standard error is not a failure.

use std::fmt::Arguments;
use std::io::Write;

use anstyle::{AnsiColor, Style};

use super::escape::line;
use super::progress;
use crate::stderr;

/// Bold red, for errors.
const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Bold yellow, for hints and warnings.
const HINT: Style = AnsiColor::Yellow.on_default().bold();

/// Prints an error.
pub fn error(message: &str) {
    write(format_args!("{ERROR}error:{ERROR:#} {}\n", line(message)));
}

/// Prints what to do about an error.
pub fn hint(message: &str) {
    write(format_args!("{HINT}hint:{HINT:#} {}\n", line(message)));
}

/// Prints a problem that does not fail the command.
pub fn warning(message: &str) {
    write(format_args!("{HINT}warning:{HINT:#} {}\n", line(message)));
}

/// Prints a note.
pub fn note(message: &str) {
    write(format_args!("{}\n", line(message)));
}

/// Prints a question; the answer follows on the same line.
pub fn ask(question: &str) {
    write(format_args!("{}", line(question)));
}

fn write(text: Arguments<'_>) {
    let mut bytes = anstream::AutoStream::new(Vec::new(), stderr::color());
    let _ = bytes
        .write_fmt(text)
        .and_then(|()| progress::above(|| stderr::write(&bytes.into_inner())));
}
