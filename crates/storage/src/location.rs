//! Where a store is.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use etcetera::BaseStrategy;
use queuectl_core::NodeId;

use self::server::Server;
use crate::StoreError;
use crate::error::BadServer;

pub(crate) mod server;

/// Where a store is: an SQLite file, or a PostgreSQL server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// An SQLite file.
    Sqlite(PathBuf),
    /// A schema of a database of a PostgreSQL server.
    Postgres(PostgresLocation),
}

/// A store on PostgreSQL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresLocation {
    pub(crate) server: Server,
    /// What belongs to the store on this machine.
    folder: PathBuf,
}

impl PostgresLocation {
    /// The location with its password, or the one that the environment gives (`PGPASSWORD`); none if there is none. Only for
    /// another process of the same node, never for its arguments or environment or to be shown.
    pub fn secret(&self) -> Option<String> {
        let password = std::env::var("PGPASSWORD").ok();
        let server = self.server.clone().or_password(password);
        server.has_secrets().then(|| server.with_secrets())
    }

    /// The location without its password.
    pub fn without_secrets(&self) -> String {
        self.server.without_secrets()
    }
}

/// What a variable or an argument that names a queue may say for everybody to see: the same if it has no password, else the
/// same place without it; nothing of what is no location.
pub fn harmless(text: &str) -> String {
    match text.parse() {
        Ok(Location::Sqlite(_)) => text.to_owned(),
        Ok(Location::Postgres(place)) if place.server.has_secrets() => place.without_secrets(),
        Ok(Location::Postgres(_)) => text.to_owned(),
        Err(_) => String::new(),
    }
}

impl Location {
    /// The SQLite file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        match self {
            Location::Sqlite(path) => Some(path),
            Location::Postgres(_) => None,
        }
    }

    /// What of the environment a process must not get that has no business with the store, a job for example: which
    /// variable, and its harmless value if it has one.
    pub fn hidden_environment(&self) -> Vec<(&'static str, Option<OsString>)> {
        match self {
            // Whatever the node's environment says: a job's queue is the one that it is in.
            Location::Sqlite(path) => vec![("QUEUECTL_DB", Some(path.clone().into()))],
            Location::Postgres(place) => vec![
                ("PGPASSWORD", None),
                ("QUEUECTL_DB", Some(place.server.without_secrets().into())),
            ],
        }
    }

    /// The folder on this machine that holds node locks, wake-up pipes and long outputs: beside an SQLite file, else
    /// in the user's data folder.
    pub fn state_dir(&self) -> PathBuf {
        match self {
            Location::Sqlite(path) => {
                let mut name = path.as_os_str().to_owned();
                name.push(".d");
                PathBuf::from(name)
            }
            Location::Postgres(place) => place.folder.clone(),
        }
    }

    /// The file that each worker process of a node has locked while it lives; none where leases tell who lives.
    pub fn workers_lock(&self, node: NodeId) -> Option<PathBuf> {
        matches!(self, Location::Sqlite(_))
            .then(|| self.state_dir().join("nodes").join(format!("{node}.workers")))
    }
}

impl FromStr for Location {
    type Err = StoreError;

    /// A path, `sqlite:PATH`, or `postgres://...` as libpq reads it. Relative paths are made absolute, for a node may outlive the folder it was
    /// started in. A symbolic link stands for the file it points to.
    fn from_str(text: &str) -> Result<Self, StoreError> {
        let bad = || StoreError::BadLocation(quotable(text));
        let path = match text.split_once(':') {
            Some(("sqlite", path)) => path.strip_prefix("//").unwrap_or(path),
            Some(("postgres" | "postgresql", rest)) if rest.starts_with("//") => return postgres(text),
            _ => text,
        };
        if path.is_empty() || path.contains('\0') || is_other_location(path) {
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

/// Whether a text is a location of another kind, a mistyped one perhaps, and no path: a file of that name would be made
/// otherwise, and its name shown everywhere.
fn is_other_location(text: &str) -> bool {
    let lower = text.trim().trim_matches(['"', '\'']).to_ascii_lowercase();
    let first = lower.split(['/', '\\']).next().unwrap_or_default();
    // `pg:`, `postgres:`, `postgresql:`, `postgres//`; but not a folder of that name.
    let is_server = ["postgres", "postgresql", "pg", "jdbc"]
        .iter()
        .filter_map(|scheme| lower.strip_prefix(scheme))
        .any(|rest| rest.starts_with(':') || rest.starts_with("//"));
    // `user:password@host/database`.
    let has_user = first.split_once(':').is_some_and(|(_, rest)| rest.contains('@'));
    // `host=... password=...`, as libpq reads it.
    let is_list = lower.contains("password=") || lower.contains("host=") && lower.contains("dbname=");
    lower.contains("://") || is_server || has_user || is_list
}

/// What of a text that is no location can be said: there may be a password in it, wherever.
fn quotable(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, _)) if scheme.chars().all(|c| c.is_ascii_alphanumeric()) => format!("{scheme}://..."),
        _ if is_other_location(text) => "...".to_owned(),
        _ => text.escape_debug().to_string(),
    }
}

fn postgres(url: &str) -> Result<Location, StoreError> {
    pq_sys::load().map_err(|error| StoreError::NoPostgres(error.to_string()))?;
    let server = Server::parse(url).map_err(StoreError::BadServer)?;
    let folders = etcetera::choose_base_strategy().map_err(|_| StoreError::BadServer(BadServer::Home))?;
    let folder = folders.data_dir().join("queuectl").join("postgres");
    Ok(Location::Postgres(PostgresLocation {
        folder: folder.join(server.folder_name()),
        server,
    }))
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Sqlite(path) => path.display().fmt(f),
            Location::Postgres(place) => place.server.fmt(f),
        }
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
        assert_eq!(
            location().file(),
            Some(link.as_path()),
            "it points to nothing yet"
        );
        std::fs::write(&real, "").unwrap();
        assert_eq!(location().file(), Some(real.as_path()));
        assert_eq!(location().state_dir(), Location::Sqlite(real).state_dir());
    }

    #[test]
    fn locations_are_paths_or_sqlite_urls() {
        let path = |text: &str| text.parse::<Location>().unwrap().file().unwrap().to_owned();
        // On Windows it is on the drive of the working folder.
        let absolute = std::path::absolute("/tmp/q.db").unwrap();
        for text in ["/tmp/q.db", "sqlite:/tmp/q.db", "sqlite:///tmp/q.db"] {
            assert_eq!(path(text), absolute, "{text}");
        }
        assert!(path("q.db").is_absolute());
        for bad in ["", "sqlite:", "mysql://host/db", "a\0b"] {
            assert!(
                matches!(bad.parse::<Location>(), Err(StoreError::BadLocation(_))),
                "{bad:?}"
            );
        }
        for file in [
            "postgres",
            "postgres/q.db",
            "pg.db",
            "a@b/q.db",
            "x/a:b@c",
            "my passwords",
            "host=1",
        ] {
            assert!(path(file).ends_with(file), "{file}");
        }
    }

    /// A password in a location that is mistyped is not said, and no file gets its name.
    #[test]
    fn a_mistyped_location_on_a_server_is_no_path_and_its_password_is_not_said() {
        for text in [
            "postgress://u:Zebra@h/d",
            "POSTGRES://u:Zebra@h/d",
            " postgres://u:Zebra@h/d",
            "\"postgres://u:Zebra@h/d\"",
            "postgres:u:Zebra@h/d",
            "postgres:/u:Zebra@h/d",
            "postgres//u:Zebra@h/d",
            "postgresql:Zebra",
            "pg://u:Zebra@h/d",
            "jdbc:postgresql://h/d?user=u&password=Zebra",
            "u:Zebra@h/d",
            "u:Zebra@h:5432/d",
            "host=h dbname=d password=Zebra",
            "sqlite:postgres://u:Zebra@h/d",
            "mysql://u:p@ss?Zebra@h/d",
            "u:Zebra://h",
            "postgres://u:p@Zebra@h/d",
            "postgres://u:Zebra",
        ] {
            let error = text.parse::<Location>().expect_err(text);
            assert!(!error.to_string().contains("Zebra"), "{error}");
            assert!(!format!("{error:?}").contains("Zebra"), "{error:?}");
            assert_eq!(harmless(text), "");
        }
        assert_eq!(harmless("postgres://u:Zebra@h/d"), "postgres://u@h/d");
        assert_eq!(harmless("postgres://u@h/d"), "postgres://u@h/d");
        assert_eq!(harmless("q.db"), "q.db");
    }
}
