//! Nodes: entering, heartbeats, being asked to stop, leaving, and finding the dead.

use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use diesel::dsl::exists;
use diesel::prelude::*;
use diesel::sqlite::SqliteConnection;
use queuectl_core::{JobId, NodeId, QueueName, Timestamp};

use super::cycle::Queues;
use crate::connection::Db;
use crate::postgres::listen::Notifications;
use crate::rows::{JobRow, count};
use crate::schema::{jobs, nodes};
use crate::sqlite::os::WakePipe;
use crate::sqlite::state_dir::NodeGuard;
use crate::store::Used;
use crate::words::Words;
use crate::{Location, Store, StoreError, postgres};

/// A node about to enter.
#[derive(Debug, Clone)]
pub struct NewNode {
    /// Marks every process that the node starts; unique in the world.
    pub cookie: String,
    /// The machine's name.
    pub host: String,
    /// The dispatcher's process id.
    pub pid: u32,
    /// The version of queuectl.
    pub version: String,
    /// Worker processes.
    pub workers: u32,
    /// Jobs per worker process.
    pub concurrency: u32,
    /// The queues it serves.
    pub queues: Queues,
}

/// How urgently a node was asked to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StopRequest {
    /// Not at all.
    None = 0,
    /// Let running jobs finish.
    Gracefully = 1,
    /// Stop running jobs.
    Now = 2,
}

/// A node as the store knows it.
#[derive(Debug, Clone)]
pub struct Node {
    /// Its number.
    pub id: NodeId,
    /// Marks every process that it started.
    pub cookie: String,
    /// The machine's name.
    pub host: String,
    /// The dispatcher's process id.
    pub pid: i64,
    /// The version of queuectl.
    pub version: String,
    /// Worker processes.
    pub workers: u32,
    /// Jobs per worker process.
    pub concurrency: u32,
    /// The queues it serves; empty for all.
    pub queues: Vec<String>,
    /// When it entered.
    pub started_at: Timestamp,
    /// Its newest heartbeat.
    pub heartbeat_at: Timestamp,
    /// Whether it was asked to stop.
    pub stop: StopRequest,
}

#[derive(Queryable, Selectable, Insertable)]
#[diesel(table_name = nodes, treat_none_as_default_value = false)]
pub(crate) struct NodeRow {
    pub id: i64,
    #[diesel(deserialize_as = Words)]
    pub cookie: String,
    #[diesel(deserialize_as = Words)]
    pub host: String,
    pid: i64,
    #[diesel(deserialize_as = Words)]
    version: String,
    workers: i32,
    concurrency: i32,
    #[diesel(deserialize_as = Words)]
    queues: String,
    started_at: i64,
    heartbeat_at: i64,
    stop_requested: i16,
}

impl From<NodeRow> for Node {
    fn from(row: NodeRow) -> Node {
        Node {
            id: NodeId(row.id),
            cookie: row.cookie,
            host: row.host,
            pid: row.pid,
            version: row.version,
            workers: count(row.workers),
            concurrency: count(row.concurrency),
            queues: serde_json::from_str(&row.queues).unwrap_or_default(),
            started_at: Timestamp(row.started_at),
            heartbeat_at: Timestamp(row.heartbeat_at),
            stop: stop_request(row.stop_requested),
        }
    }
}

pub(crate) fn stop_request(code: i16) -> StopRequest {
    match code {
        0 => StopRequest::None,
        1 => StopRequest::Gracefully,
        _ => StopRequest::Now,
    }
}

impl Store {
    /// The number of this store, which no other store has; `fresh` becomes it if it has none yet.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn identity(&mut self, fresh: u64) -> Result<u64, StoreError> {
        match self.conn()? {
            Db::Sqlite(_) => self.state_dir.identity(fresh),
            Db::Postgres(conn) => {
                Ok(postgres::open::number(conn, "SELECT identity FROM store")?.unsigned_abs())
            }
        }
    }

    /// Enters a node. It counts as alive while the guard is held.
    ///
    /// # Errors
    /// [`StoreError::Database`] or [`StoreError::File`]; the node did not enter then.
    pub fn enter_node(
        &mut self,
        node: &NewNode,
        now: Timestamp,
    ) -> Result<(NodeId, NodeGuard, WakeListener), StoreError> {
        let names: &[QueueName] = match &node.queues {
            Queues::All => &[],
            Queues::Only(names) => names,
        };
        let queues = serde_json::to_string(names).unwrap_or_default();
        let lease = self.settings()?.lease;
        let place = match self.location() {
            Location::Sqlite(_) => None,
            Location::Postgres(place) => Some(place.server.clone()),
        };
        // Only to look at; the lock is taken while the connection is in use.
        let state_dir = self.state_dir.clone();
        self.used = Used::Served;
        self.write(|conn| match (conn, place) {
            (Db::Postgres(conn), Some(server)) => {
                let id = postgres::lease::enter(conn, node, &queues, lease)?;
                let guard = state_dir.lock(id, &node.cookie)?;
                let channel = postgres::lease::channel(conn)?;
                Ok((
                    id,
                    guard,
                    WakeListener::Notifications(Notifications::new(&server, channel)),
                ))
            }
            (Db::Sqlite(conn), _) => {
                let id = insert(conn, node, &queues, now)?;
                // Locked before the row can be seen, so that nobody takes the newborn for dead.
                let (guard, pipe) = state_dir.enter(id, &node.cookie)?;
                Ok((id, guard, WakeListener::Pipe(pipe)))
            }
            (Db::Postgres(_), None) => Err(StoreError::Missing),
        })
    }

    /// Renews a node's heartbeat, and its lease if it has one. False if the node was declared dead meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn heartbeat(&mut self, node: NodeId, now: Timestamp) -> Result<bool, StoreError> {
        let beat = self.write(|conn| match conn {
            Db::Sqlite(conn) => {
                let row = diesel::update(nodes::table.find(node.0));
                Ok(row.set(nodes::heartbeat_at.eq(now.0)).execute(conn)? == 1)
            }
            Db::Postgres(conn) => postgres::lease::renew(conn, node, None),
        });
        #[cfg(feature = "sim")]
        crate::sim::tell(crate::sim::Seen::Heartbeat(node, beat.as_ref()));
        beat
    }

    /// Renews a node's lease on a database whose nodes have one; it lasts so long from now on. False if the node was
    /// declared dead meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn renew_lease(&mut self, node: NodeId, lease: Duration) -> Result<bool, StoreError> {
        match self.conn()? {
            Db::Sqlite(_) => Ok(true),
            Db::Postgres(conn) => postgres::lease::renew(conn, node, Some(lease)),
        }
    }

    /// Asks one node, or all, to stop. A request is never softened. Returns the nodes that were asked.
    ///
    /// # Errors
    /// [`StoreError::NoSuchNode`].
    pub fn request_stop(
        &mut self,
        node: Option<NodeId>,
        request: StopRequest,
    ) -> Result<Vec<NodeId>, StoreError> {
        let code = request as i16;
        let asked: Vec<i64> = self.write(|conn| {
            let mut query = nodes::table.select(nodes::id).into_boxed();
            if let Some(node) = node {
                query = query.filter(nodes::id.eq(node.0));
            }
            let ids: Vec<i64> = query.order(nodes::id).load(conn)?;
            diesel::update(
                nodes::table
                    .filter(nodes::id.eq_any(&ids))
                    .filter(nodes::stop_requested.lt(code)),
            )
            .set(nodes::stop_requested.eq(code))
            .execute(conn)?;
            Ok(ids)
        })?;
        match node {
            Some(node) if asked.is_empty() => return Err(StoreError::NoSuchNode(node.0)),
            _ => self.wake_all(Wake::Control),
        }
        Ok(asked.into_iter().map(NodeId).collect())
    }

    /// All nodes in the store, the dead ones too.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn nodes(&mut self) -> Result<Vec<Node>, StoreError> {
        let rows: Vec<NodeRow> = nodes::table
            .order(nodes::id)
            .select(NodeRow::as_select())
            .load(self.conn()?)?;
        Ok(rows.into_iter().map(Node::from).collect())
    }

    /// All nodes in the store, each with whether it lives. However many there are, that is two questions to a server.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::File`].
    pub fn nodes_with_lives(&mut self) -> Result<Vec<(Node, bool)>, StoreError> {
        let nodes = self.nodes()?;
        let leases = self.leases_held()?;
        let mut looked = Vec::with_capacity(nodes.len());
        for node in nodes {
            let lives = match &leases {
                None => self.state_dir.lives(node.id)?,
                Some(held) => held.contains(&node.id.0) && !self.state_dir.is_gone(node.id, &node.cookie)?,
            };
            looked.push((node, lives));
        }
        Ok(looked)
    }

    /// All nodes in the store, each with whether [`Store::take_over`] may find it dead. On a server, to which each of those
    /// is a question, that is known beforehand; a lock is simply tried.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::File`].
    pub fn nodes_to_take_over(&mut self) -> Result<Vec<(Node, bool)>, StoreError> {
        if let Location::Sqlite(_) = self.location() {
            return Ok(self.nodes()?.into_iter().map(|node| (node, true)).collect());
        }
        let looked = self.nodes_with_lives()?.into_iter();
        Ok(looked.map(|(node, lives)| (node, !lives)).collect())
    }

    /// The nodes on a server whose leases hold; none on SQLite.
    fn leases_held(&mut self) -> Result<Option<HashSet<i64>>, StoreError> {
        match self.conn()? {
            Db::Postgres(conn) => postgres::lease::held(conn).map(Some),
            Db::Sqlite(_) => Ok(None),
        }
    }

    /// Takes over a node if it is dead; none while it lives. Its jobs are the caller's to rescue while the guard
    /// is held.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn take_over(&mut self, node: NodeId) -> Result<Option<NodeGuard>, StoreError> {
        #[cfg(feature = "sim")]
        if crate::sim::is_disabled(crate::sim::Guard::Lease) {
            return Ok(Some(NodeGuard::without_lock()));
        }
        match self.location() {
            Location::Sqlite(_) => self.state_dir.take_over(node),
            Location::Postgres(_) => {
                let Some((cookie, lives)) = self.mark_and_lease(node)? else {
                    return Ok(None);
                };
                // A process of this machine that let go of its lock is dead, whatever its lease says.
                let lock = self.state_dir.take_lock(node, &cookie)?;
                let known_dead = lock.is_some();
                if lives && !known_dead {
                    return Ok(None);
                }
                let taken = self.write(|conn| match conn {
                    Db::Postgres(conn) => postgres::lease::take_over(conn, node, known_dead),
                    Db::Sqlite(_) => Ok(false),
                })?;
                let guard = lock.unwrap_or_else(NodeGuard::without_lock);
                if !taken {
                    guard.let_go();
                    return Ok(None);
                }
                Ok(Some(guard))
            }
        }
    }

    /// Whether a node lives. Looks only; what a dead node left behind is for [`Store::take_over`].
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn node_lives(&mut self, node: NodeId) -> Result<bool, StoreError> {
        if let Location::Sqlite(_) = self.location() {
            return self.state_dir.lives(node);
        }
        match self.mark_and_lease(node)? {
            Some((cookie, true)) => Ok(!self.state_dir.is_gone(node, &cookie)?),
            _ => Ok(false),
        }
    }

    /// The mark of a node on a server, and whether its lease holds.
    fn mark_and_lease(&mut self, node: NodeId) -> Result<Option<(String, bool)>, StoreError> {
        match self.conn()? {
            Db::Postgres(conn) => postgres::lease::look(conn, node),
            Db::Sqlite(_) => Ok(None),
        }
    }

    /// The jobs that a node has claimed and not given back, with the flag whether cancellation was asked for.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn jobs_of_node(&mut self, node: NodeId) -> Result<Vec<RunningJob>, StoreError> {
        jobs_of(self.conn()?, node)
    }

    /// The same for a node that asks about itself, because its last cycle failed and may have been stored all the same:
    /// it has these jobs and no others, and no cycle of it is under way any more, on any connection. None if the node was
    /// taken over or is not there any more.
    ///
    /// # Errors
    /// [`StoreError::Database`], also if a cycle that the server still believes to be under way does not end.
    pub fn settle(&mut self, node: NodeId) -> Result<Option<Vec<RunningJob>>, StoreError> {
        let is_there = |conn: &mut Db| match conn {
            Db::Sqlite(_) => Ok(true),
            Db::Postgres(conn) => postgres::lease::settle(conn, node),
        };
        self.write(|conn| {
            if !is_there(conn)? {
                return Ok(None);
            }
            Ok(Some(jobs_of(conn, node)?))
        })
    }

    /// Removes a node that has given back all its jobs. One that has not stays, and false is returned: without it nobody
    /// would ever rescue them.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn leave_node(&mut self, node: NodeId) -> Result<bool, StoreError> {
        let left = self.write(|conn| {
            if let Db::Postgres(conn) = conn {
                // For the lock: no cycle of it is under way any more.
                postgres::lease::settle(conn, node)?;
            }
            let has_jobs = diesel::select(exists(jobs::table.filter(jobs::node_id.eq(node.0))));
            if has_jobs.get_result(conn)? {
                return Ok(false);
            }
            diesel::delete(nodes::table.find(node.0)).execute(conn)?;
            Ok(true)
        })?;
        if left {
            self.state_dir.forget(node);
        }
        // Others may wait for this node's end.
        self.wake_all(Wake::Jobs);
        Ok(left)
    }
}

fn jobs_of(conn: &mut Db, node: NodeId) -> Result<Vec<RunningJob>, StoreError> {
    let rows: Vec<JobRow> = jobs::table
        .filter(jobs::node_id.eq(node.0))
        .order(jobs::id)
        .select(JobRow::as_select())
        .load(conn)?;
    Ok(rows.into_iter().map(RunningJob::from).collect())
}

/// Stores a node's row on SQLite.
fn insert(
    conn: &mut SqliteConnection,
    node: &NewNode,
    queues: &str,
    now: Timestamp,
) -> Result<NodeId, StoreError> {
    let id: i64 = diesel::insert_into(nodes::table)
        .values((
            nodes::cookie.eq(&node.cookie),
            nodes::host.eq(&node.host),
            nodes::pid.eq(i64::from(node.pid)),
            nodes::version.eq(&node.version),
            nodes::workers.eq(i32::try_from(node.workers).unwrap_or(i32::MAX)),
            nodes::concurrency.eq(i32::try_from(node.concurrency).unwrap_or(i32::MAX)),
            nodes::queues.eq(queues),
            nodes::started_at.eq(now.0),
            nodes::heartbeat_at.eq(now.0),
            nodes::stop_requested.eq(0),
        ))
        .returning(nodes::id)
        .get_result(conn)?;
    Ok(NodeId(id))
}

/// Why nodes are woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// There may be jobs to run.
    Jobs,
    /// Something is asked of nodes, or it is not known why.
    Control,
}

impl Wake {
    /// How a notification of the server says it. What the schema's own functions send is empty.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Wake::Jobs => "",
            Wake::Control => "asked",
        }
    }
}

/// Waits for the wake-ups of one node.
pub enum WakeListener {
    /// By a pipe in the folder beside the file.
    #[doc(hidden)]
    Pipe(WakePipe),
    /// By the database server.
    #[doc(hidden)]
    Notifications(Notifications),
}

impl WakeListener {
    /// Has [`WakeListener::wait`] return before long once that is true, also while the server cannot be reached.
    pub fn end_with(&mut self, done: &Arc<AtomicBool>) {
        if let WakeListener::Notifications(listener) = self {
            listener.done = Arc::clone(done);
        }
    }

    /// Blocks until the node is woken; says why.
    ///
    /// # Errors
    /// The pipe broke; the node's poll interval is then its only way to notice work.
    pub fn wait(&mut self) -> io::Result<Wake> {
        match self {
            // A byte says nothing more; a look costs next to nothing there.
            WakeListener::Pipe(pipe) => pipe.wait().map(|()| Wake::Control),
            WakeListener::Notifications(listener) => Ok(listener.wait()),
        }
    }
}

/// A job that a node has claimed: what is needed to decide what becomes of it.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields are those of queuectl_core::Job")]
pub struct RunningJob {
    pub id: JobId,
    pub fence: i64,
    pub attempts: u32,
    pub system_failures: u32,
    pub max_retries: Option<u32>,
    pub backoff_base: Option<f64>,
    pub cancel_requested: bool,
    pub executor: String,
    pub started_at: Option<Timestamp>,
}

impl From<JobRow> for RunningJob {
    fn from(row: JobRow) -> RunningJob {
        RunningJob {
            id: JobId(row.id),
            fence: row.fence,
            attempts: count(row.attempts),
            system_failures: count(row.system_failures),
            max_retries: row.max_retries.map(count),
            backoff_base: row.backoff_base,
            cancel_requested: row.cancel_requested,
            executor: row.executor,
            started_at: row.started_at.map(Timestamp),
        }
    }
}
