//! What a command says about what it has done. The act stands whether or not anybody can read about it: if standard output
//! cannot be written, a warning on standard error says what was done, the remaining acts follow, and the exit status is
//! that of the acts. Otherwise a script would repeat what has been done. Commands that only read fail instead.

use std::io::{self, Write};

use serde::Serialize;

use super::{diagnostics, escape, json};
use crate::context::Context;

/// Prints what was done: the document if JSON is asked for, else the line.
pub fn tell(context: &Context, document: &impl Serialize, line: &str) {
    let printed = if context.json {
        json::print(document)
    } else {
        writeln!(io::stdout(), "{}", escape::line(line))
    };
    printed_or_warn(printed, || line.to_owned());
}

/// Warns if what was done, which is put in words only then, could not be printed. A reader who left has read enough.
pub fn printed_or_warn(printed: io::Result<()>, words: impl FnOnce() -> String) {
    match printed {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => diagnostics::warning(&format!(
            "{} (standard output cannot be written: {error})",
            words()
        )),
    }
}
