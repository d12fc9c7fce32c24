//! The queues, one queue, and pausing it.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use queuectl_core::QueueName;
use queuectl_frontend::load;
use queuectl_pages::{Section, in_path, render};
use serde::Deserialize;

use super::answer::{Answer, Failed, Page, To, form, frame};
use super::jobs::Did;
use crate::api::queues::{self, PauseBody};
use crate::api::{Named, named};
use crate::problem::Problem;
use crate::state::Server;

pub async fn list(State(server): State<Arc<Server>>) -> Answer {
    let read = server.stores.ask(|store| {
        let now = store.now()?;
        Ok((load::queues(store, now)?, now))
    });
    let (queues, now) = read.await?;
    let frame = frame(&server, now, None);
    let main = queuectl_pages::queues(&frame, &queues);
    Ok(Page(render(&frame, Section::Queues, "Queues", &main)))
}

pub async fn show(
    State(server): State<Arc<Server>>,
    Named(queue): Named<String>,
    did: Result<Query<Did>, QueryRejection>,
) -> Answer {
    let Query(did) = did.map_err(|error| Problem::usage(error.body_text()))?;
    let queue: QueueName = named(&queue)?;
    let title = format!("Queue {queue}");
    let read = server.stores.ask(move |store| {
        let now = store.now()?;
        Ok((load::queue(store, &queue, now)?, now))
    });
    let (queue, now) = read.await?;
    let frame = frame(&server, now, did.did.as_deref());
    let main = queuectl_pages::one_queue(&frame, &queue);
    Ok(Page(render(&frame, Section::Queues, &title, &main)))
}

/// What the form says; an empty field is one that was not filled in.
#[derive(Deserialize)]
pub struct PauseForm {
    #[serde(default)]
    reason: String,
    #[serde(default, rename = "for")]
    time: String,
}

pub async fn pause(
    State(server): State<Arc<Server>>,
    Named(queue): Named<String>,
    request: Request,
) -> Result<To, Failed> {
    let queue: QueueName = named(&queue)?;
    let asked: PauseForm = form(&server, request).await?;
    let filled = |text: String| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let asked = PauseBody {
        reason: filled(asked.reason),
        time: filled(asked.time),
    };
    queues::pause_one(&server, queue.clone(), asked).await?;
    Ok(To(format!("/queues/{}?did=pause", in_path(queue.as_str()))))
}

pub async fn resume(State(server): State<Arc<Server>>, Named(queue): Named<String>) -> Result<To, Failed> {
    let queue: QueueName = named(&queue)?;
    let did = match queues::resume_one(&server, queue.clone()).await? {
        true => "resume",
        false => "resumed",
    };
    Ok(To(format!("/queues/{}?did={did}", in_path(queue.as_str()))))
}
