//! Removing containers: those of earlier attempts, those of nodes that are gone, and those whose job is done with.
//!
//! Others may be removing the same container at the same time; that it is gone is all that counts.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use futures_util::{StreamExt, stream};
use tokio::sync::watch;

use crate::engine::{Engine, Patience, Problem, call};
use crate::identity::{FENCE, Identity, JOB, MARK, STORE};

/// Longest that a removal may take: the engine may be away, or still busy with another's removal.
const REMOVAL: Duration = Duration::from_secs(60);
/// A node may have started a container just after it was looked which nodes live. It is on the next list, which comes
/// within this time.
const DOUBT: Duration = Duration::from_secs(3);

/// Whether what earlier attempts and dead nodes left is let alone, in development builds: the control of the tests, as
/// for processes.
fn without_sweep() -> bool {
    cfg!(debug_assertions)
        && std::env::var("QUEUECTL_TEST_WITHOUT")
            .is_ok_and(|names| names.split(',').any(|name| name == "sweep"))
}

/// Kills and removes a container, and returns when it is gone.
///
/// # Errors
/// It could not be removed.
pub async fn remove(docker: &Docker, container: &str) -> Result<(), Problem> {
    let mut patience = Patience::new(REMOVAL);
    loop {
        // With the volumes that were made for it alone.
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match call(docker.remove_container(container, Some(options))).await {
            Ok(()) => return Ok(()),
            Err(problem) if problem.is_missing() => return Ok(()),
            // A conflict is another's removal under way; the engine's own errors pass, mostly.
            Err(problem @ (Problem::Away(_) | Problem::Refused(409 | 500.., _))) => {
                if !patience.wait().await {
                    return Err(problem);
                }
            }
            Err(problem) => return Err(problem),
        }
    }
}

/// Removes what earlier attempts of the job left, so that nothing of them is alive when this one starts.
///
/// # Errors
/// The engine is away, or a container could not be removed.
pub async fn remove_earlier(docker: &Docker, own: &Identity) -> Result<u64, Problem> {
    if without_sweep() {
        return Ok(0);
    }
    let labels = [format!("{STORE}={}", own.store()), format!("{JOB}={}", own.job)];
    let mut removed = 0;
    for found in list(docker, &labels).await? {
        // The same fence again means that the store was restored from a copy: no run waits for that container either.
        if found.fence.is_some_and(|fence| fence <= own.fence) {
            remove(docker, &found.id).await?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// Removes the containers of a store's nodes that do not live. `alive` is the newest list of those that do.
///
/// # Errors
/// The engine is away, or a container could not be removed.
pub async fn reap(
    engine: &Engine,
    store: &str,
    alive: &watch::Receiver<Vec<String>>,
) -> Result<u64, Problem> {
    if without_sweep() {
        return Ok(0);
    }
    let docker = engine.connect().await?;
    let is_dead = |found: &Found| !alive.borrow().contains(&found.mark);
    let mut found = list(&docker, &[format!("{STORE}={store}")]).await?;
    found.retain(is_dead);
    if found.is_empty() {
        return Ok(0);
    }
    tokio::time::sleep(DOUBT).await;
    found.retain(is_dead);
    // A failed removal does not stop the removal of the others.
    let removal = |found: Found| {
        let docker = docker.clone();
        async move { remove(&docker, &found.id).await }
    };
    let mut removals = stream::iter(found).map(removal).buffer_unordered(REMOVALS);
    let (mut removed, mut trouble) = (0, None);
    while let Some(result) = removals.next().await {
        match result {
            Ok(()) => removed += 1,
            Err(problem) => trouble = Some(problem),
        }
    }
    trouble.map_or(Ok(removed), Err)
}

/// Containers that are removed at a time.
const REMOVALS: usize = 8;

struct Found {
    id: String,
    mark: String,
    fence: Option<i64>,
}

async fn list(docker: &Docker, labels: &[String]) -> Result<Vec<Found>, Problem> {
    let filters = HashMap::from([("label", labels.to_vec())]);
    let options = ListContainersOptionsBuilder::new()
        .all(true)
        .filters(&filters)
        .build();
    let found = call(docker.list_containers(Some(options))).await?;
    Ok(found
        .into_iter()
        .filter_map(|container| {
            let labels = container.labels.unwrap_or_default();
            Some(Found {
                id: container.id?,
                mark: labels.get(MARK)?.clone(),
                fence: labels.get(FENCE).and_then(|fence| fence.parse().ok()),
            })
        })
        .collect())
}
