//! An open store: one backend, and the one way to change anything through it. What can be done with it is in `ops/`, which
//! adds methods.

use std::time::Duration;

use queuectl_core::settings::Durability;
use queuectl_core::{Clock, Timestamp};

use crate::backend::{self, Backend, Db, OpenMode};
use crate::clock::StoreClock;
use crate::postgres::PostgresBackend;
use crate::sqlite::SqliteBackend;
use crate::state_dir::Lane;
use crate::state_dir::outputs::Outputs;
use crate::types::nodes::Wake;
use crate::types::operation::Current;
use crate::{Location, StoreError};

/// One connection to a store. Not shared between threads: open another.
pub struct Store {
    pub(crate) backend: Box<dyn Backend>,
    location: Location,
    /// Found when it is first asked for.
    pub(crate) outputs: Option<Outputs>,
    /// Who uses it, if that was said.
    pub(crate) operator: Option<String>,
    /// The operation that its changes count as, if that was said.
    pub(crate) operation: Option<Current>,
}

impl Store {
    /// Opens the store and creates it if asked to. The schema of an SQLite file is brought up to date.
    ///
    /// # Errors
    /// [`StoreError`] says what stands in the way; nothing is changed in a file or schema that is not a store of
    /// queuectl, is newer than this version, or is damaged.
    pub fn open(location: &Location, mode: OpenMode) -> Result<Store, StoreError> {
        let backend: Box<dyn Backend> = match location {
            Location::Sqlite(path) => Box::new(SqliteBackend::open(path, mode)?),
            Location::Postgres(place) => Box::new(PostgresBackend::open(place, mode)?),
        };
        Ok(Store::over(backend, location))
    }

    /// What there is to read where no store is yet: nothing. It is in memory, and what is written into it is lost.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn empty(location: &Location) -> Result<Store, StoreError> {
        Ok(Store::over(Box::new(SqliteBackend::empty(location)?), location))
    }

    fn over(backend: Box<dyn Backend>, location: &Location) -> Store {
        Store {
            backend,
            location: location.clone(),
            outputs: None,
            operator: None,
            operation: None,
        }
    }

    /// Ends its use, as dropping does, in a process that is about to end: memory is left to the system.
    pub fn leave(self) {
        self.backend.leave();
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
        self.backend.set_durability(durability)
    }

    /// Has a server end this connection once nothing was asked over it for that long. A client can wait for the answer to a
    /// question that has never left: libpq does if a write fails and the connection stays open. The server then waits as well,
    /// and no other time limit counts. For those who ask more often than that, on PostgreSQL 14 and newer.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn end_when_idle(&mut self, most: Duration) -> Result<(), StoreError> {
        self.backend.end_when_idle(most)
    }

    /// A number that changes whenever another connection has changed the store; costs next to nothing to read.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn change_marker(&mut self) -> Result<i64, StoreError> {
        self.backend.change_marker()
    }

    /// The clock that due times go by.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn clock(&mut self) -> Result<StoreClock, StoreError> {
        self.backend.clock()
    }

    /// The time by that clock.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn now(&mut self) -> Result<Timestamp, StoreError> {
        Ok(self.clock()?.now())
    }

    /// Returns the connection, and reconnects to a server if it failed.
    pub(crate) fn conn(&mut self) -> Result<&mut Db, StoreError> {
        self.backend.conn()
    }

    /// Runs `body` in one write transaction: all of it is stored, or nothing.
    pub(crate) fn write<T>(
        &mut self,
        body: impl FnOnce(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        backend::write(self.backend.as_mut(), Lane::User, body)
    }

    /// The same for those that write all the time, who queue apart from users.
    pub(crate) fn write_busily<T>(
        &mut self,
        body: impl FnOnce(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        backend::write(self.backend.as_mut(), Lane::Busy, body)
    }

    /// Wakes every node of this store. What cannot be woken looks by itself before long.
    pub(crate) fn wake_all(&mut self, wake: Wake) {
        self.backend.wake_all(wake);
    }
}
