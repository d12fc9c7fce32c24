//! A store in an SQLite file.

use std::path::{Path, PathBuf};
use std::time::Duration;

use diesel::prelude::*;
use queuectl_core::settings::Durability;
use queuectl_core::{NodeId, Timestamp, ValidJob};

use super::known::Known;
use super::pair::Watch;
use super::{claim, control_requests, cycle, log, maintenance, number, open};
use crate::backend::{After, Backend, CheckReport, ControlRequests, Db, OpenMode, Place, Verify, write};
use crate::clock::StoreClock;
use crate::env::{self, Guard};
use crate::error::Problem;
use crate::limits::{self, Sweep};
use crate::os::{self, WakePipe};
use crate::outcome;
use crate::schema::nodes;
use crate::state_dir::{Lane, NodeGuard, StateDir, WriteLock};
use crate::types::cycle::{Cycle, CycleResult, Queues};
use crate::types::jobs::has_keys;
use crate::types::nodes::{NewNode, Node, Wake, WakeListener, WakeSource};
use crate::types::pause::NEVER_PAUSED;
use crate::types::placed::Placed;
use crate::{Location, StoreError};

/// A connection to a file.
pub struct SqliteBackend {
    conn: Db,
    path: PathBuf,
    state_dir: StateDir,
    /// Whether there is no file, and so no other writer.
    in_memory: bool,
    used: Used,
    watch: Option<Watch>,
    /// At which moment queues are paused, if not now.
    pauses_at: Option<Timestamp>,
    /// How far its looks at the keys of limits are.
    sweep: Sweep,
    known: Known,
    /// The change marker when it was asked whether others wrote.
    marker: Option<i64>,
}

/// What the connection was used for so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Used {
    Read,
    Written,
    /// It is a node's, which leaves a file that is whole without its log.
    Served,
}

impl Drop for SqliteBackend {
    fn drop(&mut self) {
        self.end();
    }
}

impl SqliteBackend {
    /// Does what counts when the connection goes: the log does not grow without end.
    fn end(&mut self) {
        let Ok(conn) = self.conn.sqlite() else { return };
        if self.used > Used::Read {
            log::leave(conn, self.used == Used::Served);
        }
        env::leave_connection(&self.path, conn);
    }

    /// Opens a file.
    ///
    /// # Errors
    /// [`StoreError`] says what stands in the way.
    pub fn open(path: &Path, mode: OpenMode) -> Result<SqliteBackend, StoreError> {
        let (conn, watch) = open::open(path, mode).map_err(|error| explain(error, path))?;
        let mut backend = SqliteBackend::new(conn, path, false);
        backend.watch = Some(watch);
        Ok(backend)
    }

    /// A store in memory, in the place of the file that is not there yet.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn empty(location: &Location) -> Result<SqliteBackend, StoreError> {
        let mut backend = SqliteBackend::new(open::empty()?, location.file().unwrap_or(Path::new("")), true);
        backend.state_dir = StateDir::new(location);
        Ok(backend)
    }

    fn new(conn: SqliteConnection, path: &Path, in_memory: bool) -> SqliteBackend {
        SqliteBackend {
            conn: Db::from(conn),
            path: path.to_owned(),
            state_dir: StateDir::new(&Location::Sqlite(path.to_owned())),
            in_memory,
            used: Used::Read,
            watch: None,
            pauses_at: None,
            sweep: Sweep::default(),
            known: Known::default(),
            marker: None,
        }
    }

    fn sqlite(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.conn()?.sqlite()
    }
}

impl Backend for SqliteBackend {
    /// SQLite would free each table and index of the schema on its own, only for the process to end. What else it does on
    /// closing, the system does: it closes the files, which releases their locks.
    fn leave(mut self: Box<Self>) {
        self.end();
        std::mem::forget(self);
    }

    fn conn(&mut self) -> Result<&mut Db, StoreError> {
        if let Some(watch) = &mut self.watch {
            watch.look()?;
        }
        Ok(&mut self.conn)
    }

    /// Writers of one file queue for a lock of their own before they ask SQLite for its write lock, because SQLite's busy
    /// handler lets single writers starve for seconds.
    fn begin_writing(&mut self, lane: Lane) -> Result<(&mut Db, Option<WriteLock>), StoreError> {
        self.conn()?;
        self.used = self.used.max(Used::Written);
        let lock = match self.in_memory {
            true => None,
            false => self.state_dir.lock_for_writing(lane),
        };
        Ok((&mut self.conn, lock))
    }

    fn explain(&self, error: StoreError) -> StoreError {
        explain(error, &self.path)
    }

    fn set_durability(&mut self, durability: Durability) -> Result<(), StoreError> {
        open::set_durability(self.sqlite()?, durability)
    }

    /// There is no server.
    fn end_when_idle(&mut self, _: Duration) -> Result<(), StoreError> {
        Ok(())
    }

    fn change_marker(&mut self) -> Result<i64, StoreError> {
        open::pragma(self.sqlite()?, "data_version")
    }

    fn others_wrote(&mut self) -> bool {
        let Ok(marker) = self.change_marker() else {
            return false;
        };
        self.marker.replace(marker).is_some_and(|last| last != marker)
    }

    fn clock(&mut self) -> Result<StoreClock, StoreError> {
        self.conn()?;
        Ok(StoreClock::system())
    }

    fn wake_all(&mut self, _: Wake) {
        self.state_dir.wake_all();
    }

    fn identity(&mut self, fresh: u64) -> Result<u64, StoreError> {
        self.conn()?;
        self.state_dir.identity(fresh)
    }

    fn number(&mut self) -> Result<Option<String>, StoreError> {
        number::stored(self.sqlite()?)
    }

    fn own_number(&mut self) -> Result<String, StoreError> {
        if let Some(number) = self.number()? {
            return Ok(number);
        }
        write(self, Lane::User, |conn| {
            let conn = conn.sqlite()?;
            number::make(conn)?;
            Ok(number::stored(conn)?.unwrap_or_default())
        })
    }

    fn insert(
        &mut self,
        jobs: &[ValidJob],
        now: Timestamp,
        place: Place,
        after: &mut After<'_>,
    ) -> Result<Vec<Placed>, StoreError> {
        write(self, Lane::User, |conn| {
            limits::check(conn.sqlite()?, jobs)?;
            let placed = match has_keys(jobs) {
                true => place(conn, jobs, now)?,
                false => {
                    let ids = outcome::insert(conn, jobs, now)?;
                    ids.into_iter().map(Placed::new).collect()
                }
            };
            after(conn, &placed)?;
            Ok(placed)
        })
    }

    fn cycle(&mut self, cycle: &Cycle<'_>) -> Result<CycleResult, StoreError> {
        let moment = match env::is_disabled(Guard::Pauses) {
            true => NEVER_PAUSED,
            false => self.pauses_at.unwrap_or(cycle.now),
        };
        let mut sweep = std::mem::take(&mut self.sweep);
        let mut known = std::mem::take(&mut self.known);
        let done = write(self, Lane::Busy, |conn| {
            cycle::cycle(conn, cycle, moment, &mut sweep, &mut known)
        });
        self.sweep = sweep;
        if done.is_ok() {
            self.known = known;
        }
        done
    }

    fn has_ready(&mut self, queues: &Queues, moment: Timestamp) -> Result<bool, StoreError> {
        let moment = self.pauses_at.unwrap_or(moment);
        let conn = self.sqlite()?;
        let pauses = claim::pauses(conn, moment)?;
        // Whether they have room now, or later, unless they have none at all.
        let limited = pauses.limited(queues).into_iter();
        let caps: Vec<(String, u32)> = limited
            .map(|(queue, limit)| (queue, limit.running.unwrap_or(u32::MAX)))
            .filter(|(_, room)| *room > 0)
            .collect();
        Ok(!claim::ready(conn, queues, &pauses, &caps, 1)?.is_empty())
    }

    fn ignore_pauses(&mut self) {
        self.pauses_at = Some(NEVER_PAUSED);
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        Ok(cycle::next_due(self.sqlite()?)?.0)
    }

    fn control_requests(&mut self, node: NodeId) -> Result<ControlRequests, StoreError> {
        control_requests::read(self.conn()?, node)
    }

    fn enter_node(
        &mut self,
        node: &NewNode,
        _lease: Duration,
        now: Timestamp,
    ) -> Result<(NodeId, NodeGuard, WakeListener), StoreError> {
        self.used = Used::Served;
        // Only to look at; the write lock is taken while the connection is in use.
        let state_dir = self.state_dir.clone();
        write(self, Lane::User, |conn| {
            let id = insert_node(conn.sqlite()?, node, now)?;
            // Locked before the row is visible, so that no other node takes the new one for dead.
            let (guard, pipe) = state_dir.enter(id, &node.cookie)?;
            Ok((id, guard, WakeListener(Box::new(pipe))))
        })
    }

    fn heartbeat(&mut self, node: NodeId, now: Timestamp) -> Result<bool, StoreError> {
        write(self, Lane::User, |conn| {
            let row = diesel::update(nodes::table.find(node.0));
            Ok(row.set(nodes::heartbeat_at.eq(now.0)).execute(conn)? == 1)
        })
    }

    fn renew_lease(&mut self, _: NodeId, _: Duration) -> Result<bool, StoreError> {
        self.conn()?;
        Ok(true)
    }

    fn which_live(&mut self, nodes: &[Node]) -> Result<Vec<bool>, StoreError> {
        nodes.iter().map(|node| self.state_dir.lives(node.id)).collect()
    }

    fn node_lives(&mut self, node: NodeId) -> Result<bool, StoreError> {
        self.state_dir.lives(node)
    }

    fn take_over(&mut self, node: NodeId) -> Result<Option<NodeGuard>, StoreError> {
        self.state_dir.take_over(node)
    }

    fn spans_machines(&self) -> bool {
        false
    }

    fn check(&mut self, verify: Verify) -> Result<CheckReport, StoreError> {
        let second = maintenance::second_connection(&self.path)?;
        maintenance::check(self.conn()?, &second, verify)
    }

    fn bytes(&mut self) -> Result<u64, StoreError> {
        self.conn()?;
        Ok(maintenance::bytes(&self.path))
    }

    fn backup(&mut self, target: &Path) -> Result<bool, StoreError> {
        maintenance::backup(&maintenance::second_connection(&self.path)?, target)?;
        Ok(true)
    }

    fn compact(&mut self) -> Result<(), StoreError> {
        let _lock = self.state_dir.lock_for_writing(Lane::User);
        maintenance::compact(self.sqlite()?)
    }
}

/// A byte in the pipe says nothing more; a look costs next to nothing here.
impl WakeSource for WakePipe {
    fn wait(&mut self) -> std::io::Result<Wake> {
        WakePipe::wait(self).map(|()| Wake::Control)
    }
}

/// Stores a node's row.
fn insert_node(conn: &mut SqliteConnection, node: &NewNode, now: Timestamp) -> Result<NodeId, StoreError> {
    let id: i64 = diesel::insert_into(nodes::table)
        .values((
            nodes::cookie.eq(&node.cookie),
            nodes::host.eq(&node.host),
            nodes::pid.eq(i64::from(node.pid)),
            nodes::version.eq(&node.version),
            nodes::workers.eq(i32::try_from(node.workers).unwrap_or(i32::MAX)),
            nodes::concurrency.eq(i32::try_from(node.concurrency).unwrap_or(i32::MAX)),
            nodes::queues.eq(node.queues.to_stored()),
            nodes::started_at.eq(now.0),
            nodes::heartbeat_at.eq(now.0),
            nodes::stop_requested.eq(0),
        ))
        .returning(nodes::id)
        .get_result(conn)?;
    Ok(NodeId(id))
}

/// SQLite calls much an I/O error that has a plain cause in the file system; where there is one, the error names it.
fn explain(error: StoreError, path: &Path) -> StoreError {
    match error {
        StoreError::Database {
            problem: Problem::Io,
            detail,
        } => StoreError::Database {
            problem: os::cause_of_io_error(path).unwrap_or(Problem::Io),
            detail,
        },
        error => error,
    }
}
