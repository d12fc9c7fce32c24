//! An open store: one connection, and the one way to change anything through it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use queuectl_core::settings::Durability;
use queuectl_core::{Clock, Timestamp};

use crate::clock::StoreClock;
use crate::connection::Db;
use crate::error::Problem;
use crate::ops::nodes::Wake;
use crate::ops::number::Outputs;
use crate::postgres::claim::ClaimCursor;
use crate::sqlite::os;
use crate::sqlite::pair::Watch;
use crate::sqlite::state_dir::{Lane, StateDir};
use crate::{Location, StoreError, postgres, sqlite};

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
    conn: Db,
    /// The clock as it was when the connection was made, for the first who asks.
    clock: Option<StoreClock>,
    pub(crate) state_dir: StateDir,
    location: Location,
    /// Whether the connection to a server is to be made anew before it is used again.
    broken: Arc<AtomicBool>,
    durability: Durability,
    /// Where claims on a server begin.
    pub(crate) cursor: ClaimCursor,
    /// Whether there is no store at the location, and so no other writer.
    in_memory: bool,
    pub(crate) used: Used,
    /// Found when it is first asked for.
    pub(crate) outputs: Option<Outputs>,
    /// Only of a file.
    watch: Option<Watch>,
}

/// What a connection to a file was used for so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Used {
    Read,
    Written,
    /// It is a node's, who leaves a file that is whole without its log.
    Served,
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Db::Sqlite(conn) = &mut self.conn
            && self.used > Used::Read
        {
            sqlite::log::leave(conn, self.used == Used::Served);
        }
    }
}

impl Store {
    /// Opens the store and creates it if asked to. The schema of an SQLite file is brought up to date.
    ///
    /// # Errors
    /// [`StoreError`] says what stands in the way; nothing is changed in a file or schema that is not a store of
    /// queuectl, is newer than this version, or is damaged.
    pub fn open(location: &Location, mode: OpenMode) -> Result<Store, StoreError> {
        let broken = Arc::new(AtomicBool::new(false));
        let (conn, clock) = connect(location, mode, &broken)?;
        Ok(Store {
            conn,
            clock,
            state_dir: StateDir::new(location),
            location: location.clone(),
            broken,
            durability: Durability::Full,
            cursor: ClaimCursor::default(),
            in_memory: false,
            used: Used::Read,
            outputs: None,
            watch: location.file().and_then(Watch::new),
        })
    }

    /// What there is to read where no store is yet: nothing. It is in memory, and what is written into it is lost.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn empty(location: &Location) -> Result<Store, StoreError> {
        Ok(Store {
            conn: Db::Sqlite(sqlite::open::empty()?),
            clock: None,
            state_dir: StateDir::new(location),
            location: location.clone(),
            broken: Arc::new(AtomicBool::new(false)),
            durability: Durability::Full,
            cursor: ClaimCursor::default(),
            in_memory: true,
            used: Used::Read,
            outputs: None,
            watch: location.file().and_then(Watch::new),
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
        self.durability = durability;
        match self.conn()? {
            Db::Sqlite(conn) => sqlite::open::set_durability(conn, durability),
            Db::Postgres(conn) => postgres::open::set_durability(conn, durability),
        }
    }

    /// A number that changes whenever another connection has changed the store; costs next to nothing to read.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn change_marker(&mut self) -> Result<i64, StoreError> {
        match self.conn()? {
            Db::Sqlite(conn) => sqlite::open::pragma(conn, "data_version"),
            // Whatever becomes visible changes what a snapshot sees.
            Db::Postgres(conn) => {
                postgres::open::number(conn, "hashtextextended(pg_current_snapshot()::text, 0)")
            }
        }
    }

    /// The clock that due times go by.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn clock(&mut self) -> Result<StoreClock, StoreError> {
        if let Some(clock) = self.clock.take() {
            return Ok(clock);
        }
        Ok(match self.conn()? {
            Db::Sqlite(_) => StoreClock::system(),
            Db::Postgres(conn) => StoreClock::server(Timestamp(postgres::open::number(conn, "now_ms()")?)),
        })
    }

    /// The time by that clock.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn now(&mut self) -> Result<Timestamp, StoreError> {
        Ok(self.clock()?.now())
    }

    /// The connection. One to a server that failed is made anew.
    pub(crate) fn conn(&mut self) -> Result<&mut Db, StoreError> {
        if let Some(watch) = &mut self.watch {
            watch.look()?;
        }
        if self.broken.load(Ordering::Relaxed) {
            (self.conn, self.clock) = connect(&self.location, OpenMode::MustExist, &self.broken)?;
            if let Db::Postgres(conn) = &mut self.conn {
                postgres::open::set_durability(conn, self.durability)?;
            }
        }
        Ok(&mut self.conn)
    }

    /// Runs `body` in one write transaction: all of it is stored, or nothing.
    ///
    /// Writers of one SQLite file queue for a lock of their own before they ask SQLite for its write lock, because
    /// SQLite's busy handler lets single writers starve for seconds.
    pub(crate) fn write<T>(
        &mut self,
        body: impl FnOnce(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.write_from(Lane::User, body)
    }

    /// The same for those that write all the time, who queue apart from users.
    pub(crate) fn write_busily<T>(
        &mut self,
        body: impl FnOnce(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.write_from(Lane::Busy, body)
    }

    /// The same for a single statement on a server.
    pub(crate) fn write_once<T>(
        &mut self,
        body: impl FnOnce(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.conn()?.write_once(body)
    }

    fn write_from<T>(
        &mut self,
        lane: Lane,
        body: impl FnOnce(&mut Db) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.conn()?;
        self.used = self.used.max(Used::Written);
        let _lock = match &self.conn {
            Db::Sqlite(_) if !self.in_memory => self.state_dir.lock_for_writing(lane),
            _ => None,
        };
        self.conn
            .write(body)
            .map_err(|error| explain(error, &self.location))
    }

    /// Wakes every node of this store. What cannot be woken looks by itself before long.
    pub(crate) fn wake_all(&mut self, wake: Wake) {
        match &mut self.conn {
            Db::Postgres(conn) => {
                let _ = postgres::lease::notify(conn, wake);
            }
            Db::Sqlite(_) => self.state_dir.wake_all(),
        }
    }
}

fn connect(
    location: &Location,
    mode: OpenMode,
    broken: &Arc<AtomicBool>,
) -> Result<(Db, Option<StoreClock>), StoreError> {
    match location {
        Location::Sqlite(path) => sqlite::open::open(path, mode)
            .map(|conn| (Db::Sqlite(conn), None))
            .map_err(|error| explain(error, location)),
        Location::Postgres(place) => {
            let (conn, now) = postgres::open::open(&place.server, mode, broken)?;
            Ok((Db::Postgres(conn), now.map(StoreClock::server)))
        }
    }
}

/// SQLite calls much an I/O error that has a plain cause in the file system; where there is one, the error names it.
fn explain(error: StoreError, location: &Location) -> StoreError {
    match (error, location) {
        (
            StoreError::Database {
                problem: Problem::Io,
                detail,
            },
            Location::Sqlite(path),
        ) => StoreError::Database {
            problem: os::cause_of_io_error(path).unwrap_or(Problem::Io),
            detail,
        },
        (error, _) => error,
    }
}
