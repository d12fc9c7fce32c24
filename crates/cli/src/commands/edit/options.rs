//! The options that say what of a job to change: those of `enqueue` for the parts that can change.

use anyhow::Result;
use clap::error::Result as ClapResult;
use clap::{ArgMatches, Args, Command, FromArgMatches};
use queuectl_core::{FIELDS, Field, JobSpec, is_editable};

use crate::commands::enqueue::options::{JobOptions, env_file, option};
use crate::exit::Usage;
use crate::input::folder;

/// What the options say of a job.
#[derive(Debug, Default)]
pub struct EditOptions(JobOptions);

impl EditOptions {
    /// Returns what to change. A relative folder begins in the current one.
    pub fn into_spec(self) -> Result<JobSpec> {
        let mut spec = self.0.into_spec()?;
        if let Some(named) = spec.payload.cwd.take() {
            spec.payload.cwd = Some(folder(Some(named)).map_err(Usage::new)?);
        }
        Ok(spec)
    }
}

fn fields() -> impl Iterator<Item = &'static Field<JobSpec>> {
    FIELDS.iter().filter(|field| is_editable(field.name))
}

impl Args for EditOptions {
    fn augment_args(command: Command) -> Command {
        command.args(fields().flat_map(|field| {
            // What counts without the option is what the job has.
            let about = field.about.split(" [default").next().unwrap_or_default();
            let excludes = field.excludes.iter().filter(|name| is_editable(name));
            let option = option(field, excludes.copied()).help(about);
            std::iter::once(option).chain((field.name == "env").then(env_file))
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for EditOptions {
    fn from_arg_matches(matches: &ArgMatches) -> ClapResult<EditOptions> {
        let mut options = EditOptions::default();
        options.update_from_arg_matches(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> ClapResult<()> {
        self.0.take(fields(), matches);
        Ok(())
    }
}
