//! `schedule:apply`: makes the schedules of an owner those of a file.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use jiff::ZonedDateTime;
use queuectl_core::limits::SCHEDULES;
use queuectl_core::schedule::{MISSED_WITHIN_DEFAULT, MissedPolicy, Overlap, ScheduleSpec};
use queuectl_core::{JobSpec, OwnerName, ScheduleName, parse_duration, whole_ms};
use queuectl_storage::{ScheduleChange, StoreError};
use queuectl_views::ScheduleChangedView;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::add::{checked_schedule, missed_and_overlap};
use super::times::here;
use crate::commands::op::begin_operation;
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::registry::Run;

/// Make the schedules of an owner those of a file
#[derive(Debug, Args)]
#[command(after_help = "\
The file is a JSON array of schedules: {\"name\", \"when\", \"job\"} and, if wanted, \"tz\", \"missed\", \
\"missed_within\", \"overlap\", \"jitter\" and \"pause_after\", as with `schedule:add`. \"job\" is a job as with \
`enqueue`, or a command line. Schedules of the owner that are not in the file are removed, others are left alone: a \
name that another owner has is a conflict. All changes are made or none. A schedule that stays as it is keeps its \
ticks and its next time.

Example:
  queuectl schedule:apply schedules.json --owner web")]
pub struct ApplyArgs {
    /// The file; - is standard input
    #[arg(value_name = "FILE")]
    file: String,
    /// Whose schedules these are
    #[arg(long, value_name = "OWNER")]
    owner: OwnerName,
    /// Only print what would change
    #[arg(long)]
    dry_run: bool,
}

/// A schedule of a file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    name: ScheduleName,
    when: String,
    job: Box<RawValue>,
    tz: Option<String>,
    missed: Option<String>,
    missed_within: Option<String>,
    overlap: Option<String>,
    jitter: Option<String>,
    pause_after: Option<u32>,
}

impl Run for ApplyArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let text = super::import::read(&self.file)?;
        let wanted = self.wanted(&text, context)?;
        let mut store = if self.dry_run {
            context.open()?
        } else {
            context.open_or_create()?
        };
        let now = store.now()?;
        let stored = store.schedules(None)?.into_iter();
        let mut stored: BTreeMap<ScheduleName, ScheduleSpec> =
            stored.map(|one| (one.spec.name.clone(), one.spec)).collect();
        let mut changes = Vec::new();
        let mut results = Vec::new();
        for spec in wanted {
            let name = spec.name.to_string();
            let result = match stored.remove(&spec.name) {
                Some(before) if before.owner != spec.owner => {
                    return Err(StoreError::ScheduleTaken(name).into());
                }
                Some(before) if before == spec => "unchanged",
                Some(_) => {
                    changes.push(ScheduleChange::Replace(spec));
                    "changed"
                }
                None => {
                    changes.push(ScheduleChange::Add(spec));
                    "added"
                }
            };
            results.push((name, result));
        }
        for (name, spec) in stored {
            if spec.owner.as_ref() == Some(&self.owner) {
                results.push((name.to_string(), "removed"));
                changes.push(ScheduleChange::Remove(name));
            }
        }
        if !self.dry_run {
            let names: Vec<String> = results
                .iter()
                .filter(|(_, result)| *result != "unchanged")
                .map(|(name, result)| format!("{name} {result}"))
                .collect();
            begin_operation(&mut store, "schedule:apply", names.join(", "))?;
            store.change_schedules(&changes, now)?;
        }
        for change in &changes {
            if let ScheduleChange::Add(spec) | ScheduleChange::Replace(spec) = change
                && let Some(warning) = missed_and_overlap(spec)
            {
                context.output.remark(&warning);
            }
        }
        for (schedule, result) in results {
            let line = match self.dry_run {
                true => format!("schedule {schedule} would be {result}"),
                false => format!("schedule {schedule} {result}"),
            };
            let view = ScheduleChangedView {
                schedule,
                result,
                next_due: None,
            };
            context.output.done(&view, &line);
        }
        Ok(Exit::OK)
    }
}

impl ApplyArgs {
    /// Reads the file.
    fn wanted(&self, text: &str, context: &Context) -> Result<Vec<ScheduleSpec>> {
        let given: Vec<Given> =
            serde_json::from_str(text).map_err(|error| Usage::new(format!("{}: {error}", self.file)))?;
        if given.len() > SCHEDULES {
            return Err(StoreError::TooManySchedules.into());
        }
        let mut wanted: BTreeMap<ScheduleName, ScheduleSpec> = BTreeMap::new();
        for one in given {
            let name = one.name.clone();
            let bad = |problem: String| Usage::new(format!("schedule '{name}': {problem}"));
            let spec = self.spec(one).map_err(bad)?;
            let spec = checked_schedule(spec, context).map_err(|error| bad(format!("{error:#}")))?;
            if wanted.insert(name.clone(), spec).is_some() {
                return Err(bad("it is in the file twice".to_owned()).into());
            }
        }
        Ok(wanted.into_values().collect())
    }

    fn spec(&self, given: Given) -> Result<ScheduleSpec, String> {
        let ms = |name: &str, text: Option<String>| match text {
            Some(text) => parse_duration(&text)
                .map(|time| Some(whole_ms(time)))
                .map_err(|error| format!("\"{name}\": {error}")),
            None => Ok(None),
        };
        Ok(ScheduleSpec {
            name: given.name,
            when: given.when,
            zone: given.tz.unwrap_or_else(here),
            job: JobSpec::from_json(given.job.get(), ZonedDateTime::now)?,
            missed: given.missed.map_or(Ok(MissedPolicy::Last), |word| word.parse())?,
            missed_within_ms: ms("missed_within", given.missed_within)?.unwrap_or(MISSED_WITHIN_DEFAULT),
            overlap: given.overlap.map_or(Ok(Overlap::Skip), |word| word.parse())?,
            jitter_ms: ms("jitter", given.jitter)?,
            pause_after: given.pause_after,
            owner: Some(self.owner.clone()),
        })
    }
}
