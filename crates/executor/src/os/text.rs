//! What the operating system says, in words for people.

use std::io;

/// An operating system error as a person expects it: without Rust's " (os error 2)".
pub(crate) fn error_text(error: &io::Error) -> String {
    let text = error.to_string();
    match text.rfind(" (os error ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}
