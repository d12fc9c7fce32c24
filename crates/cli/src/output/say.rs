//! Remarks and errors, on standard error. A closed standard error is nobody listening, and no reason to fail.

use std::io::Write;

use anstyle::{AnsiColor, Style};

use super::escape::line;

/// Bold red, for errors.
const ERROR: Style = AnsiColor::Red.on_default().bold();
/// Bold yellow, for hints and warnings.
const HINT: Style = AnsiColor::Yellow.on_default().bold();

/// An error.
pub fn error(message: &str) {
    let _ = writeln!(anstream::stderr(), "{ERROR}error:{ERROR:#} {}", line(message));
}

/// What to do about an error.
pub fn hint(message: &str) {
    let _ = writeln!(anstream::stderr(), "{HINT}hint:{HINT:#} {}", line(message));
}

/// Something that went wrong, without making the command fail.
pub fn warning(message: &str) {
    let _ = writeln!(anstream::stderr(), "{HINT}warning:{HINT:#} {}", line(message));
}

/// Something worth knowing.
pub fn note(message: &str) {
    let _ = writeln!(anstream::stderr(), "{}", line(message));
}

/// A question that is answered on the same line.
pub fn ask(question: &str) {
    let _ = write!(anstream::stderr(), "{}", line(question));
}
