//! Which nodes live, by leases on the database's clock.
//!
//! A node renews its lease well before it expires. If it cannot, another node takes it over, and has one lease of the
//! dead node to rescue its jobs. A cycle holds the node's row, so that no node is taken over between
//! its claims and their commit.

use std::collections::HashSet;
use std::time::Duration;

use diesel::prelude::*;
use queuectl_core::NodeId;

use super::statements::{
    Channel, EnterNode, LeasesHeld, MarkAndLease, Notify, Renew, RenewAsBefore, SettleNode, TakeOver,
};
use crate::StoreError;
use crate::types::nodes::{NewNode, Wake};
use crate::types::text::storable;

fn ms(lease: Duration) -> i64 {
    i64::try_from(lease.as_millis()).unwrap_or(i64::MAX)
}

/// Enters a node whose first lease begins now.
pub fn enter(conn: &mut PgConnection, node: &NewNode, lease: Duration) -> Result<NodeId, StoreError> {
    let (id,) = EnterNode {
        cookie: node.cookie.clone(),
        host: storable(&node.host),
        pid: i64::from(node.pid),
        version: node.version.clone(),
        workers: i32::try_from(node.workers).unwrap_or(i32::MAX),
        concurrency: i32::try_from(node.concurrency).unwrap_or(i32::MAX),
        queues: node.queues.to_stored(),
        lease_ms: ms(lease),
    }
    .get_result::<(i64,)>(conn)?;
    Ok(NodeId(id))
}

/// Renews a lease. False if another node has taken this one over, or removed it.
pub fn renew(conn: &mut PgConnection, node: NodeId, lease: Option<Duration>) -> Result<bool, StoreError> {
    let renewed = match lease {
        Some(lease) => Renew {
            lease_ms: ms(lease),
            node_id: node.0,
        }
        .execute(conn)?,
        None => RenewAsBefore { node_id: node.0 }.execute(conn)?,
    };
    Ok(renewed == 1)
}

/// Takes over a node whose lease is over, or that is known to be dead. False if it lives or another has it.
pub fn take_over(conn: &mut PgConnection, node: NodeId, known_dead: bool) -> Result<bool, StoreError> {
    let node_id = node.0;
    Ok(TakeOver { node_id, known_dead }.execute(conn)? == 1)
}

/// Waits until no cycle of a node is under way, not even one whose connection was lost. False if another node has taken
/// it over, or removed it.
pub fn settle(conn: &mut PgConnection, node: NodeId) -> Result<bool, StoreError> {
    let taken_over = SettleNode { node_id: node.0 }
        .get_result::<(bool,)>(conn)
        .optional()?;
    Ok(taken_over == Some((false,)))
}

/// The mark of a node, and whether its lease holds; none if there is no such node.
pub fn look(conn: &mut PgConnection, node: NodeId) -> Result<Option<(String, bool)>, StoreError> {
    Ok(MarkAndLease { node_id: node.0 }.get_result(conn).optional()?)
}

/// The nodes whose leases hold.
pub fn held(conn: &mut PgConnection) -> Result<HashSet<i64>, StoreError> {
    let held: Vec<(i64,)> = LeasesHeld {}.load(conn)?;
    Ok(held.into_iter().map(|(id,)| id).collect())
}

/// Wakes the nodes that listen.
pub fn notify(conn: &mut PgConnection, wake: Wake) -> Result<(), StoreError> {
    let word = wake.word().to_owned();
    Notify { word }.execute(conn)?;
    Ok(())
}

/// The channel on which the nodes of this store are woken. Roles that have no business with the store do not know it.
pub fn channel(conn: &mut PgConnection) -> Result<String, StoreError> {
    let (channel,) = Channel {}.get_result::<(String,)>(conn)?;
    Ok(channel)
}
