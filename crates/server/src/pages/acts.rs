//! Changing one job.

use std::sync::Arc;

use axum::extract::State;

use super::answer::{Failed, To};
use crate::api::{Named, change};
use crate::state::Server;

pub async fn job(
    State(server): State<Arc<Server>>,
    Named((job, change)): Named<(String, String)>,
) -> Result<To, Failed> {
    let word = change.clone();
    change::named_change(&server, job.clone(), &change).await?;
    let job = queuectl_pages::in_path(&job);
    Ok(To(match word.as_str() {
        // It is not there any more.
        "purge" => "/jobs?did=purge".to_owned(),
        word => format!("/jobs/{job}?did={word}"),
    }))
}
