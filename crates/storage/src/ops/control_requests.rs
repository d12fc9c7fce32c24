//! What other processes ask of a node, all of it in one look: to stop, to cancel jobs, to use other settings.

use diesel::prelude::*;
use queuectl_core::{JobId, NodeId, Settings, Timestamp};

use super::nodes::{StopRequest, stop_request};
use crate::clock::StoreClock;
use crate::connection::Db;
use crate::postgres::statements::Asks;
use crate::schema::nodes;
use crate::statements::CancelRequested;
use crate::{Store, StoreError};

/// What is asked of a node.
#[derive(Debug, Clone)]
pub struct ControlRequests {
    /// How urgently it was asked to stop; `None` also if it is not in the store any more.
    pub stop: StopRequest,
    /// The jobs among those that it runs whose cancellation was asked for, with their fencing tokens.
    pub cancel: Vec<(JobId, i64)>,
    /// The settings.
    pub settings: Settings,
    /// The clock that due times go by, as it was at that moment.
    pub clock: StoreClock,
}

impl Store {
    /// Looks what is asked of a node.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn control_requests(&mut self, node: NodeId) -> Result<ControlRequests, StoreError> {
        match self.conn()? {
            Db::Sqlite(_) => Ok(ControlRequests {
                stop: self.stop_requested(node)?,
                cancel: self.cancel_requested(node)?,
                settings: self.settings()?,
                clock: self.clock()?,
            }),
            // Each statement would cost a way to the server, before every claim of a node that waits.
            Db::Postgres(conn) => {
                let asks = Asks {
                    node_id: node.0,
                    runs_on: node.0,
                };
                type Row = (i64, Option<i16>, Vec<String>, Vec<String>, Vec<i64>, Vec<i64>);
                let (now, stop, keys, values, jobs, fences): Row = asks.get_result(conn)?;
                let stored = keys.iter().zip(&values);
                let jobs = jobs.into_iter().map(JobId);
                Ok(ControlRequests {
                    stop: stop_request(stop.unwrap_or(0)),
                    cancel: jobs.zip(fences).collect(),
                    settings: Settings::from_stored(
                        stored.map(|(key, value)| (key.as_str(), value.as_str())),
                    ),
                    clock: StoreClock::server(Timestamp(now)),
                })
            }
        }
    }

    fn stop_requested(&mut self, node: NodeId) -> Result<StopRequest, StoreError> {
        let code: Option<i16> = nodes::table
            .find(node.0)
            .select(nodes::stop_requested)
            .get_result(self.conn()?)
            .optional()?;
        Ok(stop_request(code.unwrap_or(0)))
    }

    fn cancel_requested(&mut self, node: NodeId) -> Result<Vec<(JobId, i64)>, StoreError> {
        let rows: Vec<(i64, i64)> = CancelRequested { node_id: node.0 }.load(self.conn()?)?;
        Ok(rows.into_iter().map(|(id, fence)| (JobId(id), fence)).collect())
    }
}
