//! Where a store on PostgreSQL is, and how to connect to it.
//!
//! What libpq knows it keeps on knowing: the environment variables `PG*`, `~/.pgpass` and the service file. A password
//! never leaves this module but for the connection and for a process of the same node.

use std::fmt;
use std::path::Path;

use super::libpq;

/// The schema, unless the location names another.
const SCHEMA: &str = "queuectl";
/// Longest name of a schema; PostgreSQL cuts names at 63 bytes, and ours is part of another.
const SCHEMA_MOST: usize = 48;
/// What libpq is told unless the location or the environment says something else. A server that is gone is noticed
/// within about 20 s, also in the middle of a statement.
const DEFAULTS: &[(&str, &str, Option<&str>)] = &[
    ("connect_timeout", "10", Some("PGCONNECT_TIMEOUT")),
    ("keepalives_idle", "10", None),
    ("keepalives_interval", "3", None),
    ("keepalives_count", "3", None),
    ("tcp_user_timeout", "20000", None),
    ("fallback_application_name", "queuectl", None),
];

/// Parameters whose values are nobody's business.
const SECRETS: &[&str] = &[
    "password",
    "sslpassword",
    "scram_client_key",
    "scram_server_key",
    "oauth_client_secret",
];

/// A database server, a database and a schema in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Server {
    /// As the user gave it.
    url: String,
    parameters: Vec<(String, String)>,
    schema: String,
}

/// What is wrong with a location; it never quotes what may be a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadServer {
    /// libpq cannot read it.
    Url,
    /// The name of the schema.
    Schema,
    /// There is no place on this machine for what belongs to it.
    Home,
}

impl Server {
    /// Reads `postgres://...`. The parameter `schema` is ours, all others are libpq's.
    pub fn parse(url: &str) -> Result<Server, BadServer> {
        let (place, query) = url.split_once('?').unwrap_or((url, ""));
        let (ours, theirs): (Vec<&str>, Vec<&str>) = query
            .split('&')
            .filter(|pair| !pair.is_empty())
            .partition(|pair| pair.starts_with("schema="));
        let schema = ours
            .last()
            .map_or(SCHEMA, |pair| pair.trim_start_matches("schema="))
            .to_owned();
        if !is_schema(&schema) {
            return Err(BadServer::Schema);
        }
        let query = theirs.join("&");
        let parameters = libpq::parse_url(&format!("{place}?{query}")).ok_or(BadServer::Url)?;
        Ok(Server {
            url: url.to_owned(),
            parameters,
            schema,
        })
    }

    /// The schema that holds the tables.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The location as the user gave it, perhaps with a password. Only for the environment of another process of the
    /// same node.
    pub fn secret(&self) -> &str {
        &self.url
    }

    /// The location without what may be a password, for processes that have no business with it.
    pub fn without_secrets(&self) -> String {
        let (place, query) = self.url.split_once('?').unwrap_or((&self.url, ""));
        let (scheme, rest) = place.split_once("://").unwrap_or(("postgres", place));
        let rest = match rest.rsplit_once('@') {
            Some((user, rest)) => format!("{}@{rest}", user.split(':').next().unwrap_or_default()),
            None => rest.to_owned(),
        };
        let harmless = |pair: &&str| {
            let key = pair.split('=').next().unwrap_or_default();
            !pair.is_empty() && !SECRETS.contains(&key)
        };
        let query: Vec<&str> = query.split('&').filter(harmless).collect();
        let mark = if query.is_empty() { "" } else { "?" };
        format!("{scheme}://{rest}{mark}{}", query.join("&"))
    }

    /// What libpq connects with, perhaps with a password.
    pub fn conninfo(&self) -> String {
        // By default OpenSSL tidies up when the process ends, under the hands of threads that still use it: a node's
        // connections for its lease and its wake-ups live until then. This tells it not to.
        openssl_sys::init();
        let mut text = String::new();
        let mut add = |key: &str, value: &str| {
            let value = value.replace('\\', "\\\\").replace('\'', "\\'");
            text.push_str(&format!("{key}='{value}' "));
        };
        for (key, value) in &self.parameters {
            add(key, value);
        }
        for (key, value, variable) in DEFAULTS {
            let set = variable.is_some_and(|name| std::env::var_os(name).is_some());
            if self.parameter(key).is_none() && !set {
                add(key, value);
            }
        }
        if self.is_local_by_default() {
            // libpq as it is built looks in /tmp only, and Debian's server is elsewhere.
            add("host", "/var/run/postgresql,/tmp");
        }
        text
    }

    /// Whether nothing says on which machine the server is.
    fn is_local_by_default(&self) -> bool {
        let unset = |key: &str, variable: &str| {
            self.parameter(key).is_none_or(str::is_empty) && std::env::var_os(variable).is_none()
        };
        unset("host", "PGHOST")
            && unset("hostaddr", "PGHOSTADDR")
            && unset("service", "PGSERVICE")
            && Path::new("/var/run/postgresql").is_dir()
    }

    /// A name for a folder on this machine.
    pub fn folder_name(&self) -> String {
        let or_environment = |key: &str, variable: &str| {
            let given = self.parameter(key).map(str::to_owned);
            given.or_else(|| std::env::var(variable).ok()).unwrap_or_default()
        };
        let place = [
            or_environment("host", "PGHOST"),
            or_environment("port", "PGPORT"),
            or_environment("dbname", "PGDATABASE"),
            self.schema.clone(),
        ];
        let mut name = String::new();
        for character in place.join("+").chars() {
            match character {
                'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | '+' => name.push(character),
                other => name.push_str(&format!("%{:x}", u32::from(other))),
            }
        }
        name
    }

    fn parameter(&self, key: &str) -> Option<&str> {
        let found = self.parameters.iter().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }
}

/// Whether a queue may be in a schema of that name. It needs no quoting but the quotes.
pub fn is_schema(name: &str) -> bool {
    let mut characters = name.chars();
    let fits = characters
        .next()
        .is_some_and(|first| first.is_ascii_lowercase() || first == '_')
        && characters.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    fits && name.len() <= SCHEMA_MOST && !name.starts_with("pg_") && name != "public"
}

impl fmt::Display for Server {
    /// Without the password, and without anything else that may be one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("postgres://")?;
        if let Some(user) = self.parameter("user") {
            write!(f, "{user}@")?;
        }
        let hosts = self.parameter("host").unwrap_or_default();
        f.write_str(&hosts.replace('/', "%2F"))?;
        if let Some(port) = self.parameter("port") {
            write!(f, ":{port}")?;
        }
        write!(f, "/{}", self.parameter("dbname").unwrap_or_default())?;
        if self.schema != SCHEMA {
            write!(f, "?schema={}", self.schema)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_used_and_never_shown() {
        let url = "postgres://me:s3cr%27t@db.example:5433/app?sslmode=require&schema=work&sslpassword=other";
        let server = Server::parse(url).unwrap();
        assert_eq!(
            server.to_string(),
            "postgres://me@db.example:5433/app?schema=work"
        );
        assert_eq!(format!("{server:?}"), server.to_string());
        assert_eq!(
            server.without_secrets(),
            "postgres://me@db.example:5433/app?sslmode=require&schema=work"
        );
        assert_eq!(server.folder_name(), "db.example+5433+app+work");
        assert_eq!(server.schema(), "work");
        let conninfo = server.conninfo();
        assert!(conninfo.contains(r"password='s3cr\'t'"), "{conninfo}");
        assert!(conninfo.contains("sslmode='require'") && !conninfo.contains("schema"));
        assert!(conninfo.contains("tcp_user_timeout='20000'"));
        let own = Server::parse("postgresql:///x?connect_timeout=3").unwrap();
        assert!(
            own.conninfo().contains("connect_timeout='3'")
                && !own.conninfo().contains("connect_timeout='10'")
        );
        assert_eq!(own.to_string(), "postgres:///x");
    }

    #[test]
    fn what_libpq_cannot_read_and_odd_schemas_are_refused() {
        assert_eq!(Server::parse("postgres://h/d?nonsense=1"), Err(BadServer::Url));
        assert_eq!(Server::parse("postgres://[h/d"), Err(BadServer::Url));
        for schema in ["", "Upper", "pg_x", "a-b", "public", "1a", &"x".repeat(49)] {
            let url = format!("postgres://h/d?schema={schema}");
            assert_eq!(Server::parse(&url), Err(BadServer::Schema), "{schema}");
        }
    }
}
