//! `schedule:edit`: changes a schedule from now on.

use anyhow::Result;
use clap::Args;
use queuectl_core::ScheduleName;

use super::add::{checked_schedule, say};
use super::options::{PolicyOptions, job};
use crate::commands::enqueue::options::JobOptions;
use crate::commands::op::begin_operation;
use crate::context::Context;
use crate::exit::Exit;
use crate::registry::Run;

/// Change a schedule; options that are not given keep their values
#[derive(Debug, Args)]
#[command(after_help = "\
Existing jobs do not change. With a new --when or --tz, @every counts from now. --env adds to the existing \
variables.")]
pub struct EditArgs {
    /// The schedule's name
    #[arg(value_name = "NAME")]
    name: ScheduleName,
    /// When it runs from now on
    #[arg(long, value_name = "WHEN", allow_hyphen_values = true)]
    when: Option<String>,
    /// The new command, as with `enqueue`
    #[arg(value_name = "COMMAND", trailing_var_arg = true, conflicts_with = "command")]
    words: Vec<String>,
    #[command(flatten)]
    policy: PolicyOptions,
    #[command(flatten)]
    job: JobOptions,
}

impl Run for EditArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open_existing()?;
        let before = store.schedule(&self.name)?;
        let mut spec = before.spec.clone();
        self.policy.apply(&mut spec);
        if let Some(when) = self.when {
            spec.when = when;
        }
        spec.job = job(self.words, self.job)?.or(spec.job);
        let spec = checked_schedule(spec, context)?;
        let now = store.now()?;
        let what = format!("{}: {} in {}", spec.name, spec.when, spec.zone);
        begin_operation(&mut store, "schedule:edit", what)?;
        let edited = store.edit_schedule(&self.name, now, |stored| {
            if *stored != before.spec {
                return Err("it was changed meanwhile; look at it and try again".to_owned());
            }
            *stored = spec;
            Ok(())
        })?;
        say(&mut store, &edited, "changed", context)?;
        Ok(Exit::OK)
    }
}
