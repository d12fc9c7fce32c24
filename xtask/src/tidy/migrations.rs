//! Migrations exist for every dialect, and each can be undone.
//!
//! What they contain is the storage tests' business.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::Context;

use super::Violation;

/// The dialect that is always there.
const FIRST: &str = "sqlite";
/// The dialect that follows it, once it has migrations.
const SECOND: &str = "postgres";

/// For each dialect, its migrations and the names of their files.
pub type Migrations = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// Reads the folder that holds one folder per dialect.
pub fn read(root: &Path) -> anyhow::Result<Migrations> {
    let mut migrations = Migrations::new();
    for dialect in names(root, true)? {
        let folder = root.join(&dialect);
        let each = names(&folder, true)?.into_iter().map(|name| {
            let files = names(&folder.join(&name), false)?;
            Ok((name, files))
        });
        migrations.insert(dialect, each.collect::<anyhow::Result<_>>()?);
    }
    Ok(migrations)
}

/// The names of the folders, or of the files, in a folder.
fn names(folder: &Path, folders: bool) -> anyhow::Result<BTreeSet<String>> {
    let cannot_read = || format!("cannot read {}", folder.display());
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).with_context(cannot_read)? {
        let entry = entry.with_context(cannot_read)?;
        if entry.file_type().with_context(cannot_read)?.is_dir() == folders {
            names.insert(entry.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

/// Checks that each migration has both directions and that the dialects have the same ones.
pub fn check(migrations: &Migrations) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (dialect, each) in migrations {
        for (name, files) in each {
            let missing = ["up.sql", "down.sql"]
                .into_iter()
                .filter(|file| !files.contains(*file));
            violations.extend(missing.map(|file| {
                Violation::new(
                    format!("migrations/{dialect}/{name}"),
                    format!("has no {file}; write it"),
                )
            }));
        }
    }
    match (migrations.get(FIRST), migrations.get(SECOND)) {
        (Some(first), Some(second)) => {
            violations.extend(unpaired((FIRST, first), (SECOND, second)));
            violations.extend(unpaired((SECOND, second), (FIRST, first)));
        }
        (None, _) => violations.push(Violation::new(
            format!("migrations/{FIRST}"),
            "is missing; storage needs it",
        )),
        (Some(_), None) => {}
    }
    violations
}

/// The migrations of one dialect that the other lacks.
fn unpaired<V>(
    (here, ours): (&str, &BTreeMap<String, V>),
    (there, theirs): (&str, &BTreeMap<String, V>),
) -> Vec<Violation> {
    let missing = ours.keys().filter(|name| !theirs.contains_key(*name));
    missing
        .map(|name| {
            let advice = format!("has no counterpart; add migrations/{there}/{name}");
            Violation::new(format!("migrations/{here}/{name}"), advice)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(folders: &[(&str, &str, &[&str])]) -> Vec<String> {
        let mut migrations = Migrations::new();
        for (dialect, name, files) in folders {
            let files = files.iter().map(|file| (*file).to_owned()).collect();
            migrations
                .entry((*dialect).to_owned())
                .or_default()
                .insert((*name).to_owned(), files);
        }
        check(&migrations).iter().map(Violation::to_string).collect()
    }

    const BOTH: &[&str] = &["up.sql", "down.sql"];

    #[test]
    fn each_migration_has_both_directions() {
        assert!(advice(&[("sqlite", "1_a", BOTH)]).is_empty());
        assert_eq!(
            advice(&[("sqlite", "1_a", &["up.sql"])]),
            ["migrations/sqlite/1_a: has no down.sql; write it"]
        );
        assert_eq!(advice(&[("sqlite", "1_a", &["notes.md"])]).len(), 2);
    }

    #[test]
    fn dialects_have_the_same_migrations() {
        assert!(advice(&[("sqlite", "1_a", BOTH), ("postgres", "1_a", BOTH)]).is_empty());
        assert_eq!(
            advice(&[
                ("sqlite", "1_a", BOTH),
                ("sqlite", "2_b", BOTH),
                ("postgres", "1_a", BOTH)
            ]),
            ["migrations/sqlite/2_b: has no counterpart; add migrations/postgres/2_b"]
        );
        assert_eq!(
            advice(&[
                ("sqlite", "1_a", BOTH),
                ("postgres", "1_a", BOTH),
                ("postgres", "2_b", BOTH)
            ]),
            ["migrations/postgres/2_b: has no counterpart; add migrations/sqlite/2_b"]
        );
    }

    #[test]
    fn sqlite_is_always_there() {
        assert_eq!(advice(&[]), ["migrations/sqlite: is missing; storage needs it"]);
    }

    #[test]
    fn folders_are_read_as_they_are() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("sqlite/1_a");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("up.sql"), "").unwrap();
        fs::write(root.path().join("README.md"), "").unwrap();
        let read = read(root.path()).unwrap();
        assert_eq!(read.len(), 1);
        assert_eq!(check(&read).len(), 1);
    }
}
