//! Nodes: entering, heartbeats, being asked to stop, leaving, and finding the dead.

use std::path::PathBuf;
use std::time::Duration;

use diesel::dsl::exists;
use diesel::prelude::*;
use queuectl_core::{JobId, NodeId, Timestamp};

use crate::backend::Db;
use crate::rows::{JobRow, NodeRow};
use crate::schema::{jobs, nodes};
use crate::state_dir::{NodeGuard, StateDir};
use crate::types::nodes::{NewNode, Node, RunningJob, StopRequest, Wake, WakeListener};
use crate::types::readable::count;
use crate::{Store, StoreError, env};

impl Store {
    /// The number of this store, which no other store has; `fresh` becomes it if it has none yet.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn identity(&mut self, fresh: u64) -> Result<u64, StoreError> {
        self.backend.identity(fresh)
    }

    /// Makes the folder beside the store if it is missing, and returns where it is.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn make_folder(&self) -> Result<PathBuf, StoreError> {
        StateDir::new(self.location()).make()?;
        Ok(self.location().state_dir())
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
        let lease = self.settings()?.lease;
        self.backend.enter_node(node, lease, now)
    }

    /// Renews a node's heartbeat, and its lease if it has one. False if the node was declared dead meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn heartbeat(&mut self, node: NodeId, now: Timestamp) -> Result<bool, StoreError> {
        self.backend.heartbeat(node, now)
    }

    /// Renews a node's lease on a database whose nodes have one; it lasts `lease` from now. Returns false if the node
    /// was declared dead meanwhile.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn renew_lease(&mut self, node: NodeId, lease: Duration) -> Result<bool, StoreError> {
        self.backend.renew_lease(node, lease)
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
        let live = self.backend.which_live(&nodes)?;
        Ok(nodes.into_iter().zip(live).collect())
    }

    /// All nodes in the store, each with whether [`Store::take_over`] may find it dead. On a server, to which each of those
    /// is a question, that is known beforehand; a lock is simply tried.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::File`].
    pub fn nodes_to_take_over(&mut self) -> Result<Vec<(Node, bool)>, StoreError> {
        if !self.backend.spans_machines() {
            return Ok(self.nodes()?.into_iter().map(|node| (node, true)).collect());
        }
        let looked = self.nodes_with_lives()?.into_iter();
        Ok(looked.map(|(node, lives)| (node, !lives)).collect())
    }

    /// Takes over a node if it is dead; none while it lives. Its jobs are the caller's to rescue while the guard
    /// is held.
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn take_over(&mut self, node: NodeId) -> Result<Option<NodeGuard>, StoreError> {
        match env::ignores_leases() {
            true => Ok(Some(NodeGuard::without_lock())),
            false => self.backend.take_over(node),
        }
    }

    /// Whether a node lives. Looks only; what a dead node left behind is for [`Store::take_over`].
    ///
    /// # Errors
    /// [`StoreError::File`].
    pub fn node_lives(&mut self, node: NodeId) -> Result<bool, StoreError> {
        self.backend.node_lives(node)
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
        self.write(|conn| {
            if !conn.dialect().lock_node(node)? {
                return Ok(None);
            }
            Ok(Some(jobs_of(conn, node)?))
        })
    }

    /// Removes a node that has given back all its jobs. Returns false and keeps the node if it has not: other nodes
    /// rescue jobs by the node that had them.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn leave_node(&mut self, node: NodeId) -> Result<bool, StoreError> {
        let left = self.write(|conn| {
            // No cycle of it is under way any more.
            conn.dialect().lock_node(node)?;
            let has_jobs = diesel::select(exists(jobs::table.filter(jobs::node_id.eq(node.0))));
            if has_jobs.get_result(conn)? {
                return Ok(false);
            }
            diesel::delete(nodes::table.find(node.0)).execute(conn)?;
            Ok(true)
        })?;
        if left {
            StateDir::new(self.location()).forget(node);
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

impl From<JobRow> for RunningJob {
    fn from(row: JobRow) -> RunningJob {
        RunningJob {
            id: JobId(row.id),
            queue: row.queue,
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
