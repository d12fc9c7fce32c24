//! `schedule:add`: stores a schedule.

use anyhow::Result;
use clap::Args;
use queuectl_core::ScheduleName;
use queuectl_core::schedule::{MISSED_WITHIN_DEFAULT, MissedPolicy, Overlap, ScheduleSpec, template_fault};
use queuectl_storage::{ScheduleChange, Store};
use queuectl_views::ScheduleChangedView;

use super::options::{PolicyOptions, job};
use super::times::{Times, here, in_zone};
use crate::commands::enqueue::options::JobOptions;
use crate::commands::enqueue::submit::checked;
use crate::commands::op::begin_operation;
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::registry::Run;

/// Run a job at given times
#[derive(Debug, Args)]
#[command(after_help = "\
WHEN is five fields as in a crontab (minute, hour, day of the month, month, day of the week), six with seconds first, \
@hourly, @daily, @weekly, @monthly, @yearly, or @every 90s, counted from now. If both kinds of day are given, either \
may match; if one of them begins with *, both must. When clocks change, a fixed time that is left out runs right \
after the change, and one that comes twice runs once; times with * in minute or hour follow the clock.

Any node of the queue makes the jobs, each tick once. They find their schedule in QUEUECTL_SCHEDULE, the \
tick's time in QUEUECTL_SCHEDULED_AT (UTC), and on-time, late, catch-up, backfill or manual in QUEUECTL_TICK. A run that \
waits for its retry has not ended.

Examples:
  queuectl schedule:add backup '30 2 * * *' -- /usr/local/bin/backup --full
  queuectl schedule:add report '0 9 * * MON-FRI' --tz Europe/Berlin --queue mail 'make report | mail ann'
  queuectl schedule:add poll '@every 90s' --overlap skip --missed skip -- curl -fsS https://example.com/")]
pub struct AddArgs {
    /// The schedule's name
    #[arg(value_name = "NAME")]
    name: ScheduleName,
    /// When it runs, as one word: put it in quotes
    #[arg(value_name = "WHEN", allow_hyphen_values = true)]
    when: String,
    /// The command, as with `enqueue`
    #[arg(
        value_name = "COMMAND",
        trailing_var_arg = true,
        required_unless_present_any = ["command", "payload"],
        conflicts_with = "command"
    )]
    words: Vec<String>,
    #[command(flatten)]
    policy: PolicyOptions,
    #[command(flatten)]
    job: JobOptions,
}

impl Run for AddArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut spec = ScheduleSpec {
            name: self.name,
            when: self.when,
            zone: here(),
            job: job(self.words, self.job)?,
            missed: MissedPolicy::Last,
            missed_within_ms: MISSED_WITHIN_DEFAULT,
            overlap: Overlap::Skip,
            jitter_ms: None,
            pause_after: None,
            owner: None,
        };
        self.policy.apply(&mut spec);
        let spec = checked_schedule(spec, context)?;
        let mut store = context.open_or_create()?;
        let now = store.now()?;
        let what = format!("{}: {} in {}", spec.name, spec.when, spec.zone);
        begin_operation(&mut store, "schedule:add", what)?;
        store.change_schedules(&[ScheduleChange::Add(spec.clone())], now)?;
        say(&mut store, &spec, "added", context)?;
        Ok(Exit::OK)
    }
}

/// Checks a schedule, also its job with its executor. Call it before the queue is opened: a mistake must not create one.
pub fn checked_schedule(mut spec: ScheduleSpec, context: &Context) -> Result<ScheduleSpec> {
    let now = queuectl_core::Timestamp(0);
    let times = Times::of(&spec, now)?;
    spec.when = times.expr.to_string();
    if let Some(fault) = template_fault(&spec.job) {
        return Err(Usage::new(fault).into());
    }
    let job = checked(spec.job, context)?;
    spec.job = (*job).clone();
    Ok(spec)
}

/// Prints what became of a schedule, and its next time.
pub fn say(store: &mut Store, spec: &ScheduleSpec, result: &'static str, context: &Context) -> Result<()> {
    let stored = store.schedule(&spec.name)?;
    let next = match (stored.next_due, &stored.paused) {
        (_, Some(_)) => "it is paused".to_owned(),
        (None, None) => "it does not come again within eight years".to_owned(),
        (Some(next), None) => {
            let times = Times::of(spec, stored.start_at)?;
            format!("next {} ({})", in_zone(next, &times.zone), spec.zone)
        }
    };
    let view = ScheduleChangedView {
        schedule: spec.name.to_string(),
        result,
        next_due: stored.next_due,
    };
    context
        .output
        .done(&view, &format!("schedule {} {result}; {next}", spec.name));
    if let Some(warning) = missed_and_overlap(spec) {
        context.output.remark(&warning);
    }
    Ok(())
}

/// Says that ticks which are caught up with come at once, so that most of them do not run, if the overlap policy has it so.
pub fn missed_and_overlap(spec: &ScheduleSpec) -> Option<String> {
    let what = match (spec.missed, spec.overlap) {
        (MissedPolicy::All, Overlap::Skip) => "runs one of them and skips the others",
        (MissedPolicy::All, Overlap::QueueOne) => "runs two of them and skips the others",
        (MissedPolicy::All, Overlap::Cancel) => "cancels all of them but the last",
        _ => return None,
    };
    let (name, overlap) = (&spec.name, spec.overlap.as_str());
    Some(format!(
        "schedule {name}: missed ticks come all at once, and --overlap {overlap} {what}; `queuectl schedule:edit {name} --overlap queue` \
         has all of them run, one after the other"
    ))
}
