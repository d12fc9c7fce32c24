//! Whether the server lives, and whether it can do its work.

use std::sync::Arc;

use axum::extract::State;
use queuectl_storage::Store;

use crate::problem::Problem;
use crate::state::Server;

/// It does, if it answers.
pub async fn lives() -> &'static str {
    "ok\n"
}

/// It can, if the store answers.
pub async fn is_ready(State(server): State<Arc<Server>>) -> Result<&'static str, Problem> {
    server.stores.ask(Store::now).await?;
    Ok("ok\n")
}
