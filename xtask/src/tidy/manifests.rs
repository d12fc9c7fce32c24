//! Every package takes its lints, version, edition and Rust version from the workspace.
//!
//! `cargo metadata` shows only the values that result, so the manifests themselves are read.

use std::fs;

use anyhow::Context;
use toml::{Table, Value};

use super::Violation;
use crate::workspace::Workspace;

const INHERITED: &[&str] = &["version", "edition", "rust-version"];

/// Checks the manifest of every package.
pub fn check_all(workspace: &Workspace) -> anyhow::Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for package in workspace.metadata.workspace_packages() {
        let path = format!("{}/Cargo.toml", workspace.folder(package));
        let text =
            fs::read_to_string(&package.manifest_path).with_context(|| format!("cannot read {path}"))?;
        let manifest: Table = text.parse().with_context(|| format!("cannot read {path}"))?;
        violations.extend(check(&path, &manifest));
    }
    Ok(violations)
}

fn check(path: &str, manifest: &Table) -> Vec<Violation> {
    let package = manifest.get("package").and_then(Value::as_table);
    let own = INHERITED
        .iter()
        .filter(|key| !is_inherited(package.and_then(|package| package.get(**key))));
    let mut violations: Vec<Violation> = own
        .map(|key| Violation::new(path, format!("write '{key}.workspace = true' under [package]")))
        .collect();
    if !is_inherited(manifest.get("lints")) {
        violations.push(Violation::new(path, "add [lints] with 'workspace = true'"));
    }
    violations
}

/// Whether a value is `{ workspace = true }`, in any of TOML's spellings.
fn is_inherited(value: Option<&Value>) -> bool {
    value
        .and_then(|value| value.get("workspace"))
        .and_then(Value::as_bool)
        == Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "\
[package]
name = 'a'
version.workspace = true
edition = { workspace = true }
rust-version.workspace = true
[lints]
workspace = true
";

    fn advice(text: &str) -> Vec<String> {
        check("a/Cargo.toml", &text.parse().unwrap())
            .iter()
            .map(Violation::to_string)
            .collect()
    }

    #[test]
    fn everything_is_inherited() {
        assert!(advice(GOOD).is_empty());
        assert_eq!(advice("").len(), 4);
    }

    #[test]
    fn a_value_of_its_own_is_reported() {
        let own_edition = GOOD.replace("{ workspace = true }", "'2024'");
        assert_eq!(
            advice(&own_edition),
            ["a/Cargo.toml: write 'edition.workspace = true' under [package]"]
        );
        for key in ["version", "rust-version"] {
            let own = GOOD.replace(
                &format!("\n{key}.workspace = true"),
                &format!("\n{key} = '1.0.0'"),
            );
            assert_eq!(
                advice(&own),
                [format!(
                    "a/Cargo.toml: write '{key}.workspace = true' under [package]"
                )]
            );
        }
    }

    #[test]
    fn own_or_missing_lints_are_reported() {
        for bad in [
            "[lints.rust]\nmissing_docs = 'allow'\n",
            "[lints]\nworkspace = false\n",
            "",
        ] {
            let text = GOOD.replace("[lints]\nworkspace = true\n", bad);
            assert_eq!(
                advice(&text),
                ["a/Cargo.toml: add [lints] with 'workspace = true'"]
            );
        }
    }
}
