//! Changing one job: what `queuectl cancel`, `hold`, `release`, `retry` and `purge` do.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use queuectl_core::JobRef;
use queuectl_storage::{JobFilter, MassChange, NewOperation};
use queuectl_views::ChangedView;

use super::{Answer, Named, named};
use crate::problem::Problem;
use crate::state::Server;

/// Makes the change that the path names.
pub async fn change(
    State(server): State<Arc<Server>>,
    Named((job, change)): Named<(String, String)>,
) -> Answer<ChangedView<'static>> {
    let change = match change.as_str() {
        "cancel" => MassChange::Cancel,
        "hold" => MassChange::Hold,
        "release" => MassChange::Release,
        "retry" => MassChange::Retry,
        "start" => MassChange::Start,
        _ => return Err(unknown(&change)),
    };
    Ok(Json(make(&server, job, change).await?))
}

/// Makes the change of that name, which may be `purge`, too.
pub async fn named_change(
    server: &Server,
    job: String,
    change: &str,
) -> Result<ChangedView<'static>, Problem> {
    let named = MassChange::ALL.into_iter().find(|one| one.name() == change);
    make(server, job, named.ok_or_else(|| unknown(change))?).await
}

fn unknown(change: &str) -> Problem {
    let detail = format!("'{change}' is not a change of a job; use cancel, hold, release, retry or start");
    Problem::new(http::StatusCode::NOT_FOUND, "not_found", detail)
}

/// Removes a job.
pub async fn purge(
    State(server): State<Arc<Server>>,
    Named(job): Named<String>,
) -> Answer<ChangedView<'static>> {
    Ok(Json(make(&server, job, MassChange::Purge).await?))
}

async fn make(server: &Server, id: String, change: MassChange) -> Result<ChangedView<'static>, Problem> {
    let job: JobRef = named(&id)?;
    let what = id.clone();
    let done = server.stores.ask(move |store| {
        let now = store.now()?;
        store.begin_operation(NewOperation {
            kind: change.name().to_owned(),
            what,
            ..NewOperation::default()
        })?;
        let done = store.change_named(&job, change, &JobFilter::default(), now);
        let ended = store.end_operation(now);
        let done = done?;
        ended?;
        Ok(done)
    });
    let done = done.await?;
    Ok(ChangedView {
        id,
        result: queuectl_frontend::changed::result(change, &done),
    })
}
