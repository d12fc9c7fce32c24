//! `plugin:run`: runs one job on a plugin, without a queue, for authors of plugins.

use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use jiff::ZonedDateTime;
use queuectl_core::{Clock, ExecutorName, JobId, JobSpec, SystemClock, parse_duration};
use queuectl_executor::{Report, Run, RunKey};
use queuectl_views::PluginRunView;
use queuectl_worker::{StandaloneOptions, StandaloneWorker, new_store};

use super::{file, settings};
use crate::context::Context;
use crate::exit::{Exit, Failed, Usage};
use crate::input::validate;
use crate::output::{diagnostics, warn_unprinted};
use crate::registry;

/// Run one job on a plugin, without a queue, and print its output
#[derive(Debug, Args)]
#[command(after_help = "\
The job runs in a worker process, as in a node, once and without retries. Exit status: the job's own, as a shell would \
report it; 124 if --timeout ran out.")]
pub struct RunArgs {
    /// The plugin's file, or an executor's name
    #[arg(value_name = "FILE|NAME")]
    plugin: String,
    /// A file with a job as JSON, as `enqueue` takes it
    #[arg(value_name = "JOB.json")]
    job: String,
    /// Stop the job if it runs longer
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true, default_value = "10m")]
    timeout: Duration,
}

/// Time after the job's timeout, including its grace, after which the plugin counts as hanging.
const MARGIN: Duration = Duration::from_secs(15);

impl registry::Run for RunArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let plugin = file(&self.plugin, context)?;
        let text = fs::read_to_string(&self.job).with_context(|| format!("cannot read {}", self.job))?;
        let spec = JobSpec::from_json(&text, ZonedDateTime::now).map_err(Usage::new)?;
        let job = validate(spec, SystemClock.now()).map_err(Usage::new)?;
        let (executor, folder) = executor_of(&plugin)?;
        let mut worker: Vec<OsString> = vec!["worker:run".into(), "--plugin-dir".into(), folder.into()];
        worker.extend(context.shared_options());
        let mut worker = StandaloneWorker::start(StandaloneOptions {
            args: worker,
            settings: settings(context)?,
            store: new_store(),
            silent: false,
        })
        .map_err(Failed::executor)?;
        let scratch = std::env::temp_dir().join(format!("queuectl-run-{}", std::process::id()));
        worker
            .run(Run {
                key: RunKey {
                    job: JobId(1),
                    fence: 1,
                },
                public_id: job
                    .id
                    .as_ref()
                    .map_or_else(|| "1".to_owned(), |name| name.to_string()),
                attempt: 1,
                queue: job.queue().to_owned(),
                executor,
                payload: job.stored_payload().to_owned(),
                terminal: job.payload.terminal(),
                parents: None,
                groups: None,
                checkpoint: None,
                timeout: Some(job.timeout_ms.map_or(self.timeout, Duration::from_millis)),
                kill_grace: Duration::from_secs(5),
                leftovers: queuectl_core::settings::Leftovers::Kill,
                output_limit: 16 * 1024 * 1024,
                output_file_limit: 0,
                output_file: scratch,
                used: Duration::ZERO,
            })
            .map_err(Failed::executor)?;
        let finished = loop {
            match worker
                .next(self.timeout.saturating_add(MARGIN))
                .map_err(Failed::executor)?
            {
                Report::Finished(finished) => break finished,
                Report::Ending { reason, .. } => return Err(Failed::executor(reason).into()),
                Report::Handle { handle, .. } => {
                    diagnostics::note(&format!("saved a handle of {} bytes", handle.len()))
                }
                // Nothing here is suspended.
                Report::Suspension { .. } => {}
            }
        };
        let (outcome, output) = (&finished.outcome, &finished.output);
        let bytes = [output.head.as_slice(), output.tail.as_slice()].concat();
        let view = PluginRunView {
            outcome,
            output: String::from_utf8_lossy(&bytes).into_owned(),
            output_bytes: output.total_bytes,
            retry_after_ms: finished.advice.wait.map(|wait| wait.as_millis()),
            busy: finished.advice.is_busy,
            is_final: finished.advice.is_final,
        };
        let printed = context.output.document(&view, |_| {
            let mut out = context.output.bytes(std::io::stdout().lock());
            out.write(&bytes).and_then(|()| out.finish())
        });
        let busy = if view.busy { "is busy and " } else { "" };
        let wait = view
            .retry_after_ms
            .map(|ms| format!(", {busy}asks to wait {ms} ms"));
        context.output.remark(&format!(
            "{}: {}{}",
            outcome.kind,
            outcome.message,
            wait.unwrap_or_default()
        ));
        warn_unprinted(printed, || "the job ran".to_owned());
        worker.recorded(finished.key).map_err(Failed::executor)?;
        let status = worker.leave(MARGIN).map_err(Failed::executor)?;
        if !status.success() {
            return Err(
                Failed::executor(format!("the worker process ended badly after the job: {status}")).into(),
            );
        }
        Ok(match outcome.kind {
            queuectl_core::OutcomeKind::TimedOut => Exit::TIMEOUT,
            queuectl_core::OutcomeKind::Succeeded => Exit::OK,
            _ => Exit(outcome.shell_status().max(1)),
        })
    }
}

/// Returns the executor's name, taken from the file name, and the folder of the file.
pub fn executor_of(plugin: &std::path::Path) -> Result<(ExecutorName, std::path::PathBuf)> {
    let folder = plugin.parent().unwrap_or(plugin).to_owned();
    let name = queuectl_executor::SearchPath::new([folder.clone()]).list();
    let found = name.into_iter().find(|found| found.path == *plugin);
    let found = found.ok_or_else(|| {
        let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        Usage::new(format!(
            "{} is not a file that is named like a plugin",
            plugin.display()
        ))
        .hint(format!("name it {prefix}queuectl_plugin_NAME{suffix}"))
    })?;
    Ok((found.name.parse()?, folder))
}
