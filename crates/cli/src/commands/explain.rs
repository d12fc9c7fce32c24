//! `explain`: says why a job does not run, and which command would change that.

use anyhow::Result;
use clap::Args;
use queuectl_core::selector::OneJob;
use queuectl_frontend::explain;

use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Say why a job does not run, when it can, and what would change that
#[derive(Debug, Args)]
#[command(after_help = "\
Prints one reason a line, in the order in which they must be solved, with the command that solves it. Then come the job's \
groups, with what their callbacks wait for. The last line says how long the job has waited and run so far. docs/json.md has \
the codes of the reasons.")]
pub struct ExplainArgs {
    /// The job's id or number, or last, last~2
    #[arg(value_name = "JOB")]
    job: OneJob,
}

impl Run for ExplainArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let job = store.picked(self.job.pick())?;
        let view = explain::load(&mut store, &job, now)?;
        context.output.document(&view, |page| {
            let lines = explain::lines(&view, now);
            lines.iter().try_for_each(|line| page.sentence(line))
        })?;
        Ok(Exit::OK)
    }
}
