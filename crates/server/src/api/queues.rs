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
    pub reason: Option<String>,
    /// For how long, such as `2h`.
    #[serde(rename = "for")]
    pub time: Option<String>,
}

/// `queuectl queue:pause`.
pub async fn pause(
    State(server): State<Arc<Server>>,
    Named(queue): Named<String>,
    request: axum::extract::Request,
) -> Answer<QueueView> {
    let queue: QueueName = named(&queue)?;
    let asked: PauseBody = body(&server.room, request).await?;
    pause_one(&server, queue.clone(), asked).await?;
    Ok(Json(one(&server, queue).await?))
}

/// Pauses a queue.
pub async fn pause_one(server: &Server, queue: QueueName, asked: PauseBody) -> Result<(), Problem> {
    let reason = asked.reason.as_deref().map(parse_reason).transpose();
    let reason = reason.map_err(|error| Problem::usage(format!("reason: {error}")))?;
    let time = asked.time.as_deref().map(parse_duration).transpose();
    let time: Option<Duration> = time.map_err(|error| Problem::usage(format!("for: {error}")))?;
    let by = server.stores.operator();
    let paused = server.stores.ask(move |store| {
        let now = store.now()?;
        let pause = Pause {
            at: now,
            until: time.map(|time| now.after(time)),
            by,
            reason,
        };
        store.pause_queues(&[queue], &pause)
    });
    paused.await
}

/// `queuectl queue:resume`.
pub async fn resume(State(server): State<Arc<Server>>, Named(queue): Named<String>) -> Answer<QueueView> {
    let queue: QueueName = named(&queue)?;
    resume_one(&server, queue.clone()).await?;
    Ok(Json(one(&server, queue).await?))
}

/// Lets a queue go on. Returns whether it was paused.
pub async fn resume_one(server: &Server, queue: QueueName) -> Result<bool, Problem> {
    let resumed = server.stores.ask(move |store| {
        let now = store.now()?;
        store.resume_queues(&[queue], now)
    });
    Ok(resumed.await?.contains(&true))
}

/// `queuectl worker:list`.
pub async fn nodes(State(server): State<Arc<Server>>) -> Answer<Vec<NodeView>> {
    Ok(Json(server.stores.ask(load::nodes).await?))
}
