//! Limits, nodes and events, which are only shown.

use std::sync::Arc;

use axum::extract::State;
use queuectl_core::{JobRef, LimitName, NodeId};
use queuectl_frontend::{limits as of_limits, load};
use queuectl_pages::{EventsPage, NodePage, Section, render};
use queuectl_storage::{Store, StoreError};
use queuectl_views::{EventView, JobView, LimitView, NodeView};

use super::answer::{Answer, Page, frame};
use crate::api::{Named, named};
use crate::problem::Problem;
use crate::state::Server;

/// Events that are shown, and jobs of a node.
const EVENTS: u32 = 200;
const JOBS: usize = 50;

pub async fn limits(State(server): State<Arc<Server>>) -> Answer {
    let read = server.stores.ask(|store| {
        let now = store.now()?;
        let views: Vec<LimitView> = store.limits()?.iter().map(of_limits::view_of).collect();
        Ok((views, now))
    });
    let (limits, now) = read.await?;
    let frame = frame(&server, now, None);
    let main = queuectl_pages::limits(&limits);
    Ok(Page(render(&frame, Section::Limits, "Limits", &main)))
}

pub async fn limit(State(server): State<Arc<Server>>, Named(limit): Named<String>) -> Answer {
    let name: LimitName = named(&limit)?;
    let title = format!("Limit {name}");
    let read = server.stores.ask(move |store| {
        let now = store.now()?;
        Ok((of_limits::detail(store, &name, None, now)?, now))
    });
    let (detail, now) = read.await?;
    let frame = frame(&server, now, None);
    let main = queuectl_pages::one_limit(&frame, &detail);
    Ok(Page(render(&frame, Section::Limits, &title, &main)))
}

pub async fn nodes(State(server): State<Arc<Server>>) -> Answer {
    let read = server.stores.ask(|store| Ok((load::nodes(store)?, store.now()?)));
    let (nodes, now) = read.await?;
    let frame = frame(&server, now, None);
    let main = queuectl_pages::nodes(&frame, &nodes);
    Ok(Page(render(&frame, Section::Nodes, "Nodes", &main)))
}

pub async fn node(State(server): State<Arc<Server>>, Named(node): Named<i64>) -> Answer {
    let id = NodeId(node);
    let (found, now) = server
        .stores
        .ask(move |store| Ok((one_node(store, id)?, store.now()?)))
        .await?;
    let Some((node, jobs)) = found else {
        return Err(Problem::from(StoreError::NoSuchNode(id.0)).into());
    };
    let page = NodePage {
        node: &node,
        jobs: &jobs,
    };
    let frame = frame(&server, now, None);
    let main = queuectl_pages::one_node(&frame, &page);
    Ok(Page(render(&frame, Section::Nodes, &format!("Node {id}"), &main)))
}

fn one_node(store: &mut Store, id: NodeId) -> Result<Option<(NodeView, Vec<JobView>)>, StoreError> {
    let Some(node) = load::nodes(store)?.into_iter().find(|node| node.id == id) else {
        return Ok(None);
    };
    let settings = store.settings()?;
    let mut jobs = Vec::new();
    for running in store.jobs_of_node(id)?.iter().take(JOBS) {
        match store.job(&JobRef::Number(running.id)) {
            // It has ended meanwhile, and was removed.
            Err(StoreError::NoSuchJob(_)) => {}
            job => jobs.push(JobView::new(job?, None, &settings, false)),
        }
    }
    Ok(Some((node, jobs)))
}

pub async fn events(State(server): State<Arc<Server>>) -> Answer {
    let read = server.stores.ask(|store| {
        let place = store.newest_events_from(None, EVENTS)?;
        let events = store.events_after(None, place, EVENTS)?;
        let views: Vec<EventView> = events.into_iter().rev().map(load::event).collect();
        let is_on = !store.settings()?.event_retention.is_zero();
        Ok((views, is_on, store.now()?))
    });
    let (events, is_on, now) = read.await?;
    let frame = frame(&server, now, None);
    let main = queuectl_pages::events(&EventsPage {
        events: &events,
        is_on,
    });
    Ok(Page(render(&frame, Section::Events, "Events", &main)))
}
