//! Dead jobs by what they died of, one cause, and retrying it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use queuectl_core::{JobRef, Timestamp};
use queuectl_dlq::{CauseKey, Selected};
use queuectl_frontend::load;
use queuectl_pages::{CausePage, Confirm, Section, render};
use queuectl_storage::{MassChange, NewOperation, Store, StoreError};
use queuectl_views::JobView;
use serde::Deserialize;

use super::answer::{Answer, Failed, Page, To, form, frame};
use super::mass::operate;
use crate::api::Named;
use crate::problem::Problem;
use crate::state::Server;

/// Jobs of a cause that are shown.
const SHOWN: u32 = 30;

fn selected(cause: Option<CauseKey>, now: Timestamp) -> Selected {
    Selected {
        queue: None,
        cause,
        age: Duration::ZERO,
        now,
    }
}

pub async fn causes(State(server): State<Arc<Server>>) -> Answer {
    let found = server.shared.causes(&server.stores).await?;
    let now = server.stores.ask(Store::now).await?;
    let frame = frame(&server, now, None);
    let main = queuectl_pages::causes(&frame, &found.0, found.1);
    Ok(Page(render(&frame, Section::Dead, "Dead jobs", &main)))
}

fn key(text: &str) -> Result<CauseKey, Problem> {
    text.parse().map_err(|error: String| Problem::usage(error))
}

pub async fn show(State(server): State<Arc<Server>>, Named(cause): Named<String>) -> Answer {
    let key = key(&cause)?;
    let read = server.stores.ask(move |store| {
        let now = store.now()?;
        let settings = store.settings()?;
        let (numbers, more) = queuectl_dlq::newest(store, &selected(Some(key), now), Some(SHOWN))?;
        let mut jobs = Vec::new();
        for number in numbers.iter().rev() {
            let job = match store.job(&JobRef::Number(*number)) {
                Err(StoreError::NoSuchJob(_)) => continue,
                job => job?,
            };
            let (error, died) = (load::last_error(store, &job)?, job.finished_at);
            jobs.push((JobView::new(job, error, &settings, false), died));
        }
        Ok((jobs, more, now))
    });
    let (jobs, more, now) = read.await?;
    let key = key.to_string();
    let page = CausePage {
        key: &key,
        jobs: &jobs,
        more,
    };
    let frame = frame(&server, now, None);
    let main = queuectl_pages::one_cause(&frame, &page);
    Ok(Page(render(
        &frame,
        Section::Dead,
        &format!("Cause {key}"),
        &main,
    )))
}

/// Asks, with how many there are.
pub async fn ask(State(server): State<Arc<Server>>, Named(cause): Named<String>) -> Answer {
    let key = key(&cause)?;
    let counted = server.stores.ask(move |store| {
        let now = store.now()?;
        Ok((queuectl_dlq::survey(store, &selected(Some(key), now))?, now))
    });
    let (survey, now) = counted.await?;
    let back = format!("/dead/{key}");
    let path = format!("{back}/retry");
    let question = Confirm {
        verb: "retry",
        jobs: survey.jobs,
        first: &survey.first,
        remark: survey
            .cause
            .map(|cause| format!("All that died of: {} {}", cause.program, cause.error)),
        path: &path,
        values: &[],
        command: format!("queuectl dlq:retry --cause {key}"),
        back,
        at: now,
    };
    let frame = frame(&server, now, None);
    let main = queuectl_pages::confirm(&frame, &question);
    Ok(Page(render(&frame, Section::Dead, "Retry a cause", &main)))
}

/// When they were counted.
#[derive(Deserialize)]
pub struct At {
    pub at: Option<i64>,
}

/// Retries those that were counted.
pub async fn retry(
    State(server): State<Arc<Server>>,
    Named(cause): Named<String>,
    request: Request,
) -> Result<To, Failed> {
    let key = key(&cause)?;
    let asked: At = form(&server, request).await?;
    let id = operate(&server, move |store| {
        let now = store.now()?;
        let at = asked.at.map_or(now, |at| Timestamp(at).min(now));
        let selected = selected(Some(key), at);
        Ok(NewOperation {
            kind: "dlq:retry".to_owned(),
            what: format!("state=dead cause {key}"),
            request: Some(selected.request(MassChange::Retry)),
            total: None,
        })
    });
    Ok(To(format!("/operations/{}", id.await?)))
}
