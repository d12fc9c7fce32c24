//! What other processes ask of a node: one statement as a rule, since each would cost a round trip to the server before every claim
//! of a node that waits.

use diesel::prelude::*;
use queuectl_core::{JobId, NodeId, Settings, Timestamp};

use super::statements::{Asks, SignalsFor};
use crate::StoreError;
use crate::backend::ControlRequests;
use crate::clock::StoreClock;
use crate::types::nodes::{SignalRequest, stop_request};

/// Looks what is asked of a node.
pub fn read(conn: &mut PgConnection, node: NodeId) -> Result<ControlRequests, StoreError> {
    let asks = Asks {
        node_id: node.0,
        runs_on: node.0,
    };
    type Row = (
        i64,
        Option<i16>,
        Option<i64>,
        Vec<String>,
        Vec<String>,
        Vec<i64>,
        Vec<i64>,
        bool,
    );
    let (now, stop, next_tick, keys, values, jobs, fences, has_signals): Row = asks.get_result(conn)?;
    let signals = match has_signals {
        true => SignalsFor { node_id: node.0 }.load(conn)?,
        false => Vec::new(),
    };
    let stored = keys.iter().zip(&values);
    let jobs = jobs.into_iter().map(JobId);
    Ok(ControlRequests {
        stop: stop_request(stop.unwrap_or(0)),
        cancel: jobs.zip(fences).collect(),
        signals: signals.into_iter().map(SignalRequest::new).collect(),
        settings: Settings::from_stored(stored.map(|(key, value)| (key.as_str(), value.as_str()))),
        clock: StoreClock::server(Timestamp(now)),
        next_tick: next_tick.map(Timestamp),
    })
}
