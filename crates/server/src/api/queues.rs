//! The queue as a whole, single queues and nodes.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use queuectl_core::{QueueName, parse_duration, parse_reason};
use queuectl_frontend::{load, status as whole};
use queuectl_storage::Pause;
use queuectl_views::{NodeView, QueueView, StatusView};
use serde::Deserialize;

use super::{Answer, Named, named};
use crate::problem::Problem;
use crate::state::Server;
use crate::stream::body;

/// `queuectl status`.
pub async fn status(State(server): State<Arc<Server>>) -> Answer<StatusView> {
    let load = |store: &mut queuectl_storage::Store| {
        let now = store.now()?;
        let mut view = whole::load(store, None, now)?;
        view.bytes = store.bytes()?;
        view.folder_bytes = store.folder_bytes();
        Ok(view)
    };
    Ok(Json(server.stores.ask(load).await?))
}

/// `queuectl queue:list`.
pub async fn list(State(server): State<Arc<Server>>) -> Answer<Vec<QueueView>> {
    let queues = server.stores.ask(|store| {
        let now = store.now()?;
        load::queues(store, now)
    });
    Ok(Json(queues.await?))
}

/// `queuectl queue:show`.
pub async fn show(State(server): State<Arc<Server>>, Named(queue): Named<String>) -> Answer<QueueView> {
    let queue = named(&queue)?;
    Ok(Json(one(&server, queue).await?))
}

async fn one(server: &Server, queue: QueueName) -> Result<QueueView, Problem> {
    let found = server.stores.ask(move |store| {
        let now = store.now()?;
        load::queue(store, &queue, now)
    });
    found.await
}

/// What a pause says.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PauseBody {
    /// Why, for those who see it.
    reason: Option<String>,
    /// For how long, such as `2h`.
    #[serde(rename = "for")]
    time: Option<String>,
}

/// `queuectl queue:pause`.
pub async fn pause(
    State(server): State<Arc<Server>>,
    Named(queue): Named<String>,
    request: axum::extract::Request,
) -> Answer<QueueView> {
    let queue: QueueName = named(&queue)?;
    let asked: PauseBody = body(&server.room, request).await?;
    let reason = asked.reason.as_deref().map(parse_reason).transpose();
    let reason = reason.map_err(|error| Problem::usage(format!("reason: {error}")))?;
    let time = asked.time.as_deref().map(parse_duration).transpose();
    let time: Option<Duration> = time.map_err(|error| Problem::usage(format!("for: {error}")))?;
    let (name, by) = (queue.clone(), server.stores.operator().to_owned());
    let paused = server.stores.ask(move |store| {
        let now = store.now()?;
        let pause = Pause {
            at: now,
            until: time.map(|time| now.after(time)),
            by,
            reason,
        };
        store.pause_queues(&[name], &pause)
    });
    paused.await?;
    Ok(Json(one(&server, queue).await?))
}

/// `queuectl queue:resume`.
pub async fn resume(State(server): State<Arc<Server>>, Named(queue): Named<String>) -> Answer<QueueView> {
    let queue: QueueName = named(&queue)?;
    let name = queue.clone();
    let resumed = server.stores.ask(move |store| {
        let now = store.now()?;
        store.resume_queues(&[name], now)
    });
    resumed.await?;
    Ok(Json(one(&server, queue).await?))
}

/// `queuectl worker:list`.
pub async fn nodes(State(server): State<Arc<Server>>) -> Answer<Vec<NodeView>> {
    Ok(Json(server.stores.ask(load::nodes).await?))
}
