//! Why an operator did something, in the operator's own words.

use crate::limits::REASON_BYTES;

/// Reads a reason: some text on one line.
///
/// # Errors
/// It is empty, too long, or has characters that no line has.
pub fn parse_reason(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.is_empty() {
        return Err("a reason cannot be empty".to_owned());
    }
    if text.len() > REASON_BYTES {
        return Err(format!(
            "a reason has at most {REASON_BYTES} bytes; this one has {}",
            text.len()
        ));
    }
    match text.chars().any(char::is_control) {
        true => Err("a reason is one line without control characters".to_owned()),
        false => Ok(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_a_line_of_text() {
        assert_eq!(parse_reason(" disk full ").as_deref(), Ok("disk full"));
        assert!(parse_reason(&"x".repeat(REASON_BYTES)).is_ok());
        for bad in ["", "  ", "two\nlines", "a\0", &"x".repeat(REASON_BYTES + 1)] {
            assert!(parse_reason(bad).is_err(), "{bad:?}");
        }
    }
}
