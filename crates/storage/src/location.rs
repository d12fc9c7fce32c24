//! Where a store is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::StoreError;

/// Where a store is: today always an SQLite file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// An SQLite file.
    Sqlite(PathBuf),
}

impl Location {
    /// The SQLite file.
    pub fn path(&self) -> &Path {
        match self {
            Location::Sqlite(path) => path,
        }
    }

    /// The folder beside the file that holds node locks, wake-up pipes and long outputs.
    pub fn beside(&self) -> PathBuf {
        let mut name = self.path().as_os_str().to_owned();
        name.push(".d");
        PathBuf::from(name)
    }

    /// The file that keeps the output of one attempt, if it is too long for the database.
    pub fn output_file(&self, job: i64, fence: i64) -> PathBuf {
        self.beside()
            .join("output")
            .join(job.to_string())
            .join(format!("{fence}.log"))
    }
}

impl FromStr for Location {
    type Err = StoreError;

    /// A path, or `sqlite:PATH`. Relative paths are made absolute, for a node may outlive the folder it was
    /// started in.
    fn from_str(text: &str) -> Result<Self, StoreError> {
        let bad = || StoreError::BadLocation(text.escape_debug().to_string());
        let path = match text.split_once(':') {
            Some(("sqlite", path)) => path.strip_prefix("//").unwrap_or(path),
            Some((scheme, rest)) if rest.starts_with("//") && !scheme.is_empty() => return Err(bad()),
            _ => text,
        };
        if path.is_empty() || path.contains('\0') {
            return Err(bad());
        }
        std::path::absolute(path).map(Location::Sqlite).map_err(|_| bad())
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path().display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_paths_or_sqlite_urls() {
        let path = |text: &str| text.parse::<Location>().unwrap().path().to_owned();
        assert_eq!(path("/tmp/q.db"), Path::new("/tmp/q.db"));
        assert_eq!(path("sqlite:/tmp/q.db"), Path::new("/tmp/q.db"));
        assert_eq!(path("sqlite:///tmp/q.db"), Path::new("/tmp/q.db"));
        assert!(path("q.db").is_absolute());
        for bad in ["", "sqlite:", "postgres://host/db", "a\0b"] {
            assert!(
                matches!(bad.parse::<Location>(), Err(StoreError::BadLocation(_))),
                "{bad:?}"
            );
        }
    }
}
