//! Where a store on PostgreSQL is, and how to connect to it.
//!
//! What libpq knows it keeps on knowing: the environment variables `PG*`, `~/.pgpass` and the service file. A password
//! never leaves this module but for the connection and for a process of the same node.

use std::fmt;
use std::path::Path;

use crate::error::BadServer;
use crate::libpq;

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

/// Parameters whose values are secret.
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
    /// As libpq has read them, and no text that would have to be understood as libpq understands it.
    parameters: Vec<(String, String)>,
    schema: String,
}

impl Server {
    /// Reads `postgres://...`. The parameter `schema` is ours, all others are libpq's.
    pub fn parse(url: &str) -> Result<Server, BadServer> {
        let (place, query) = split_query(url)?;
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
        let server = Server { parameters, schema };
        let ports = server.parameter("port").unwrap_or_default().split(',');
        let is_port = |port: &str| port.is_empty() || port.parse::<u16>().is_ok_and(|port| port > 0);
        if !ports.into_iter().all(is_port) {
            return Err(BadServer::Port);
        }
        // A database of such a name would be another whole location to libpq, which is not what is read here.
        let names = [server.parameter("dbname"), server.parameter("host")];
        if names
            .into_iter()
            .flatten()
            .any(|name| name.contains(['=', '@', '?']))
        {
            return Err(BadServer::Url);
        }
        Ok(server)
    }

    /// The schema that holds the tables.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// Whether the location has a password in it, or anything else that is secret.
    pub fn has_secrets(&self) -> bool {
        self.parameters.iter().any(|(key, _)| is_secret(key))
    }

    /// The location with its passwords. Only for another process of the same node.
    pub fn with_secrets(&self) -> String {
        self.url(|_| true)
    }

    /// The location without what may be a password, for processes that have no business with it.
    pub fn without_secrets(&self) -> String {
        self.url(|key| !is_secret(key))
    }

    /// The same location with a password that the environment gives, unless it has one.
    pub fn or_password(mut self, password: Option<String>) -> Server {
        if self.parameter("password").is_none() {
            let password = password.filter(|password| !password.is_empty());
            self.parameters
                .extend(password.map(|password| ("password".to_owned(), password)));
        }
        self
    }

    /// A location that is read as this one, with some of its parameters.
    fn url(&self, keep: impl Fn(&str) -> bool) -> String {
        // The user, a single host of plain letters, its port and the database stand where people expect them.
        let value = |key: &str| self.parameter(key).unwrap_or_default();
        let plain = |text: &str| {
            text.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
        };
        let in_front = plain(value("host")) && plain(value("port"));
        let mut url = "postgres://".to_owned();
        if !value("user").is_empty() {
            url.push_str(&format!("{}@", encode(value("user"))));
        }
        if in_front {
            url.push_str(value("host"));
            if !value("port").is_empty() {
                url.push_str(&format!(":{}", value("port")));
            }
        }
        url.push_str(&format!("/{}", encode(value("dbname"))));
        let shown =
            |key: &str| ["user", "dbname"].contains(&key) || in_front && ["host", "port"].contains(&key);
        let rest = self.parameters.iter().filter(|(key, _)| !shown(key) && keep(key));
        let mut query: Vec<String> = rest
            .map(|(key, value)| format!("{key}={}", encode(value)))
            .collect();
        if self.schema != SCHEMA {
            query.push(format!("schema={}", self.schema));
        }
        if !query.is_empty() {
            url.push_str(&format!("?{}", query.join("&")));
        }
        url
    }

    /// What libpq connects with, perhaps with a password.
    pub fn conninfo(&self) -> String {
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

/// Splits a URL before its parameters, where libpq does: a password may have a question mark in it. Refuses what libpq would
/// take apart in the middle of a password, so that a part of it would be shown as the host, the port or the database.
fn split_query(url: &str) -> Result<(&str, &str), BadServer> {
    let (_, rest) = url.split_once("://").ok_or(BadServer::Url)?;
    let after_user = match rest.find(['@', '/']) {
        Some(end) if rest[end..].starts_with('@') => &rest[end + 1..],
        _ => rest,
    };
    let (place, query) = after_user.split_once('?').unwrap_or((after_user, ""));
    if place.contains('@') || place.matches(['/', '#']).count() > 1 {
        return Err(BadServer::Url);
    }
    let end = url.len() - after_user.len() + place.len();
    Ok((&url[..end], query))
}

fn is_secret(key: &str) -> bool {
    SECRETS.contains(&key)
}

/// A text as a part of a URL.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(byte.into()),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
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

    /// However a password is written that libpq takes for one, it is nowhere but where it belongs; and where libpq would take
    /// a part of it for something else, the location is refused.
    #[test]
    fn a_password_of_any_characters_is_used_and_never_shown() {
        for (url, password) in [
            ("postgres://u:pw?Zebra@h/d", "pw?Zebra"),
            (
                "postgres://u:pw?schema=Zebra@h:1/d?schema=work",
                "pw?schema=Zebra",
            ),
            ("postgres://u:%40%2F%3F%26Zebra@h/d", "@/?&Zebra"),
            ("postgres://u:Zebra:x@h/d", "Zebra:x"),
            ("postgres://u:Zebra#x@h/d", "Zebra#x"),
            ("postgres://u:Zebra&x=y@h1,h2:2/d", "Zebra&x=y"),
            ("postgresql://h/d?user=u&password=Zebra%26x", "Zebra&x"),
            ("postgres:///d?host=%2Ftmp&password=Zebra", "Zebra"),
            ("postgres://u:Zebra@[::1]:5/d", "Zebra"),
            ("postgres://u:Zebra@", "Zebra"),
            ("postgres://u@h/d?sslpassword=Zebra&oauth_client_secret=Zebra", ""),
        ] {
            let server = Server::parse(url).unwrap_or_else(|bad| panic!("{url}: {bad:?}"));
            assert!(server.has_secrets());
            assert_eq!(
                server.parameter("password").unwrap_or_default(),
                password,
                "{url}"
            );
            let harmless = server.without_secrets();
            for shown in [
                &harmless,
                &server.to_string(),
                &format!("{server:?}"),
                &server.folder_name(),
            ] {
                assert!(!shown.contains("Zebra"), "{url}: {shown}");
            }
            // What jobs are told is the same place, and what the node itself is told is all of it.
            let mut without = server.clone();
            without.parameters.retain(|(key, _)| !is_secret(key));
            let sorted = |mut server: Server| {
                server.parameters.sort();
                server
            };
            assert_eq!(
                sorted(Server::parse(&harmless).unwrap()),
                sorted(without),
                "{url}"
            );
            let all = Server::parse(&server.with_secrets()).unwrap();
            assert_eq!(sorted(all), sorted(server), "{url}");
        }
        for url in [
            "postgres://u:p@Zebra@h/d",
            "postgres://u:p/Zebra@h/d",
            "postgres://u:1/Zebra@h/d",
            "postgres://u:p@h/d@Zebra",
            "postgres://h/d?password=Zebra&x",
            "postgres://u:%zzZebra@h/d",
            "postgres://h/postgres%3A%2F%2Fu%3AZebra@h",
            "postgres://h/d?dbname=host%3Dh%20password%3DZebra",
            "postgres://u:Zebra",
        ] {
            let error = Server::parse(url).map_err(|bad| crate::StoreError::BadServer(bad).to_string());
            assert!(!error.expect_err(url).contains("Zebra"));
        }
        let server = Server::parse("postgres://u@h/d").unwrap();
        assert!(!server.has_secrets());
        let given = server.clone().or_password(Some("Zebra".to_owned()));
        assert_eq!(given.parameter("password"), Some("Zebra"));
        let own = given.or_password(Some("other".to_owned()));
        assert_eq!(own.parameter("password"), Some("Zebra"));
        assert_eq!(server.clone().or_password(None), server);
    }

    #[test]
    fn what_libpq_cannot_read_and_odd_schemas_are_refused() {
        assert_eq!(Server::parse("postgres://h/d?nonsense=1"), Err(BadServer::Url));
        assert_eq!(Server::parse("postgres://[h/d"), Err(BadServer::Url));
        for port in ["0", "65536", "99999", "abc", "-1", "1,b:x"] {
            let url = format!("postgres://h:{port}/d");
            assert_eq!(Server::parse(&url), Err(BadServer::Port), "{port}");
        }
        assert!(Server::parse("postgres://a:1,b:2/d").is_ok(), "the control");
        for schema in ["", "Upper", "pg_x", "a-b", "public", "1a", &"x".repeat(49)] {
            let url = format!("postgres://h/d?schema={schema}");
            assert_eq!(Server::parse(&url), Err(BadServer::Schema), "{schema}");
        }
    }
}
