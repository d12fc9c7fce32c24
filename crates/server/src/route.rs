//! A line of the table of routes.

use std::sync::Arc;

use axum::routing::MethodRouter;
use http::Method;
use queuectl_core::Role;

use crate::caller::Needs;
use crate::state::Server;

pub const GET: Method = Method::GET;
pub const POST: Method = Method::POST;
pub const DELETE: Method = Method::DELETE;

pub const NOTHING: Needs = Needs::Nothing;
pub const READ: Needs = Needs::Role(Role::Read);
pub const ENQUEUE: Needs = Needs::Role(Role::Enqueue);
pub const OPERATE: Needs = Needs::Role(Role::Operate);
pub const ADMIN: Needs = Needs::Role(Role::Admin);

pub type Handler = MethodRouter<Arc<Server>>;

/// What can be asked for.
pub struct Route {
    /// The method; HEAD is asked for like GET.
    pub method: Method,
    /// The path, with the names of its parts in braces.
    pub path: &'static str,
    /// What it needs.
    pub needs: Needs,
    /// What answers.
    pub handler: fn() -> Handler,
}

pub const fn route(method: Method, path: &'static str, needs: Needs, handler: fn() -> Handler) -> Route {
    Route {
        method,
        path,
        needs,
        handler,
    }
}
