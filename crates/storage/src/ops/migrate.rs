//! Bringing the schema up to date, and saying beforehand what that would do.
//!
//! A file is brought up to date whenever a newer queuectl opens it. A schema on a server, which nodes of an older version
//! may be using on other machines, only when somebody asks for it, and only while no node runs.

use crate::backend::OpenMode;
use crate::{Location, Store, StoreError, postgres, sqlite};

/// A step from one version of the schema to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    /// The version that it makes.
    pub version: i32,
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub sql: &'static str,
}

macro_rules! migrations {
    ($dialect:literal: $($version:literal $name:literal),*) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!("../../../../migrations/", $dialect, "/", $name, "/up.sql")),
        }),*]
    };
}

const SQLITE: &[Migration] = migrations!("sqlite": 1 "2026-11-24-000001_initial", 2 "2026-11-25-000002_flat",
    3 "2026-11-25-000003_stable", 4 "2026-11-25-000004_sums", 5 "2026-11-28-000005_checked",
    6 "2026-11-28-000006_queues");
const POSTGRES: &[Migration] = migrations!("postgres": 1 "2026-11-24-000001_initial", 2 "2026-11-25-000002_flat",
    3 "2026-11-25-000003_stable", 4 "2026-11-25-000004_sums", 5 "2026-11-28-000005_checked",
    6 "2026-11-28-000006_queues");

/// What a schema is and what it can become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrated {
    /// The version that it has; none if there is no store yet.
    pub version: Option<i32>,
    /// What is missing, in its order.
    pub missing: Vec<Migration>,
}

/// Looks which migrations a store lacks; changes nothing.
///
/// # Errors
/// [`StoreError`] if it is not a store, or newer than this version.
pub fn migrations(location: &Location) -> Result<Migrated, StoreError> {
    let (version, all) = match location {
        Location::Sqlite(path) => (sqlite::open::version(path)?, SQLITE),
        Location::Postgres(place) => (postgres::open::version(&place.server)?, POSTGRES),
    };
    let missing = all.iter().filter(|step| Some(step.version) > version).copied();
    Ok(Migrated {
        version,
        missing: missing.collect(),
    })
}

/// Brings the schema up to date, or makes it.
///
/// # Errors
/// [`StoreError::NodesLive`] on a server while a node runs.
pub fn migrate(location: &Location) -> Result<(), StoreError> {
    match location {
        Location::Sqlite(_) => Store::open(location, OpenMode::Create).map(drop),
        Location::Postgres(place) => postgres::open::migrate(&place.server),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_migration_is_known_by_name() {
        for (known, all, newest) in [
            ("sqlite", SQLITE, sqlite::open::SCHEMA_VERSION),
            ("postgres", POSTGRES, postgres::open::SCHEMA_VERSION),
        ] {
            let folder = format!("{}/../../migrations/{known}", env!("CARGO_MANIFEST_DIR"));
            let mut names: Vec<String> = std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            assert_eq!(all.iter().map(|step| step.name).collect::<Vec<_>>(), names);
            assert_eq!(all.last().unwrap().version, newest);
        }
    }
}
