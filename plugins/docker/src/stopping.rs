//! Stops a container when its run must stop: first with the image's stop signal, then with SIGKILL.
//!
//! The host decides the grace in between. The task that follows the container sees its end.

use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::KillContainerOptionsBuilder;
use queuectl_plugin_api::{StopMode, StopSignal};

use crate::engine::{Patience, Problem, call};

/// How long it is tried to kill a container, and how long it may take to die of it.
const KILLING: Duration = Duration::from_secs(30);
/// How long it is tried to tell a container to stop. The host's grace is hardly ever longer.
const ASKING: Duration = Duration::from_secs(300);

/// Stops the container when the signal says so. Returns only when that did not work.
pub async fn obey(docker: &Docker, container: &str, stop: &mut StopSignal) -> Problem {
    let mut kill = stop.clone();
    if stop.requested().await == StopMode::Graceful {
        let ask = async {
            let wanted = call(docker.inspect_container(container, None)).await;
            let wanted = wanted.ok().and_then(|found| found.config?.stop_signal);
            let signal = wanted.filter(|signal| !signal.is_empty());
            // If it cannot be told, the kill that follows says so.
            let _ = tell(docker, container, signal.as_deref().unwrap_or("SIGTERM"), ASKING).await;
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = ask => {}
            () = kill.killed() => {}
        }
    }
    if let Err(problem) = tell(docker, container, "SIGKILL", KILLING).await {
        return problem;
    }
    tokio::time::sleep(KILLING).await;
    Problem::Other(format!(
        "the container {container} was killed and did not end within {} s",
        KILLING.as_secs()
    ))
}

/// Sends a signal; that the container is not running any more is as good.
///
/// # Errors
/// It could not be sent.
pub async fn tell(docker: &Docker, container: &str, signal: &str, limit: Duration) -> Result<(), Problem> {
    let mut patience = Patience::new(limit);
    loop {
        let options = KillContainerOptionsBuilder::new().signal(signal).build();
        match call(docker.kill_container(container, Some(options))).await {
            Ok(()) | Err(Problem::Refused(404 | 409, _)) => return Ok(()),
            Err(problem @ (Problem::Away(_) | Problem::Refused(500.., _))) => {
                if !patience.wait().await {
                    return Err(problem);
                }
            }
            Err(problem) => return Err(problem),
        }
    }
}
