//! `plugin:check`: whether a plugin keeps the rules, case by case; and the hidden `plugin:check-case`, the process in
//! which a single case is tried.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use jiff::ZonedDateTime;
use queuectl_conformance::{Checked, Options, Verdict, check_plugin, serve_case};
use queuectl_core::range::Whole;
use queuectl_core::{Clock as _, JobSpec, SystemClock, parse_duration, show_short};
use queuectl_views::{PluginCaseView, PluginCheckView};

use super::run::executor_of;
use super::{file, settings};
use crate::context::Context;
use crate::exit::{Exit, Failed, Usage};
use crate::input::validate;
use crate::number::whole;
use crate::output::page::Page;
use crate::output::warn_unprinted;
use crate::registry::Run;

/// Jobs run at a time, in the cases that run many.
const MANY: Whole = Whole { min: 1, max: 10_000 };

/// Check that a plugin follows the rules of the plugin ABI
#[derive(Debug, Args)]
#[command(after_help = "\
Each case runs in its own process, so a plugin may crash or hang. Cases that run jobs need one that succeeds: for a \
plugin with the capability \"command\" and no required payload it is `true`, and the long job is `sleep`; for other \
plugins give --job and --long-job. queuectl_plugin.h states the rules, and docs/plugins.md explains them.

Exit status: 0 if every case that ran passed, 1 if one failed, 7 if the plugin cannot be loaded.")]
pub struct CheckArgs {
    /// The plugin's file, or an executor's name
    #[arg(value_name = "FILE|NAME")]
    plugin: String,
    /// A file with a job as JSON, as `enqueue` takes it, that must succeed
    #[arg(long, value_name = "JOB.json")]
    job: Option<String>,
    /// A file with a job that takes a few seconds and then succeeds; it is stopped, killed and taken over while it runs
    #[arg(long, value_name = "JOB.json")]
    long_job: Option<String>,
    /// Time limit for a case; a few may take three times as long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true, default_value = "10s")]
    timeout: Duration,
    /// Jobs run at a time, in the cases that run many
    #[arg(long, value_name = "N", allow_negative_numbers = true, default_value_t = 1000, value_parser = whole::<u16>(MANY))]
    many: u16,
}

/// Try one case of a plugin's check; plugin:check starts this itself
#[derive(Debug, Args)]
pub struct CaseArgs {
    /// The plugin's file
    file: PathBuf,
    /// The name of the case
    case: String,
}

fn case_view(checked: &Checked) -> PluginCaseView {
    let (result, detail) = match &checked.verdict {
        Verdict::Ok => ("ok", None),
        Verdict::Failed(what) => ("failed", Some(what.clone())),
        Verdict::Skipped(why) => ("skipped", Some(why.clone())),
    };
    PluginCaseView {
        name: checked.name,
        rule: checked.rule,
        result,
        detail,
        duration_ms: checked.took.as_millis(),
    }
}

impl Run for CaseArgs {
    fn run(self, _: &Context) -> Result<Exit> {
        serve_case(&self.file, &self.case)?;
        Ok(Exit::OK)
    }
}

/// Longest that a case may take by default.
const LIMIT: Duration = Duration::from_secs(10);
/// Jobs at a time, in a check before an installation.
const FEW: usize = 50;

/// What a check is made with, without jobs of one's own.
fn options(plugin: &Path, context: &Context) -> Result<Options> {
    let (executor, folder) = executor_of(plugin)?;
    let mut worker: Vec<OsString> = vec!["worker:run".into(), "--plugin-dir".into(), folder.into()];
    worker.extend(context.shared_options());
    Ok(Options {
        file: plugin.to_owned(),
        executor,
        helper: vec!["plugin:check-case".into()],
        worker,
        settings: settings(context)?,
        sample: None,
        long: None,
        limit: LIMIT,
        many: FEW,
        silent: !context.is_verbose(),
    })
}

/// The rules that a plugin breaks, each with what happened.
pub fn broken_rules(plugin: &Path, job: Option<&str>, context: &Context) -> Result<Vec<String>> {
    let mut options = options(plugin, context)?;
    options.sample = job.map(sample).transpose()?;
    let mut broken = Vec::new();
    check_plugin(&options, |checked| {
        if let Verdict::Failed(what) = &checked.verdict {
            broken.push(format!("{}: {what}", checked.name));
        }
    })
    .map_err(Failed::executor)?;
    Ok(broken)
}

impl Run for CheckArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let plugin = file(&self.plugin, context)?;
        let options = Options {
            sample: self.job.as_deref().map(sample).transpose()?,
            long: self.long_job.as_deref().map(sample).transpose()?,
            limit: self.timeout,
            many: self.many.into(),
            ..options(&plugin, context)?
        };
        let begun = Instant::now();
        let mut cases = Vec::new();
        let mut printed = Ok(());
        check_plugin(&options, |checked| {
            let case = case_view(checked);
            if printed.is_ok() {
                printed = context.output.for_people(|page| print(&case, page));
            }
            cases.push(case);
        })
        .map_err(Failed::executor)?;
        let count = |result| cases.iter().filter(|case| case.result == result).count();
        let (passed, failed, skipped) = (count("ok"), count("failed"), count("skipped"));
        let took = show_short(begun.elapsed());
        let summary = format!("{passed} ok, {failed} failed, {skipped} skipped in {took}");
        let view = PluginCheckView {
            file: plugin.display().to_string(),
            ok: failed == 0,
            passed,
            failed,
            skipped,
            cases,
        };
        let printed = printed.and_then(|()| {
            context
                .output
                .document(&view, |page| page.text(&format!("\n{summary}")))
        });
        // The status tells the verdict, whether or not the rest is read.
        warn_unprinted(printed, || summary);
        Ok(if failed == 0 { Exit::OK } else { Exit::NEGATIVE })
    }
}

fn print(case: &PluginCaseView, page: &mut Page) -> io::Result<()> {
    let (name, rule) = (case.name, case.rule);
    let detail = case.detail.as_deref().unwrap_or_default();
    match case.result {
        "failed" => {
            page.line(&format!("FAILED   {name:<17} expected: {rule}"))?;
            page.line(&format!("{:26} happened: {detail}", ""))
        }
        "skipped" => page.line(&format!("skipped  {name:<17} {detail}")),
        _ => page.line(&format!("ok       {name:<17} {rule}")),
    }
}

/// The stored payload of the job in that file.
fn sample(path: &str) -> Result<String> {
    let text = fs::read_to_string(path)
        .map_err(|error| Usage::new(format!("cannot read the job's file {path}: {error}")))?;
    let spec = JobSpec::from_json(&text, ZonedDateTime::now).map_err(Usage::new)?;
    let job = validate(spec, SystemClock.now()).map_err(Usage::new)?;
    Ok(job.stored_payload().to_owned())
}
