//! Files without a name: what a process reads that fits into no argument.

use std::fs::File;
use std::io::{self, Seek, Write};

/// Bytes as a file without a name, to be read from its start.
pub(crate) fn nameless_file(bytes: &[u8]) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}
