//! Whether the server lives, whether it can do its work, and what that is.

use std::sync::Arc;

use axum::extract::State;
use axum::response::IntoResponse;
use http::header::CONTENT_TYPE;
use queuectl_storage::Store;

use crate::problem::Problem;
use crate::state::Server;

/// It does, if it answers.
pub async fn lives() -> &'static str {
    "ok\n"
}

/// What can be asked for. A test makes the document.
pub async fn openapi() -> impl IntoResponse {
    const DOCUMENT: &str = include_str!("../../../../docs/openapi.json");
    ([(CONTENT_TYPE, "application/json")], DOCUMENT)
}

/// It can, if the store answers.
pub async fn is_ready(State(server): State<Arc<Server>>) -> Result<&'static str, Problem> {
    server.stores.ask(Store::now).await?;
    Ok("ok\n")
}
