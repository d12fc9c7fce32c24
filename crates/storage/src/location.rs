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
    /// started in. A symbolic link stands for the file it points to.
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
        // A link is followed now: the folder beside the file must be the same under every name of the file, or a
        // living node's lock would be looked for where it is not.
        if Path::new(path).is_symlink()
            && let Ok(real) = std::fs::canonicalize(path)
        {
            return Ok(Location::Sqlite(real));
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

    #[cfg(unix)]
    #[test]
    fn a_link_is_the_file_it_points_to() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap().join("real.db");
        let link = folder.path().join("link.db");
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let location = || link.to_str().unwrap().parse::<Location>().unwrap();
        assert_eq!(location().path(), link, "it points to nothing yet");
        std::fs::write(&real, "").unwrap();
        assert_eq!(location().path(), real);
        assert_eq!(location().beside(), Location::Sqlite(real).beside());
    }

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
