//! What can be asked for, and who may: one table, from which the router is made.

use std::sync::Arc;

use crate::api::{accepts, change, events, health, jobs, logs, queues};
use crate::bulk;
use crate::guard::guard;
use crate::pages;
use crate::problem::Problem;
use crate::route::{Needs, Route};
use crate::state::Server;
use crate::stream::BODY_BYTES;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use http::{HeaderMap, StatusCode};

/// All routes.
pub const ROUTES: [Route; 16] = [
    ("/healthz", Needs::Read, || get(health::lives)),
    ("/readyz", Needs::Read, || get(health::is_ready)),
    ("/api/v1/status", Needs::Read, || get(queues::status)),
    ("/api/v1/queues", Needs::Read, || get(queues::list)),
    ("/api/v1/queues/{queue}", Needs::Read, || get(queues::show)),
    ("/api/v1/queues/{queue}/pause", Needs::Operate, || {
        post(queues::pause)
    }),
    ("/api/v1/queues/{queue}/resume", Needs::Operate, || {
        post(queues::resume)
    }),
    ("/api/v1/nodes", Needs::Read, || get(queues::nodes)),
    ("/api/v1/events", Needs::Read, || get(events::events)),
    ("/api/v1/jobs", Needs::Read, || get(jobs::list)),
    ("/api/v1/jobs", Needs::Enqueue, || post(bulk::enqueue)),
    ("/api/v1/jobs/{job}", Needs::Read, || get(jobs::show)),
    ("/api/v1/jobs/{job}", Needs::Operate, || delete(change::purge)),
    ("/api/v1/jobs/{job}/explain", Needs::Read, || get(jobs::explain)),
    ("/api/v1/jobs/{job}/logs", Needs::Read, || get(logs::logs)),
    ("/api/v1/jobs/{job}/{change}", Needs::Operate, || {
        post(change::change)
    }),
];

/// Returns what answers requests.
pub fn router(server: &Arc<Server>) -> Router {
    let mut router = Router::new();
    for (path, needs, handler) in ROUTES.into_iter().chain(pages::ROUTES) {
        let allowed = from_fn_with_state((Arc::clone(server), needs), allow);
        router = router.route(path, handler().route_layer(allowed));
    }
    router
        .fallback(lost)
        .method_not_allowed_fallback(|| async {
            Problem::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "usage",
                "this path does not support that method",
            )
        })
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn_with_state(Arc::clone(server), guard))
        .with_state(Arc::clone(server))
}

/// Says that there is nothing there, to people or to programs.
async fn lost(headers: HeaderMap) -> Response {
    if accepts(&headers, "text/html") {
        return pages::lost();
    }
    let detail = "there is nothing here; the API is below /api/v1";
    Problem::new(StatusCode::NOT_FOUND, "not_found", detail).into_response()
}

/// Lets those through who may.
async fn allow(
    State((server, needs)): State<(Arc<Server>, Needs)>,
    request: Request,
    next: Next,
) -> Response {
    if server.readonly && needs != Needs::Read {
        let detail = "this server only shows the queue; it was started with --readonly";
        return Problem::new(StatusCode::FORBIDDEN, "readonly", detail).into_response();
    }
    next.run(request).await
}
