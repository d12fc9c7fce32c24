//! Standard error, for notes, errors and log lines. A node and its worker processes never wait for its reader, see `queue`;
//! other processes do.

pub mod queue;

use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice};

/// Returns whether and how standard error shows colours.
pub fn color() -> ColorChoice {
    AutoStream::choice(&io::stderr())
}

/// Returns the width of the terminal; none if standard error is not one.
pub fn width() -> Option<usize> {
    let err = io::stderr();
    if !err.is_terminal() {
        return None;
    }
    let (terminal_size::Width(width), _) = terminal_size::terminal_size_of(&err)?;
    Some(usize::from(width)).filter(|width| *width > 0)
}

/// Writes lines.
pub fn write(lines: &[u8]) -> io::Result<()> {
    match queue::queue() {
        Some(_) => queue::push(lines),
        None => io::Write::write_all(&mut io::stderr(), lines)?,
    }
    Ok(())
}

/// Writes lines that a worker process wrote.
pub fn pass_on(lines: &[u8]) {
    // A closed standard error is not a failure.
    let _ = write(lines);
}
