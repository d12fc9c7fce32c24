//! `tidy`: the house rules that no compiler checks.
//!
//! One file per kind of rule. Each rule is a function from plain data to violations, so that its tests can show it
//! failing; this file gathers the data and prints what was found. Nothing is changed or repaired.

mod arrows;
mod circles;
mod files;
mod manifests;
mod migrations;
mod words;

use std::fmt;

use anyhow::bail;

use crate::workspace::Workspace;

/// One broken rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The file or folder.
    place: String,
    /// What is wrong and what to do about it.
    advice: String,
}

impl Violation {
    /// A violation at a place.
    fn new(place: impl Into<String>, advice: impl Into<String>) -> Self {
        Violation {
            place: place.into(),
            advice: advice.into(),
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.advice)
    }
}

/// Checks everything and prints every violation.
pub fn run(workspace: &Workspace) -> anyhow::Result<()> {
    let packages = arrows::packages(workspace);
    let files = files::read_all(workspace.root())?;
    let mut violations = arrows::check(&packages);
    violations.extend(files.iter().flat_map(files::check));
    violations.extend(files.iter().flat_map(words::check));
    violations.extend(circles::check_all(&files));
    violations.extend(migrations::check(&migrations::read(
        &workspace.root().join("migrations"),
    )?));
    violations.extend(manifests::check_all(workspace)?);
    for violation in &violations {
        anstream::println!("{violation}");
    }
    match violations.len() {
        0 => {
            println!(
                "tidy: {} packages and {} files are fine",
                packages.len(),
                files.len()
            );
            Ok(())
        }
        count => bail!("{count} violations of the house rules"),
    }
}
