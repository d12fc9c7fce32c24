//! What `schedule:add` and `schedule:edit` have in common: the options about time and policy, and the words of the job.

use std::time::Duration;

use anyhow::Result;
use clap::Args;
use queuectl_core::limits::{MISSED_WITHIN, PAUSE_AFTER, SCHEDULE_JITTER};
use queuectl_core::schedule::{MissedPolicy, Overlap, ScheduleSpec};
use queuectl_core::{JobSpec, whole_ms};

use crate::commands::enqueue::options::JobOptions;
use crate::commands::enqueue::submit::asked;
use crate::commands::enqueue::words::Asked;
use crate::exit::Usage;
use crate::number::{length, whole};

/// Options about when a schedule makes a job, and when not.
#[derive(Debug, Clone, Args)]
pub struct PolicyOptions {
    /// The time zone, an IANA name such as Europe/Berlin [default: this machine's]
    #[arg(long, value_name = "ZONE", visible_alias = "zone")]
    pub tz: Option<String>,
    /// Ticks that no node handled in time: skip them, run the last one, or run all (the newest 100), which come at once and
    /// run one after the other with --overlap queue [default: last]
    #[arg(long, value_name = "skip|last|all")]
    pub missed: Option<MissedPolicy>,
    /// Age up to which a missed tick still runs [default: 1d]
    #[arg(long, value_name = "DURATION", value_parser = length(MISSED_WITHIN), allow_hyphen_values = true)]
    pub missed_within: Option<Duration>,
    /// While a run has not ended: skip the tick, have it wait (queue; queue-one has one wait), cancel the run, or allow both
    /// [default: skip]
    #[arg(long, value_name = "skip|queue-one|queue|cancel|allow")]
    pub overlap: Option<Overlap>,
    /// Start each job up to this long after its tick, always the same for a tick; 0 for no spread
    #[arg(long, value_name = "DURATION", value_parser = none_or(length(SCHEDULE_JITTER)), allow_hyphen_values = true)]
    pub jitter: Option<OrNone<Duration>>,
    /// Pause the schedule after this many dead runs in a row; 0 for never
    #[arg(long, value_name = "N", value_parser = none_or(whole::<u32>(PAUSE_AFTER)), allow_negative_numbers = true)]
    pub pause_after: Option<OrNone<u32>>,
}

/// A value or none, which clap would take for an option without a value.
#[derive(Debug, Clone, Copy)]
pub struct OrNone<T>(Option<T>);

/// Reads a value, with 0 for none.
fn none_or<T: Clone + Send + Sync + 'static>(
    read: impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static,
) -> impl Fn(&str) -> Result<OrNone<T>, String> + Clone + Send + Sync + 'static {
    move |text| match text.trim() {
        "0" => Ok(OrNone(None)),
        text => read(text).map(|value| OrNone(Some(value))),
    }
}

impl PolicyOptions {
    /// Takes over what was given.
    pub fn apply(self, spec: &mut ScheduleSpec) {
        if let Some(tz) = self.tz {
            spec.zone = tz;
        }
        if let Some(missed) = self.missed {
            spec.missed = missed;
        }
        if let Some(within) = self.missed_within {
            spec.missed_within_ms = whole_ms(within);
        }
        if let Some(overlap) = self.overlap {
            spec.overlap = overlap;
        }
        if let Some(OrNone(jitter)) = self.jitter {
            spec.jitter_ms = jitter.map(whole_ms);
        }
        if let Some(OrNone(runs)) = self.pause_after {
            spec.pause_after = runs;
        }
    }
}

/// Returns the job that words and options describe.
pub fn job(words: Vec<String>, options: JobOptions) -> Result<JobSpec> {
    let options = options.into_spec()?;
    if words.is_empty() {
        return Ok(options);
    }
    match asked(words, true, &options)? {
        Asked::One(spec) => Ok(options.or(*spec)),
        Asked::Many(_) => Err(Usage::new("a schedule makes one job at a time, and this is an array").into()),
    }
}
