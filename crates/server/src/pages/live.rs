//! What the script of the dashboard listens to: that something changed, and what a job prints.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_core::Stream;
use http::HeaderMap;
use queuectl_core::JobRef;
use queuectl_frontend::output::Tap;
use queuectl_pages::{Painter, attempt_end, printed_chunk};
use serde::Deserialize;
use tokio::sync::mpsc;

use super::answer::Failed;
use crate::api::{Named, named};
use crate::connections::told;
use crate::follow::{Heard, Told, follow};
use crate::problem::Problem;
use crate::state::Server;
use crate::stream::Messages;

/// Pause between two messages that something changed.
const PAUSE: Duration = Duration::from_secs(1);

/// Says whenever something changed, at most once in a while. It has no numbers: who comes back reads the page anyway.
pub async fn changes(
    State(server): State<Arc<Server>>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        let mut stopped = server.stopped.clone();
        let mut changes = server.watcher.all();
        loop {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = sender.closed() => return,
                () = told(&mut stopped) => return,
            }
            let message = Event::default().event("changed").data("");
            if sender.send(Ok(message)).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(PAUSE) => {}
                () = told(&mut stopped) => return,
            }
        }
    });
    Sse::new(Messages(receiver)).keep_alive(KeepAlive::default())
}

/// From where on.
#[derive(Deserialize)]
pub struct Asked {
    after: Option<String>,
}

/// What a job prints, as HTML in a JSON text.
pub async fn output(
    State(server): State<Arc<Server>>,
    Named(job): Named<String>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Failed> {
    let Query(asked) = asked.map_err(|error| Problem::usage(error.body_text()))?;
    let job: JobRef = named(&job)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let after = last.or(asked.after.as_deref());
    let heard: Option<Heard> = after.map(named).transpose()?;
    let after = heard.map(|heard| heard.place);
    let tap = server.stores.try_ask(move |store| {
        let job = store.job(&job)?;
        Ok(Tap::open(store, &job, None, after)?)
    });
    let mut painter = Painter::default();
    let message = move |told| {
        let (name, html) = match told {
            Told::Chunk(chunk) => ("output", printed_chunk(&mut painter, &chunk)),
            Told::Ended(attempt) => ("output", attempt_end(&attempt)),
            Told::Over(_) => ("end", String::new()),
        };
        let data = serde_json::to_string(&html).ok()?;
        Some(Event::default().event(name).data(data))
    };
    Ok(follow(&server, tap.await?, heard, message).await?)
}
