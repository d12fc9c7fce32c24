//! What can be asked for, and who may: one table, from which the router is made.

use std::sync::Arc;

use crate::access::allow;
use crate::api::{accepts, change, events, health, jobs, logs, queues, tokens};
use crate::bulk;
use crate::guard::guard;
use crate::pages;
use crate::problem::Problem;
use crate::route::{ADMIN, DELETE, ENQUEUE, GET, NOTHING, OPERATE, POST, READ, Route, route};
use crate::state::Server;
use crate::stream::BODY_BYTES;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use http::{HeaderMap, StatusCode};

/// The routes of the API.
static ROUTES: &[Route] = &[
    route(GET, "/healthz", NOTHING, || get(health::lives)),
    route(GET, "/readyz", NOTHING, || get(health::is_ready)),
    route(GET, "/api/v1/openapi.json", NOTHING, || get(health::openapi)),
    route(GET, "/api/v1/status", READ, || get(queues::status)),
    route(GET, "/api/v1/queues", READ, || get(queues::list)),
    route(GET, "/api/v1/queues/{queue}", READ, || get(queues::show)),
    route(POST, "/api/v1/queues/{queue}/pause", OPERATE, || {
        post(queues::pause)
    }),
    route(POST, "/api/v1/queues/{queue}/resume", OPERATE, || {
        post(queues::resume)
    }),
    route(GET, "/api/v1/nodes", READ, || get(queues::nodes)),
    route(GET, "/api/v1/events", READ, || get(events::events)),
    route(GET, "/api/v1/jobs", READ, || get(jobs::list)),
    route(POST, "/api/v1/jobs", ENQUEUE, || post(bulk::enqueue)),
    route(GET, "/api/v1/jobs/{job}", READ, || get(jobs::show)),
    route(DELETE, "/api/v1/jobs/{job}", OPERATE, || delete(change::purge)),
    route(GET, "/api/v1/jobs/{job}/explain", READ, || get(jobs::explain)),
    route(GET, "/api/v1/jobs/{job}/logs", READ, || get(logs::logs)),
    route(POST, "/api/v1/jobs/{job}/{change}", OPERATE, || {
        post(change::change)
    }),
    route(GET, "/api/v1/tokens", ADMIN, || get(tokens::list)),
    route(POST, "/api/v1/tokens", ADMIN, || post(tokens::add)),
    route(DELETE, "/api/v1/tokens/{token}", ADMIN, || delete(tokens::revoke)),
];

/// Returns all routes, those of the API and those of the dashboard.
pub fn all() -> impl Iterator<Item = &'static Route> {
    ROUTES.iter().chain(pages::ROUTES)
}

/// Returns what answers requests.
pub fn router(server: &Arc<Server>) -> Router {
    let mut router = Router::new();
    for Route {
        path, needs, handler, ..
    } in all()
    {
        let allowed = from_fn_with_state((Arc::clone(server), *needs), allow);
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
