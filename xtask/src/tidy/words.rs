//! Rules for the words of comments in Rust: phrases that read as translated.
//!
//! Looks at comments alone: messages are read by people and texts of tests may say anything. What to write in their place is
//! up to the author: name the process, the user or the number.

use super::Violation;
use super::files::SourceFile;

/// In lower case; each is looked for as whole words.
const PHRASES: &[&str] = &[
    "nobody",
    "whoever",
    "anew",
    "shall",
    "so long",
    "so many",
    "as good as",
    "none of it",
    "round again",
];

/// Files that have such phrases yet.
const NOT_YET: &[&str] = &[
    "crates/cli/src/commands/enqueue/",
    "crates/core/src/job/",
    "crates/storage/src/ops/",
    "crates/storage/src/postgres/",
    "crates/storage/src/sqlite/",
    "crates/storage/src/types/",
    "xtask/src/tidy/words.rs",
];

/// Checks one file.
pub fn check(file: &SourceFile) -> Vec<Violation> {
    if !file.path.ends_with(".rs") || NOT_YET.iter().any(|path| file.path.starts_with(path)) {
        return Vec::new();
    }
    let lines = file.text.lines().zip(1..);
    let found = lines.filter_map(|(line, number)| {
        let phrase = phrase(comment(line)?)?;
        let advice = format!("a comment says '{phrase}'; name who or how many, in plain English");
        Some(Violation::new(format!("{}:{number}", file.path), advice))
    });
    found.collect()
}

/// The comment of a line that begins with one.
fn comment(line: &str) -> Option<&str> {
    line.trim_start().strip_prefix("//")
}

fn phrase(comment: &str) -> Option<&'static str> {
    // A name in code, such as the user `nobody`, is not a word.
    let words = comment
        .split('`')
        .step_by(2)
        .flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
    let words: Vec<String> = words
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    let text = format!(" {} ", words.join(" "));
    PHRASES
        .iter()
        .copied()
        .find(|phrase| text.contains(&format!(" {phrase} ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let (path, text) = (path.to_owned(), text.to_owned());
        let violations = check(&SourceFile { path, text });
        violations.iter().map(Violation::to_string).collect()
    }

    #[test]
    fn phrases_are_found_in_comments_alone() {
        assert_eq!(
            found("a.rs", "//! Fine.\n    /// Waits so\n    // Nobody's.\n"),
            ["a.rs:3: a comment says 'nobody'; name who or how many, in plain English"]
        );
        for bad in [
            "// So long",
            "/// as good as new",
            "//! It shall be.",
            "// x: anew",
        ] {
            assert_eq!(found("a.rs", bad).len(), 1, "{bad}");
        }
        for good in [
            "let nobody = \"shall\";",
            "// as `nobody` does",
            "// shallow, renewed",
            "fn so_long() {}",
        ] {
            assert_eq!(found("a.rs", good), [""; 0], "{good}");
        }
        assert_eq!(found("a.md", "// nobody"), [""; 0]);
    }
}
