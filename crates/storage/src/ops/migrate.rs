//! Bringing the schema up to date, and saying beforehand what that would do.
//!
//! A file is brought up to date whenever a newer queuectl opens it. A schema on a server, which nodes of an older version
//! may be using on other machines, only when somebody asks for it, and only while no node runs.

use crate::backend::OpenMode;
use crate::migrations::{Migration, POSTGRES, SQLITE};
use crate::{Location, Store, StoreError, postgres, sqlite};

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
