//! Rules for single files: length, header, trailing white space.
//!
//! Looks at `.rs`, `.md`, `.sql` and `.toml` below the root, except in the target folder and in folders whose name
//! starts with a dot.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::Violation;

const LONGEST: usize = 600;
const ENDINGS: &[&str] = &["rs", "md", "sql", "toml"];

/// A text file of the workspace.
pub struct SourceFile {
    /// Its path below the root, with `/`.
    pub(super) path: String,
    pub(super) text: String,
}

/// Every file that the rules look at.
pub fn read_all(root: &Path) -> anyhow::Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    read_folder(root, "", &mut files)?;
    files.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(files)
}

/// Adds a folder's files; `below` is its path below the root, empty or ending in `/`.
fn read_folder(folder: &Path, below: &str, files: &mut Vec<SourceFile>) -> anyhow::Result<()> {
    let cannot_read = || format!("cannot read {}", folder.display());
    for entry in fs::read_dir(folder).with_context(cannot_read)? {
        let entry = entry.with_context(cannot_read)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{below}{name}");
        let kind = entry.file_type().with_context(cannot_read)?;
        if kind.is_dir() {
            if !name.starts_with('.') && path != "target" {
                read_folder(&entry.path(), &format!("{path}/"), files)?;
            }
        } else if kind.is_file()
            && name
                .rsplit_once('.')
                .is_some_and(|(_, ending)| ENDINGS.contains(&ending))
        {
            let text = fs::read_to_string(entry.path()).with_context(|| format!("cannot read {path}"))?;
            files.push(SourceFile { path, text });
        }
    }
    Ok(())
}

/// Checks one file against every rule.
pub fn check(file: &SourceFile) -> Vec<Violation> {
    [too_long(file), no_header(file), trailing_space(file)]
        .into_iter()
        .flatten()
        .collect()
}

fn too_long(file: &SourceFile) -> Option<Violation> {
    let lines = file.text.lines().count();
    let advice = || format!("has {lines} lines; split it, {LONGEST} are the most");
    (is_rust(file) && lines > LONGEST).then(|| Violation::new(&file.path, advice()))
}

fn no_header(file: &SourceFile) -> Option<Violation> {
    let header = file.text.lines().next().and_then(|line| line.strip_prefix("//!"));
    let says_something = header.is_some_and(|header| header.contains(char::is_alphabetic));
    let advice = "start with a '//!' header that says what the module does and what it leaves to others";
    (is_rust(file) && needs_header(&file.path) && !says_something).then(|| Violation::new(&file.path, advice))
}

fn trailing_space(file: &SourceFile) -> Option<Violation> {
    let line = file
        .text
        .lines()
        .position(|line| line.ends_with(char::is_whitespace))?;
    Some(Violation::new(
        format!("{}:{}", file.path, line + 1),
        "remove the white space at the end of the line",
    ))
}

fn is_rust(file: &SourceFile) -> bool {
    file.path.ends_with(".rs")
}

fn needs_header(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(
        parts.as_slice(),
        ["crates" | "plugins", _, "src", ..] | ["fuzz" | "xtask", "src", ..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(path: &str, text: &str) -> Vec<String> {
        let file = SourceFile {
            path: path.to_owned(),
            text: text.to_owned(),
        };
        check(&file).iter().map(Violation::to_string).collect()
    }

    #[test]
    fn long_rust_files_are_reported() {
        let lines = |count| "x\n".repeat(count);
        assert!(advice("tests/a.rs", &lines(600)).is_empty());
        assert_eq!(
            advice("tests/a.rs", &lines(601)),
            ["tests/a.rs: has 601 lines; split it, 600 are the most"]
        );
        assert!(advice("long.md", &lines(601)).is_empty());
    }

    #[test]
    fn sources_start_with_a_header_that_says_something() {
        for path in [
            "crates/core/src/a/b.rs",
            "plugins/shell/src/lib.rs",
            "xtask/src/main.rs",
        ] {
            assert!(advice(path, "//! Does it.\nfn f() {}\n").is_empty());
            for bad in [
                "",
                "use a;\n",
                "// Does it.\n",
                "//!\n",
                "//! .\n",
                "\n//! Late.\n",
            ] {
                assert_eq!(advice(path, bad).len(), 1, "{path}: {bad:?}");
            }
        }
        assert!(advice("crates/core/tests/a.rs", "use a;\n").is_empty());
    }

    #[test]
    fn white_space_at_the_end_of_a_line_is_reported() {
        for path in ["a.rs", "a.md", "a.sql", "a.toml"] {
            for bad in ["fine\nbad \n", "fine\nbad\t"] {
                let expected = format!("{path}:2: remove the white space at the end of the line");
                assert_eq!(advice(path, bad), [expected]);
            }
            assert!(advice(path, "\tfine\n\n").is_empty());
        }
    }

    #[test]
    fn the_walk_leaves_out_what_is_not_source() {
        let root = tempfile::tempdir().unwrap();
        for folder in [".git", "target", "docs", "crates/a/src/target"] {
            fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        for file in [
            ".git/a.md",
            "target/a.rs",
            "docs/a.md",
            "docs/a.png",
            "crates/a/src/target/a.rs",
            "Cargo.toml",
        ] {
            fs::write(root.path().join(file), "").unwrap();
        }
        let paths: Vec<String> = read_all(root.path())
            .unwrap()
            .into_iter()
            .map(|file| file.path)
            .collect();
        assert_eq!(paths, ["Cargo.toml", "crates/a/src/target/a.rs", "docs/a.md"]);
    }
}
