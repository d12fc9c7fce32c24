//! Which tests are left out on Windows, each with its reason.

use std::fs;

use anyhow::{Context, bail};

use super::sources::Test;
use crate::workspace::Workspace;

/// The list: how names begin, and why those tests are left out.
pub const LIST: &str = "xtask/src/windows/left_out.txt";

/// The list, read.
pub struct Scope {
    entries: Vec<(String, String)>,
}

impl Scope {
    /// Reads the list.
    ///
    /// # Errors
    /// A line without a reason is one.
    pub fn load(workspace: &Workspace) -> anyhow::Result<Scope> {
        let path = workspace.root().join(LIST);
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        Scope::read(&text)
    }

    fn read(text: &str) -> anyhow::Result<Scope> {
        let mut entries = Vec::new();
        for line in text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'))
        {
            match line.split_once(" - ") {
                Some((name, why)) if !why.trim().is_empty() => {
                    entries.push((name.trim().to_owned(), why.trim().to_owned()));
                }
                _ => bail!("{LIST}: no reason in the line '{line}'"),
            }
        }
        Ok(Scope { entries })
    }

    /// Why a test is left out, if it is.
    pub fn reason(&self, name: &str) -> Option<&str> {
        let entry = self
            .entries
            .iter()
            .find(|(start, _)| name.starts_with(start.as_str()));
        entry.map(|(_, why)| why.as_str())
    }

    /// Whether all tests of a package are left out, so that it need not be built.
    pub fn leaves_out_package(&self, package: &str) -> bool {
        self.entries
            .iter()
            .any(|(start, _)| *start == format!("{package}/"))
    }

    /// An entry that fits no test, if there is one.
    pub fn unused<'a>(&self, ran: impl Iterator<Item = &'a String> + Clone, all: &[Test]) -> Option<&str> {
        let fits = |start: &str| {
            ran.clone().any(|name| name.starts_with(start))
                || all.iter().any(|test| test.name().starts_with(start))
        };
        let unused = self.entries.iter().find(|(start, _)| !fits(start));
        unused.map(|(start, _)| start.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_has_a_reason() {
        let scope = Scope::read("# why\n\na/ - not for Windows\nb/lib c::d - signals\n").unwrap();
        assert_eq!(scope.reason("a/lib x"), Some("not for Windows"));
        assert_eq!(scope.reason("b/lib c::d"), Some("signals"));
        assert_eq!(scope.reason("b/lib c::e"), None);
        assert!(scope.leaves_out_package("a") && !scope.leaves_out_package("b"));
        assert_eq!(scope.unused([].iter(), &[]), Some("a/"));
        for bad in ["a/", "a/ - ", "a/-x"] {
            assert!(Scope::read(bad).is_err(), "{bad}");
        }
    }
}
