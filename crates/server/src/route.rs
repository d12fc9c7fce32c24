//! A line of the table of routes.

use std::sync::Arc;

use axum::routing::MethodRouter;

use crate::state::Server;

/// What a request needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// To look.
    Read,
    /// To store jobs.
    Enqueue,
    /// To change jobs and queues.
    Operate,
}

pub type Handler = MethodRouter<Arc<Server>>;

/// A path, what it needs, and what answers.
pub type Route = (&'static str, Needs, fn() -> Handler);
