//! `worker:run`: a worker process. Its node starts it and talks to it on standard input and output.

use anyhow::Result;
use clap::Args;
use queuectl_core::parse_duration;
use queuectl_executor::CALL_LIMIT;
use queuectl_worker::{WorkerOptions, run_worker};

use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::registry::Run;

/// Overrides the time limit of a call into an executor plugin.
const CALL_LIMIT_VARIABLE: &str = "QUEUECTL_PLUGIN_CALL_LIMIT";

/// Run as a worker process of a node; nodes start it themselves
#[derive(Debug, Args)]
pub struct RunArgs {}

impl Run for RunArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let search = queuectl_executor::SearchPath::standard(&context.plugin_dirs);
        let call_limit = match std::env::var(CALL_LIMIT_VARIABLE) {
            Ok(text) => parse_duration(&text)
                .map_err(|error| Usage::new(format!("{CALL_LIMIT_VARIABLE}: {error}")))?,
            Err(_) => CALL_LIMIT,
        };
        run_worker(WorkerOptions { search, call_limit })?;
        Ok(Exit::OK)
    }
}
