//! What other processes ask of a node: five reads of a file, which cost next to nothing.

use diesel::prelude::*;
use queuectl_core::{JobId, NodeId, Timestamp};

use crate::StoreError;
use crate::backend::statements::{CancelRequested, NextTick, SignalsFor};
use crate::backend::{ControlRequests, Db};
use crate::clock::StoreClock;
use crate::rows;
use crate::schema::nodes;
use crate::types::nodes::{SignalRequest, stop_request};

/// Looks what is asked of a node.
pub fn read(conn: &mut Db, node: NodeId) -> Result<ControlRequests, StoreError> {
    let code: Option<i16> = nodes::table
        .find(node.0)
        .select(nodes::stop_requested)
        .get_result(conn)
        .optional()?;
    let cancel: Vec<(i64, i64)> = CancelRequested { node_id: node.0 }.load(conn)?;
    let cancel = cancel.into_iter().map(|(id, fence)| (JobId(id), fence));
    let next_tick: Option<(i64,)> = NextTick {}.get_result(conn).optional()?;
    let signals = SignalsFor { node_id: node.0 }.load(conn)?;
    Ok(ControlRequests {
        stop: stop_request(code.unwrap_or(0)),
        cancel: cancel.collect(),
        signals: signals.into_iter().map(SignalRequest::new).collect(),
        settings: rows::settings(conn)?,
        clock: StoreClock::system(),
        next_tick: next_tick.map(|(due,)| Timestamp(due)),
    })
}
