//! What happened, page by page, or as a stream of server-sent events that goes on where it was broken off.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use queuectl_frontend::load;
use queuectl_storage::{EventPlace, Store};
use queuectl_views::EventView;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::connections::told;
use crate::problem::Problem;
use crate::state::Server;
use crate::stream::Messages;

/// Events of one answer.
const MOST: u32 = 1000;
const USUAL: u32 = 100;
/// Events of a stream that are read at a time.
const PAGE: u32 = 500;
/// Events that wait for a slow client. The stream stops reading then, and nothing is lost.
const AHEAD: usize = 64;

/// Which events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Those after the event with this number.
    after: Option<i64>,
    /// Most events of the answer.
    limit: Option<u32>,
}

/// Some events.
#[derive(Serialize)]
struct Events {
    events: Vec<EventView>,
    /// What to ask for as `after` to see those that follow.
    next: Option<i64>,
}

/// `queuectl events`, with the newest unless it is said after which. A client that accepts `text/event-stream` gets them as they
/// come, from now on or after the one that `Last-Event-ID` names.
pub async fn events(
    State(server): State<Arc<Server>>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|error| Problem::usage(error.body_text()))?;
    if super::accepts(&headers, "text/event-stream") {
        let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
        let last = last.map(super::named).transpose()?;
        return Ok(follow(server, last.or(asked.after)).await?.into_response());
    }
    let limit = asked.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::usage(format!("limit is from 1 to {MOST}")));
    }
    let page = server.stores.ask(move |store| {
        let place = match asked.after {
            Some(after) => store.event_place(after)?,
            None => store.newest_events_from(None, limit)?,
        };
        store.events_after(None, place, limit)
    });
    let events: Vec<EventView> = page.await?.into_iter().map(load::event).collect();
    let next = events.last().map(|event| event.event).or(asked.after);
    Ok(Json(Events { events, next }).into_response())
}

/// Begins a stream of events.
async fn follow(
    server: Arc<Server>,
    after: Option<i64>,
) -> Result<Sse<impl futures_core::Stream<Item = Result<Event, Infallible>>>, Problem> {
    let place = server.stores.ask(move |store| match after {
        Some(after) => store.event_place(after),
        None => store.newest_events_from(None, 0),
    });
    let place = place.await?;
    let (sender, receiver) = mpsc::channel(AHEAD);
    tokio::spawn(send(server, place, sender));
    Ok(Sse::new(Messages(receiver)).keep_alive(KeepAlive::default()))
}

/// Sends events until the client or the server goes away.
async fn send(server: Arc<Server>, mut place: EventPlace, sender: mpsc::Sender<Result<Event, Infallible>>) {
    let mut stopped = server.stopped.clone();
    let mut changes = server.watcher.all();
    loop {
        // What changes from here on is looked for again.
        changes.borrow_and_update();
        // A client asks again after a while, and says which event it had last.
        let read = move |store: &mut Store| store.events_after(None, place, PAGE);
        let Ok(page) = server.stores.ask(read).await else {
            return;
        };
        let is_full = page.len() >= PAGE as usize;
        for event in page {
            place = event.place;
            let view = load::event(event);
            let Ok(data) = serde_json::to_string(&view) else {
                return;
            };
            let message = Event::default()
                .id(view.event.to_string())
                .event(view.kind)
                .data(data);
            tokio::select! {
                sent = sender.send(Ok(message)) => if sent.is_err() { return },
                () = told(&mut stopped) => return,
            }
        }
        if !is_full {
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = sender.closed() => return,
                () = told(&mut stopped) => return,
            }
        }
    }
}
