//! An open store: one connection, and the one way to change anything through it.

use diesel::sqlite::SqliteConnection;
use queuectl_core::settings::Durability;

use crate::error::Problem;
use crate::sqlite::{
    beside::{Beside, Lane},
    open, os,
};
use crate::{Location, StoreError};

/// What to do if there is no store at the location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// Make one.
    Create,
    /// Fail with [`StoreError::Missing`].
    MustExist,
}

/// One connection to a store. Not shared between threads: open another.
pub struct Store {
    pub(crate) conn: SqliteConnection,
    pub(crate) beside: Beside,
    location: Location,
}

impl Store {
    /// Opens the store, creates it if asked to, and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError`] says what stands in the way; nothing is changed in a file that is not a store of queuectl,
    /// is newer than this version, or is damaged.
    pub fn open(location: &Location, mode: OpenMode) -> Result<Store, StoreError> {
        let conn = open::open(location, mode).map_err(|error| explain(error, location))?;
        Ok(Store {
            conn,
            beside: Beside::new(location),
            location: location.clone(),
        })
    }

    /// Where the store is.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// Chooses how much a commit survives, for this connection.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn set_durability(&mut self, durability: Durability) -> Result<(), StoreError> {
        open::set_durability(&mut self.conn, durability)
    }

    /// A number that changes whenever another connection has changed the store; costs next to nothing to read.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn change_marker(&mut self) -> Result<i64, StoreError> {
        open::pragma(&mut self.conn, "data_version")
    }

    /// Runs `body` in one write transaction: all of it is stored, or nothing.
    ///
    /// Writers of one store take turns at a lock of their own before they ask SQLite for its write lock, because
    /// SQLite's busy handler lets single writers starve for seconds.
    pub(crate) fn write<T>(
        &mut self,
        body: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.write_from(Lane::User, body)
    }

    /// The same for those that write all the time, who queue apart from users.
    pub(crate) fn write_busily<T>(
        &mut self,
        body: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.write_from(Lane::Busy, body)
    }

    fn write_from<T>(
        &mut self,
        lane: Lane,
        body: impl FnOnce(&mut SqliteConnection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let _turn = self.beside.take_turn(lane);
        self.conn
            .immediate_transaction(body)
            .map_err(|error| explain(error, &self.location))
    }
}

/// SQLite calls much an I/O error that has a plain cause in the file system; where there is one, the error names it.
fn explain(error: StoreError, location: &Location) -> StoreError {
    match error {
        StoreError::Database {
            problem: Problem::Io,
            detail,
        } => StoreError::Database {
            problem: os::cause_of_io_error(location.path()).unwrap_or(Problem::Io),
            detail,
        },
        error => error,
    }
}
