//! Rules for the words of comments in Rust and of documents: phrases that read as translated.
//!
//! Code is not looked at: texts of tests may say anything, and messages are for people to read. What to write in their
//! place is up to the author: name the process, the user or the number.

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

/// Checks one file.
pub fn check(file: &SourceFile) -> Vec<Violation> {
    let mut is_code = false;
    let prose = move |line| {
        if file.path.ends_with(".rs") {
            return comment(line);
        }
        is_code ^= line.trim_start().starts_with("```");
        (file.path.ends_with(".md") && !is_code).then_some(line)
    };
    let lines = file.text.lines().map(prose).zip(1..);
    let found = lines.filter_map(|(prose, number)| {
        let phrase = phrase(prose?)?;
        let advice = format!("the text says '{phrase}'; name who or how many, in plain English");
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
    fn phrases_are_found_in_comments_and_not_in_code() {
        assert_eq!(
            found("a.rs", "//! Fine.\n    /// Waits so\n    // Nobody's.\n"),
            ["a.rs:3: the text says 'nobody'; name who or how many, in plain English"]
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
    }

    #[test]
    fn phrases_are_found_in_documents_outside_code() {
        let text = "Fine.\n```sh\necho nobody\n```\nIt is nobody.\n`nobody`\n";
        assert_eq!(
            found("a.md", text),
            ["a.md:5: the text says 'nobody'; name who or how many, in plain English"]
        );
        assert_eq!(found("a.sql", "-- nobody"), [""; 0]);
    }
}
