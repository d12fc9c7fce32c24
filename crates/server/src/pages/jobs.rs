//! The list of jobs, and one job.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use queuectl_core::selector::Selector;
use queuectl_core::{BlockedBy, Job, JobRef, State as JobState, Timestamp};
use queuectl_frontend::output::{Place, Tap};
use queuectl_frontend::{detail, explain};
use queuectl_pages::{JobPage, JobsPage, Painter, Printed, Section, printed_chunk, render};
use queuectl_storage::{ListFilter, MassChange, Position, Store};
use queuectl_views::{ExplainView, JobDetailView};
use serde::Deserialize;

use super::answer::{Answer, Page, frame};
use crate::api::jobs::{Jobs, page};
use crate::api::{Named, named};
use crate::problem::Problem;
use crate::state::Server;

/// Jobs of a page.
const JOBS: u32 = 50;
/// Bytes of output that a page has, and what they may be as HTML; else fewer.
const OUTPUT: [u64; 2] = [24 * 1024, 3 * 1024];
const OUTPUT_HTML: usize = 96 * 1024;

/// Which jobs.
#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    select: String,
    cursor: Option<String>,
    #[serde(default)]
    oldest_first: bool,
    did: Option<String>,
}

pub async fn list(State(server): State<Arc<Server>>, asked: Result<Query<Asked>, QueryRejection>) -> Answer {
    let Query(asked) = asked.map_err(|error| Problem::usage(error.body_text()))?;
    let cursor: Option<Position> = asked.cursor.as_deref().map(named).transpose()?;
    let parsed: Result<Selector, _> = asked.select.parse();
    let oldest_first = asked.oldest_first;
    let (found, problem, now) = match parsed {
        Err(error) => (
            None,
            Some(error.to_string()),
            server.stores.ask(Store::now).await?,
        ),
        Ok(selector) => {
            let read = server.stores.ask(move |store| {
                let now = store.now()?;
                let mut filter = ListFilter {
                    // What it names may not be there, which is to be said beside it.
                    jobs: match store.job_filter(&selector, now) {
                        Ok(jobs) => jobs,
                        Err(error) if is_about_names(&error) => return Ok((Err(error.to_string()), now)),
                        Err(error) => return Err(error),
                    },
                    oldest_first,
                    limit: JOBS,
                    ..ListFilter::default()
                };
                match oldest_first {
                    true => filter.above = cursor,
                    false => filter.below = cursor,
                }
                Ok((Ok(page(store, &filter)?), now))
            });
            match read.await? {
                (Ok(jobs), now) => (Some(jobs), None, now),
                (Err(problem), now) => (None, Some(problem), now),
            }
        }
    };
    let Jobs { jobs, next } = found.unwrap_or_default();
    let shown = JobsPage {
        select: &asked.select,
        problem,
        jobs: &jobs,
        next,
        is_later: cursor.is_some(),
        oldest_first,
    };
    let frame = frame(&server, now, asked.did.as_deref());
    let main = queuectl_pages::jobs(&frame, &shown);
    Ok(Page(render(&frame, Section::Jobs, "Jobs", &main)))
}

fn is_about_names(error: &queuectl_storage::StoreError) -> bool {
    use queuectl_frontend::kind::{Kind, kind};
    [Kind::NotFound, Kind::Usage].contains(&kind(error))
}

/// What was just done.
#[derive(Deserialize)]
pub struct Did {
    pub did: Option<String>,
}

/// A job with what is around it.
struct Found {
    detail: JobDetailView,
    explain: Option<ExplainView>,
    printed: Printed,
    changes: Vec<&'static str>,
    now: Timestamp,
}

pub async fn show(
    State(server): State<Arc<Server>>,
    Named(job): Named<String>,
    did: Result<Query<Did>, QueryRejection>,
) -> Answer {
    let Query(did) = did.map_err(|error| Problem::usage(error.body_text()))?;
    let job: JobRef = named(&job)?;
    let found = server.stores.try_ask(move |store| load(store, &job)).await?;
    let shown = JobPage {
        job: &found.detail,
        explain: found.explain.as_ref(),
        printed: found.printed,
        changes: &found.changes,
    };
    let frame = frame(&server, found.now, did.did.as_deref());
    let title = format!("Job {}", found.detail.job.id);
    let main = queuectl_pages::job(&frame, &shown);
    Ok(Page(render(&frame, Section::Jobs, &title, &main)))
}

fn load(store: &mut Store, job: &JobRef) -> Result<Found, Problem> {
    let now = store.now()?;
    let job = store.job(job)?;
    let attempts = store.attempts_without_output(job.id)?;
    let waits = !job.state.is_final() && job.state != JobState::Processing;
    let explain = match waits {
        true => Some(explain::load(store, &JobRef::Number(job.id), now)?),
        false => None,
    };
    let mut printed = printed(store, &job, OUTPUT[0])?;
    if printed.html.len() > OUTPUT_HTML {
        printed = self::printed(store, &job, OUTPUT[1])?;
    }
    let changes = changes(&job);
    let detail = detail::load(store, job, &attempts, false)?;
    Ok(Found {
        detail,
        explain,
        printed,
        changes,
        now,
    })
}

/// What can be done to a job as it is.
fn changes(job: &Job) -> Vec<&'static str> {
    let is_held = job.waits.has(BlockedBy::Held);
    let possible = MassChange::ALL.into_iter().filter(|change| {
        let fits = change.states().contains(&job.state);
        match change {
            MassChange::Hold => fits && !is_held,
            MassChange::Release => is_held,
            _ => fits,
        }
    });
    possible.map(MassChange::name).collect()
}

/// Reads the end of what the newest attempt printed.
fn printed(store: &mut Store, job: &Job, most: u64) -> Result<Printed, Problem> {
    let tap = Tap::open(store, job, None, None)?;
    let fence = tap.place().fence;
    let bytes = match store.attempt(job.id, fence)? {
        Some(attempt) => attempt.output.total_bytes,
        None => {
            let file = store.outputs()?.file(job.id.0, fence);
            std::fs::metadata(file).map_or(0, |file| file.len())
        }
    };
    let before = bytes.saturating_sub(most);
    let place = Place {
        fence,
        offset: before,
    };
    let mut tap = Tap::open(store, job, None, Some(place))?;
    let mut printed = Printed {
        attempt: 0,
        html: String::new(),
        before,
        next: None,
    };
    let mut painter = Painter::default();
    // What comes meanwhile is shown, too.
    let reading = tap.read(store, most + 4096)?;
    for chunk in &reading.chunks {
        printed.html.push_str(&printed_chunk(&mut painter, chunk));
    }
    printed.attempt = reading.attempt;
    printed.next = (!reading.is_last).then_some(reading.next);
    Ok(printed)
}
