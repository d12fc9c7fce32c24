//! Showing an argument vector as one line that a POSIX shell would read back the same way.

/// Joins `argv` into one line, quoting what a POSIX shell would otherwise interpret. For display only: queuectl
/// never runs the result.
pub fn quote_argv<S: AsRef<str>>(argv: &[S]) -> String {
    let words: Vec<String> = argv.iter().map(|word| quote(word.as_ref())).collect();
    words.join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_only_what_needs_it() {
        assert_eq!(quote_argv(&["echo", "Hello Queue"]), "echo 'Hello Queue'");
        assert_eq!(quote_argv(&["a", "", "it's"]), r"a '' 'it'\''s'");
    }
}
