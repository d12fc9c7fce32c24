//! `worker:run`: a worker process. Nodes start it; it talks to its node on standard input and output.

use anyhow::Result;
use clap::Args;
use queuectl_executor::LOAD_LIMIT;
use queuectl_worker::{WorkerOptions, run_worker};

use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::input::time::duration;

/// How long an executor plugin may take to be loaded, as a length of time.
const LOAD_LIMIT_VARIABLE: &str = "QUEUECTL_PLUGIN_LOAD_LIMIT";

/// Run as a worker process of a node; nodes start it themselves
#[derive(Debug, Args)]
pub struct RunArgs {}

pub fn run(_: &RunArgs, context: &Context) -> Result<Exit> {
    let search = queuectl_executor::SearchPath::standard(&context.plugin_dirs);
    let load_limit = match std::env::var(LOAD_LIMIT_VARIABLE) {
        Ok(text) => duration(&text).map_err(|error| Usage::new(format!("{LOAD_LIMIT_VARIABLE}: {error}")))?,
        Err(_) => LOAD_LIMIT,
    };
    run_worker(WorkerOptions { search, load_limit })?;
    Ok(Exit::OK)
}
