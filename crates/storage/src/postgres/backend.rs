//! A store in a schema of a PostgreSQL server.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use diesel::prelude::*;
use queuectl_core::settings::Durability;
use queuectl_core::{NodeId, Timestamp, ValidJob};

use super::claim::{ClaimCursor, ClaimOnly, outlook, ready_of};
use super::commit::{Fate, Transaction, fate};
use super::listen::Notifications;
use super::statements::Claiming;
use super::{check, control_requests, cycle, enqueue, lease, open};
use crate::backend::{After, Backend, CheckReport, ControlRequests, Db, OpenMode, Place, Verify, write};
use crate::clock::StoreClock;
use crate::limits::{self, Sweep};
use crate::location::PostgresLocation;
use crate::location::server::Server;
use crate::state_dir::{Lane, NodeGuard, StateDir, WriteLock};
use crate::types::cycle::{Cycle, CycleResult, Queues};
use crate::types::jobs::has_keys;
use crate::types::nodes::{NewNode, Node, Wake, WakeListener};
use crate::types::pause::NEVER_PAUSED;
use crate::types::placed::Placed;
use crate::{Location, StoreError, env, outcome};

/// How long a server that went away in the middle of a commit is asked again what became of it, and the first and the
/// longest pause between two questions.
const ASK_MOST: Duration = Duration::from_secs(60);
const PAUSE_FIRST: Duration = Duration::from_millis(50);
const PAUSE_MOST: Duration = Duration::from_secs(1);
/// How long a pause of a queue waits for claims that are under way, and between two looks.
const SETTLE_MOST: Duration = Duration::from_secs(2);
const SETTLE_PAUSE: Duration = Duration::from_millis(5);

/// A connection to a server.
pub struct PostgresBackend {
    conn: Db,
    server: Server,
    /// The folder on this machine.
    state_dir: StateDir,
    /// The clock as it was when the connection was made, for the first who asks.
    clock: Option<StoreClock>,
    /// Set when the connection must be replaced before its next use.
    broken: Arc<AtomicBool>,
    durability: Durability,
    /// How long the server keeps the connection if nothing is asked, if there is an end to that.
    idle: Option<Duration>,
    /// Where claims begin.
    cursor: ClaimCursor,
    /// At which moment queues are paused, if not now.
    pauses_at: Option<Timestamp>,
    /// How far its looks at the keys of limits are.
    sweep: Sweep,
}

impl PostgresBackend {
    /// Connects to a store.
    ///
    /// # Errors
    /// [`StoreError`] says what stands in the way.
    pub fn open(location: &PostgresLocation, mode: OpenMode) -> Result<PostgresBackend, StoreError> {
        let broken = Arc::new(AtomicBool::new(false));
        let (conn, now) = open::open(&location.server, mode, &broken)?;
        Ok(PostgresBackend {
            conn: Db::from(conn),
            server: location.server.clone(),
            state_dir: StateDir::new(&Location::Postgres(location.clone())),
            clock: now.map(StoreClock::server),
            broken,
            durability: Durability::Full,
            idle: None,
            cursor: ClaimCursor::default(),
            pauses_at: None,
            sweep: Sweep::default(),
        })
    }

    fn postgres(&mut self) -> Result<&mut PgConnection, StoreError> {
        self.conn()?.postgres()
    }

    /// A cycle that has nothing to do but claim is a single statement, if that can do it.
    fn claim_only(
        &mut self,
        cycle: &Cycle<'_>,
        moment: Timestamp,
        cursor: &mut ClaimCursor,
    ) -> Result<Option<CycleResult>, StoreError> {
        let Some(single) = ClaimOnly::look(self.postgres()?, cycle, moment, cursor)? else {
            return Ok(None);
        };
        let claim = |conn: &mut Db| single.claim(conn.postgres()?, cycle, cursor);
        // A single statement is a transaction by itself; faults need one that can be ended.
        let done = match env::FAULTS {
            true => self.conn()?.write(claim),
            false => claim(self.conn()?),
        };
        done.map(Some)
    }

    /// Has what a single statement claimed hold its keys, and claims more where there was no room. Nothing of it has been
    /// handed to a worker yet.
    fn admit(
        &mut self,
        cycle: &Cycle<'_>,
        moment: Timestamp,
        done: CycleResult,
        cursor: &mut ClaimCursor,
        sweep: &mut Sweep,
    ) -> Result<CycleResult, StoreError> {
        if done.claimed.iter().all(|job| job.limits.is_none()) {
            return Ok(done);
        }
        write(self, Lane::Busy, |db| {
            cycle::admit(db.postgres()?, cycle, moment, done, cursor, sweep)
        })
    }

    /// Finds out whether a transaction was stored whose commit was not answered; `error` is what came instead.
    fn find_out(&mut self, transaction: Transaction, error: StoreError) -> Result<(), StoreError> {
        let until = Instant::now() + ASK_MOST;
        let mut pause = PAUSE_FIRST;
        loop {
            let found = self.postgres().and_then(|conn| fate(conn, transaction));
            let why = match found {
                Ok(Fate::Committed) => return Ok(()),
                Ok(Fate::Aborted) => return Err(error),
                // A connection that the server does not know yet to be lost.
                Ok(Fate::Open) if Instant::now() < until => None,
                Err(error) if error.is_outage() && Instant::now() < until => None,
                Ok(_) => Some(error.to_string()),
                Err(later) => Some(later.to_string()),
            };
            if let Some(detail) = why {
                return Err(StoreError::MaybeStored { detail });
            }
            sleep(pause);
            pause = (pause * 2).min(PAUSE_MOST);
        }
    }
}

impl Backend for PostgresBackend {
    /// The server is told, or it would take the client for lost.
    fn leave(self: Box<Self>) {}

    fn conn(&mut self) -> Result<&mut Db, StoreError> {
        if self.broken.load(Ordering::Relaxed) {
            let (mut conn, now) = open::open(&self.server, OpenMode::MustExist, &self.broken)?;
            let durability = open::set_durability(&mut conn, self.durability);
            (self.conn, self.clock) = (Db::from(conn), now.map(StoreClock::server));
            durability?;
            if let Some(most) = self.idle {
                open::end_when_idle(self.conn.postgres()?, most)?;
            }
        }
        Ok(&mut self.conn)
    }

    fn begin_writing(&mut self, _: Lane) -> Result<(&mut Db, Option<WriteLock>), StoreError> {
        Ok((self.conn()?, None))
    }

    fn set_durability(&mut self, durability: Durability) -> Result<(), StoreError> {
        self.durability = durability;
        open::set_durability(self.postgres()?, durability)
    }

    fn end_when_idle(&mut self, most: Duration) -> Result<(), StoreError> {
        self.idle = Some(most);
        open::end_when_idle(self.postgres()?, most)
    }

    /// Whatever becomes visible changes what a snapshot sees.
    fn change_marker(&mut self) -> Result<i64, StoreError> {
        open::number(
            self.postgres()?,
            "hashtextextended(pg_current_snapshot()::text, 0)",
        )
    }

    fn clock(&mut self) -> Result<StoreClock, StoreError> {
        if let Some(clock) = self.clock.take() {
            return Ok(clock);
        }
        let now = open::number(self.postgres()?, "now_ms()")?;
        Ok(StoreClock::server(Timestamp(now)))
    }

    fn wake_all(&mut self, wake: Wake) {
        if let Ok(conn) = self.conn.postgres() {
            let _ = lease::notify(conn, wake);
        }
    }

    fn identity(&mut self, _: u64) -> Result<u64, StoreError> {
        Ok(open::number(self.postgres()?, "SELECT identity FROM store")?.unsigned_abs())
    }

    fn number(&mut self) -> Result<Option<String>, StoreError> {
        self.own_number().map(Some)
    }

    fn own_number(&mut self) -> Result<String, StoreError> {
        Ok(format!("{:016x}", self.identity(0)?))
    }

    fn insert(
        &mut self,
        jobs: &[ValidJob],
        now: Timestamp,
        place: Place,
        after: &mut After<'_>,
    ) -> Result<Vec<Placed>, StoreError> {
        // What the transaction is about to commit.
        let mut asked = None;
        let stored = write(self, Lane::User, |conn| {
            limits::check(conn.postgres()?, jobs)?;
            if jobs.iter().any(|job| !job.limit.is_empty()) {
                outcome::lock_parents(conn, jobs)?;
            }
            let (placed, transaction) = match has_keys(jobs) {
                true => {
                    let placed = place(conn, jobs, now)?;
                    let transaction = enqueue::transaction(conn.postgres()?, jobs, &placed, now)?;
                    (placed, transaction)
                }
                false => {
                    let (ids, transaction) = enqueue::insert_all(conn.postgres()?, jobs, now)?;
                    outcome::enqueued(conn, jobs, &ids, now)?;
                    (ids.into_iter().map(Placed::new).collect(), transaction)
                }
            };
            after(conn, &placed)?;
            asked = transaction.map(|transaction| (placed.clone(), transaction));
            Ok(placed)
        });
        match (stored, asked) {
            (Err(error), Some((placed, transaction))) if error.is_outage() => {
                self.find_out(transaction, error)?;
                Ok(placed)
            }
            (stored, _) => stored,
        }
    }

    fn cycle(&mut self, cycle: &Cycle<'_>) -> Result<CycleResult, StoreError> {
        let mut cursor = std::mem::take(&mut self.cursor);
        let mut sweep = std::mem::take(&mut self.sweep);
        let moment = self.pauses_at.unwrap_or(cycle.now);
        let done = match self.claim_only(cycle, moment, &mut cursor) {
            Ok(None) => write(self, Lane::Busy, |conn| {
                cycle::cycle(conn, cycle, moment, &mut cursor, &mut sweep)
            }),
            Ok(Some(done)) => self.admit(cycle, moment, done, &mut cursor, &mut sweep),
            Err(error) => Err(error),
        };
        self.cursor = cursor;
        self.sweep = sweep;
        done
    }

    fn has_ready(&mut self, queues: &Queues, moment: Timestamp) -> Result<bool, StoreError> {
        self.conn()?;
        let moment = self.pauses_at.unwrap_or(moment);
        let ahead = outlook(self.conn.postgres()?, queues, moment, 1, &self.cursor)?;
        // Whether they have room now, or later, unless they have none at all.
        let limited = ahead.pauses.limited(queues).into_iter();
        let limited = limited.filter(|(_, limit)| limit.running != Some(0));
        let limited: Vec<(String, u32)> = limited.map(|(queue, _)| (queue, 1)).collect();
        Ok(!ahead.ready.is_empty() || !ready_of(self.conn.postgres()?, &limited)?.is_empty())
    }

    /// A claim that does not end by then belongs to a node that does not go on; or it is no claim, but an application that
    /// takes its time to store a job.
    fn settle_claims(&mut self) -> Result<(), StoreError> {
        let look = |conn: &mut PgConnection| -> Result<BTreeSet<String>, StoreError> {
            let found: Vec<(String,)> = Claiming {}.load(conn)?;
            Ok(found.into_iter().map(|(transaction,)| transaction).collect())
        };
        let until = Instant::now() + SETTLE_MOST;
        let mut left = look(self.postgres()?)?;
        while !left.is_empty() && Instant::now() < until {
            sleep(SETTLE_PAUSE);
            let now = look(self.postgres()?)?;
            left.retain(|transaction| now.contains(transaction));
        }
        Ok(())
    }

    fn ignore_pauses(&mut self) {
        self.pauses_at = Some(NEVER_PAUSED);
    }

    fn next_due(&mut self) -> Result<Option<Timestamp>, StoreError> {
        cycle::next_due(self.postgres()?)
    }

    fn control_requests(&mut self, node: NodeId) -> Result<ControlRequests, StoreError> {
        control_requests::read(self.postgres()?, node)
    }

    fn enter_node(
        &mut self,
        node: &NewNode,
        lease: Duration,
        _: Timestamp,
    ) -> Result<(NodeId, NodeGuard, WakeListener), StoreError> {
        let (state_dir, server) = (self.state_dir.clone(), self.server.clone());
        write(self, Lane::User, |conn| {
            let conn = conn.postgres()?;
            let id = lease::enter(conn, node, lease)?;
            let guard = state_dir.lock(id, &node.cookie)?;
            let channel = lease::channel(conn)?;
            let listener = Notifications::new(&server, channel);
            Ok((id, guard, WakeListener(Box::new(listener))))
        })
    }

    fn heartbeat(&mut self, node: NodeId, _: Timestamp) -> Result<bool, StoreError> {
        write(self, Lane::User, |conn| {
            lease::renew(conn.postgres()?, node, None)
        })
    }

    fn renew_lease(&mut self, node: NodeId, lease: Duration) -> Result<bool, StoreError> {
        lease::renew(self.postgres()?, node, Some(lease))
    }

    /// However many there are, that is one question to the server.
    fn which_live(&mut self, nodes: &[Node]) -> Result<Vec<bool>, StoreError> {
        let held = lease::held(self.postgres()?)?;
        let lives =
            |node: &Node| Ok(held.contains(&node.id.0) && !self.state_dir.is_gone(node.id, &node.cookie)?);
        nodes.iter().map(lives).collect()
    }

    fn node_lives(&mut self, node: NodeId) -> Result<bool, StoreError> {
        match lease::look(self.postgres()?, node)? {
            Some((cookie, true)) => Ok(!self.state_dir.is_gone(node, &cookie)?),
            _ => Ok(false),
        }
    }

    fn take_over(&mut self, node: NodeId) -> Result<Option<NodeGuard>, StoreError> {
        let Some((cookie, lives)) = lease::look(self.postgres()?, node)? else {
            return Ok(None);
        };
        // A process of this machine that let go of its lock is dead, whatever its lease says.
        let lock = self.state_dir.take_lock(node, &cookie)?;
        let known_dead = lock.is_some();
        if lives && !known_dead {
            return Ok(None);
        }
        let taken = write(self, Lane::User, |conn| {
            lease::take_over(conn.postgres()?, node, known_dead)
        })?;
        let guard = lock.unwrap_or_else(NodeGuard::without_lock);
        if !taken {
            guard.let_go();
            return Ok(None);
        }
        Ok(Some(guard))
    }

    fn spans_machines(&self) -> bool {
        true
    }

    fn check(&mut self, verify: Verify) -> Result<CheckReport, StoreError> {
        let mut report = check::check(self.postgres()?)?;
        report.damage = self.conn()?.snapshot(verify)?;
        Ok(report)
    }

    fn bytes(&mut self) -> Result<u64, StoreError> {
        check::bytes(self.postgres()?)
    }

    fn backup(&mut self, _: &Path) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn compact(&mut self) -> Result<(), StoreError> {
        check::compact(self.postgres()?)
    }

    fn set_long_claims(&mut self, long: Duration, pause: Duration) {
        (self.cursor.long, self.cursor.pause) = (long, pause);
    }
}
