//! The first screen.

use std::sync::Arc;

use axum::extract::State;
use queuectl_pages::{Overview, Section, render};
use queuectl_storage::Store;

use super::answer::{Answer, Page, frame};
use crate::state::Server;

pub async fn overview(State(server): State<Arc<Server>>) -> Answer {
    let status = server.shared.status(&server.stores).await?;
    let charts = server.shared.charts(&server.stores).await?;
    let causes = server.shared.causes(&server.stores).await?;
    let now = server.stores.ask(Store::now).await?;
    let shown = Overview {
        status: &status,
        charts: &charts,
        causes: &causes.0,
    };
    let frame = frame(&server, now, None);
    let main = queuectl_pages::overview(&frame, &shown);
    Ok(Page(render(&frame, Section::Overview, "Overview", &main)))
}
