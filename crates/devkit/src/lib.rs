//! What the programs around the code share: building and laying out the real binary, a throw-away PostgreSQL server, and
//! headings for their output.
//!
//! For development only. It knows no crate of ours: it starts `cargo`, and what cargo built.

mod binaries;
mod error;
pub mod postgres;

pub use binaries::{BIN_DIR, Binaries, Profile, cargo, root, target};
pub use error::report;

use anstyle::AnsiColor;

/// Announces a part of a program's work.
pub fn heading(text: &str) {
    let style = AnsiColor::Cyan.on_default().bold();
    anstream::println!("\n{style}==> {text}{style:#}");
}
