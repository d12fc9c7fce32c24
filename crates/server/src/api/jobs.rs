//! Looking at jobs.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use queuectl_core::selector::Selector;
use queuectl_core::{JobRef, parse_duration};
use queuectl_frontend::reasons::Looked;
use queuectl_frontend::{detail, explain as why, load};
use queuectl_storage::{ListFilter, Position, Store};
use queuectl_views::{ExplainView, JobDetailView, JobView};
use serde::{Deserialize, Serialize};

use super::{Answer, Named, named};
use crate::connections::told;
use crate::problem::Problem;
use crate::state::Server;

/// Jobs of one answer.
const MOST: u32 = 1000;
const USUAL: u32 = 100;
/// Longest wait for the end of a job.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

/// Which jobs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// A selector; a word with blanks stands in quotation marks.
    #[serde(default)]
    select: String,
    /// Most jobs of the answer.
    limit: Option<u32>,
    /// What an answer before this one gave as `next`.
    cursor: Option<String>,
    /// Oldest first.
    #[serde(default)]
    oldest_first: bool,
}

/// Some jobs.
#[derive(Default, Serialize)]
pub struct Jobs {
    pub jobs: Vec<JobView>,
    /// What to ask for to see those that follow; null after the last.
    pub next: Option<String>,
}

/// `queuectl list`, page by page.
pub async fn list(
    State(server): State<Arc<Server>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Answer<Jobs> {
    let Query(asked) = asked.map_err(|error| Problem::usage(error.body_text()))?;
    let limit = asked.limit.unwrap_or(USUAL);
    if !(1..=MOST).contains(&limit) {
        return Err(Problem::usage(format!("limit is from 1 to {MOST}")));
    }
    let selector: Selector = asked
        .select
        .parse()
        .map_err(|error| Problem::usage(format!("select: {error}")))?;
    let cursor: Option<Position> = asked.cursor.as_deref().map(named).transpose()?;
    let page = server.stores.ask(move |store| {
        let now = store.now()?;
        let mut filter = ListFilter {
            jobs: store.job_filter(&selector, now)?,
            oldest_first: asked.oldest_first,
            limit,
            ..ListFilter::default()
        };
        match asked.oldest_first {
            true => filter.above = cursor,
            false => filter.below = cursor,
        }
        page(store, &filter)
    });
    Ok(Json(page.await?))
}

/// Reads a page of a list.
pub fn page(store: &mut Store, filter: &ListFilter) -> Result<Jobs, queuectl_storage::StoreError> {
    let now = store.now()?;
    let settings = store.settings()?;
    let page = store.list_page(filter)?;
    let last = page.jobs.last().filter(|_| page.more);
    let next = last.map(|job| filter.position(job).to_string());
    let mut reasons = Looked::default();
    let mut jobs = Vec::with_capacity(page.jobs.len());
    for job in page.jobs {
        let reason = reasons.first(store, &job, now);
        let error = load::last_error(store, &job)?;
        let mut view = JobView::new(job, error, &settings, false);
        view.reason = reason;
        jobs.push(view);
    }
    Ok(Jobs { jobs, next })
}

/// How long to wait.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// Until the job has ended, at most this long, such as `30s`.
    wait: Option<String>,
}

/// `queuectl show`. With a time it waits until the job has ended, as `queuectl wait` does, and answers at its end anyway.
pub async fn show(
    State(server): State<Arc<Server>>,
    Named(job): Named<String>,
    asked: Result<Query<Wait>, QueryRejection>,
) -> Answer<JobDetailView> {
    let Query(asked) = asked.map_err(|error| Problem::usage(error.body_text()))?;
    let job: JobRef = named(&job)?;
    if let Some(wait) = &asked.wait {
        let most = parse_duration(wait).map_err(|error| Problem::usage(format!("wait: {error}")))?;
        if most > LONGEST_WAIT {
            return Err(Problem::usage(
                "wait is at most 5 minutes; ask again to wait longer",
            ));
        }
        wait_for(&server, job.clone(), most).await?;
    }
    let found = server.stores.ask(move |store| {
        let job = store.job(&job)?;
        let attempts = store.attempts_without_output(job.id)?;
        detail::load(store, job, &attempts, false)
    });
    Ok(Json(found.await?))
}

/// Waits until a job has ended or is gone, for a time, or until the server stops.
async fn wait_for(server: &Server, job: JobRef, most: Duration) -> Result<(), Problem> {
    let mut stopped = server.stopped.clone();
    tokio::select! {
        ended = tokio::time::timeout(most, has_ended(server, job)) => ended.unwrap_or(Ok(())),
        () = told(&mut stopped) => Ok(()),
    }
}

/// Returns when a job has ended or is gone. One that was cancelled for another which was retried since goes on with that one.
async fn has_ended(server: &Server, job: JobRef) -> Result<(), Problem> {
    let mut changes = None;
    loop {
        let job = job.clone();
        let found = server.stores.ask(move |store| {
            let job = store.job(&job)?;
            let open = match job.unmet.is_some() && job.state.is_final() {
                true => store.revived_by(job.id)?,
                false => None,
            };
            Ok((job, open))
        });
        let (found, open) = found.await?;
        if found.state.is_final() && open.is_none() {
            return Ok(());
        }
        let was_told = if open.is_some() {
            let changes = changes.get_or_insert_with(|| server.watcher.all());
            changes.changed().await.is_ok()
        } else {
            let mut seen = server.watcher.job(found.id, Some((found.state, found.fence)));
            let ended = seen.wait_for(|standing| standing.is_none_or(|(state, _)| state.is_final()));
            ended.await.is_ok_and(|standing| standing.is_some())
        };
        if !was_told {
            return Ok(());
        }
    }
}

/// `queuectl explain`.
pub async fn explain(State(server): State<Arc<Server>>, Named(job): Named<String>) -> Answer<ExplainView> {
    let job: JobRef = named(&job)?;
    let found = server.stores.ask(move |store| {
        let now = store.now()?;
        why::load(store, &job, now)
    });
    Ok(Json(found.await?))
}
