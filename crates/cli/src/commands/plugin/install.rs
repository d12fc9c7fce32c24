//! `plugin:install`: a plugin's file into the user's own plugin folder, where nodes find it.

use std::fs;
use std::io;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::Args;
use queuectl_sys::Draft;
use queuectl_views::InstalledView;

use super::check::broken_rules;
use super::run::executor_of;
use super::{ask, search};
use crate::context::Context;
use crate::exit::{Exit, Failed, Usage};
use crate::output::diagnostics;
use crate::registry::Run;

/// Check a plugin and copy it to where nodes find it
#[derive(Debug, Args)]
#[command(after_help = "\
Runs the same checks as plugin:check, with 50 jobs at a time, and installs only a plugin that passes. If the plugin \
does not run commands, give --job so that the check can run jobs, too.")]
pub struct InstallArgs {
    /// The plugin's file
    file: PathBuf,
    /// Into this folder [default: queuectl/plugins in the user's data folder]
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
    /// A file with a job as JSON, as `enqueue` takes it, that must succeed
    #[arg(long, value_name = "JOB.json", conflicts_with = "unchecked")]
    job: Option<String>,
    /// Skip the check of the ABI's rules; the plugin must still load
    #[arg(long)]
    unchecked: bool,
}

impl Run for InstallArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let source = std::path::absolute(&self.file)
            .map_err(|error| Usage::new(format!("{}: {error}", self.file.display())))?;
        let (executor, _) = executor_of(&source)?;
        // Refuses a file that does not load or is named after another executor.
        let probe = ask(&source, context)?;
        if !self.unchecked {
            let broken = broken_rules(&source, self.job.as_deref(), context)?;
            if !broken.is_empty() {
                let text = format!(
                    "{} is not installed: it breaks rules of the plugin ABI: {}; `queuectl plugin:check` shows all of it, and \
                     --unchecked installs it all the same",
                    source.display(),
                    broken.join("; ")
                );
                return Err(Failed::executor(text).into());
            }
        }
        let to = match &self.to {
            Some(to) => std::path::absolute(to)
                .map_err(|error| Usage::new(format!("--to {}: {error}", to.display())))?,
            None => search(context)
                .folders()
                .last()
                .cloned()
                .context("there is no data folder; use --to DIR")?,
        };
        make_folder(&to).with_context(|| format!("cannot make the folder {}", to.display()))?;
        let target = to.join(source.file_name().unwrap_or_default());
        let fail = || format!("cannot install {}", target.display());
        // Written as a new file, because a node may load it at any moment and has the old one mapped.
        let draft = Draft::beside(&target).with_context(fail)?;
        let mut plugin = fs::File::open(&source).with_context(fail)?;
        io::copy(&mut plugin, &mut draft.file()).with_context(fail)?;
        make_private(draft.path()).with_context(fail)?;
        draft.replace().with_context(fail)?;
        let view = InstalledView {
            name: probe.info().name.clone(),
            version: probe.info().version.clone(),
            file: target.display().to_string(),
        };
        let line = format!("installed {} {} as {}", view.name, view.version, view.file);
        context.output.done(&view, &line);
        let first = search(context).find(&executor).ok();
        match first {
            Some(first) if first == target => {}
            Some(first) => {
                diagnostics::note(&format!("but {} comes first in the search path", first.display()))
            }
            None => diagnostics::note(
                "but that folder is not in the search path; see `queuectl plugin:list --help`",
            ),
        }
        Ok(Exit::OK)
    }
}

/// Lets others read and execute, and only the owner write. The loader refuses other modes.
#[cfg(unix)]
fn make_private(path: &std::path::Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
}

#[cfg(not(unix))]
fn make_private(_: &std::path::Path) -> io::Result<()> {
    Ok(())
}

fn make_folder(path: &std::path::Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o755);
    builder.recursive(true).create(path)
}
