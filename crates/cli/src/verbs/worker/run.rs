//! `worker:run`: a worker process. Nodes start it; it talks to its node on standard input and output.

use anyhow::Result;
use clap::Args;
use queuectl_worker::{WorkerOptions, run_worker};

use crate::context::Context;
use crate::exit::Exit;

/// Run as a worker process of a node; nodes start it themselves
#[derive(Debug, Args)]
pub struct RunArgs {}

pub fn run(_: &RunArgs, context: &Context) -> Result<Exit> {
    let search = queuectl_executor::SearchPath::standard(&context.plugin_dirs);
    run_worker(WorkerOptions { search })?;
    Ok(Exit::OK)
}
