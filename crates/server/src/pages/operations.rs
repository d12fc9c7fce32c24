//! What operators did, one operation, and its undo.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use queuectl_frontend::operation::view;
use queuectl_pages::{Section, render};
use queuectl_storage::{OperationState, Store};
use queuectl_views::OperationView;
use serde::Deserialize;

use super::answer::{Answer, Failed, Page, To, frame};
use super::jobs::Did;
use super::mass::run;
use crate::api::Named;
use crate::problem::Problem;
use crate::state::Server;

/// Operations of a page.
const ROWS: u32 = 50;

/// Which operations.
#[derive(Deserialize)]
pub struct Asked {
    before: Option<i64>,
}

pub async fn list(State(server): State<Arc<Server>>, asked: Result<Query<Asked>, QueryRejection>) -> Answer {
    let Query(asked) = asked.map_err(|error| Problem::usage(error.body_text()))?;
    let read = server.stores.ask(move |store| {
        let operations = store.operations(asked.before, false, ROWS)?;
        Ok((operations, store.now()?))
    });
    let (operations, now) = read.await?;
    let views: Vec<OperationView> = operations.into_iter().map(view).collect();
    let next = views
        .last()
        .filter(|_| views.len() == ROWS as usize)
        .map(|last| last.id);
    let frame = frame(&server, now, None);
    let main = queuectl_pages::operations(&views, next);
    Ok(Page(render(&frame, Section::Operations, "Operations", &main)))
}

pub async fn show(
    State(server): State<Arc<Server>>,
    Named(operation): Named<i64>,
    did: Result<Query<Did>, QueryRejection>,
) -> Answer {
    let Query(did) = did.map_err(|error| Problem::usage(error.body_text()))?;
    let read = server
        .stores
        .ask(move |store| Ok((store.operation(operation)?, store.now()?)));
    let (found, now) = read.await?;
    let view = view(found);
    let frame = frame(&server, now, did.did.as_deref());
    let main = queuectl_pages::one_operation(&frame, &view);
    let title = format!("Operation {operation}: {}", view.kind);
    Ok(Page(render(&frame, Section::Operations, &title, &main)))
}

pub async fn undo(State(server): State<Arc<Server>>, Named(operation): Named<i64>) -> Result<To, Failed> {
    let by = server.stores.operator();
    let begun = server.stores.ask(move |store| {
        let now = store.now()?;
        store.open_undo(operation, &by, now)
    });
    let undo = begun.await?;
    let command = format!("queuectl op:undo {operation}");
    let act = move |store: &mut Store, by: &str| {
        // If it was sent twice, it may have ended: another undo would be a new one.
        if store.operation(undo)?.state != OperationState::Open {
            return Ok(());
        }
        let now = store.now()?;
        store.undo(operation, by, now, |_| {}).map(drop)
    };
    let did = match run(&server, &command, act).await? {
        Some(undone) => undone.map(|()| "?did=undo")?,
        None => "",
    };
    Ok(To(format!("/operations/{undo}{did}")))
}
