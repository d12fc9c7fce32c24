//! `schedule:import`: stores the entries of a crontab as schedules.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use queuectl_core::schedule::{MISSED_WITHIN_DEFAULT, MissedPolicy, Overlap, ScheduleSpec};
use queuectl_core::{Command, JobSpec, OwnerName, Timestamp, excerpt};
use queuectl_storage::ScheduleChange;
use queuectl_views::ImportedView;

use super::add::checked_schedule;
use super::crontab::{self, Entry};
use super::times::{Times, here, in_zone};
use crate::commands::op::begin_operation;
use crate::context::Context;
use crate::exit::{Exit, Usage};
use crate::output::diagnostics;
use crate::output::table::Column;
use crate::registry::Run;

/// Store the entries of a crontab as schedules
#[derive(Debug, Args)]
#[command(after_help = "\
Reads what `crontab -l` prints: variables, CRON_TZ (or TZ) as the time zone of the lines below it, SHELL, and % for \
standard input. Jobs run in the home folder, as with cron. Output is kept with the job (`queuectl logs`), and failed jobs \
are in `queuectl dlq:list`; MAILTO counts only with --mail, and then only for jobs whose last attempt failed. Missed runs are not made up for and runs may overlap, as \
with cron; `schedule:edit` changes that. The schedules are named after their programs. All entries are stored or none.

Prints each schedule, its first time, and how often it will run in the next seven days. Remove the lines from the \
crontab afterwards, or both will run.

Examples:
  crontab -l | queuectl schedule:import - --dry-run
  queuectl schedule:import /var/spool/cron/crontabs/ann --owner crontab")]
pub struct ImportArgs {
    /// The crontab; - is standard input
    #[arg(value_name = "CRONTAB")]
    file: String,
    /// Only print what would be stored
    #[arg(long)]
    dry_run: bool,
    /// Mail the output of jobs that are dead to the address in MAILTO, by a hook that calls `mail`
    #[arg(long)]
    mail: bool,
    /// The owner of the schedules, as with `schedule:apply`
    #[arg(long, value_name = "OWNER")]
    owner: Option<OwnerName>,
}

const COLUMNS: [Column; 5] = [
    Column::name("SCHEDULE", 8),
    Column::name("WHEN", 9),
    Column::whole("FIRST"),
    Column::whole("IN 7 D"),
    Column::name("COMMAND", 8).expendable(1),
];

/// Largest crontab, in bytes.
const MOST_BYTES: usize = 1024 * 1024;
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
/// An entry that runs more often in a week is said to run this often: once a second.
const MOST_RUNS: usize = 7 * 24 * 3600;

impl Run for ImportArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let text = read(&self.file)?;
        let crontab = crontab::read(&text);
        if !crontab.mistakes.is_empty() {
            let lines = crontab.mistakes.iter();
            let lines: Vec<String> = lines
                .map(|(line, mistake)| format!("line {line}: {mistake}"))
                .collect();
            return Err(Usage::new(format!("nothing was stored: {}", lines.join("; "))).into());
        }
        for line in crontab.mail.iter().filter(|_| !self.mail) {
            diagnostics::note(&format!(
                "note: line {line}: mail is not carried over (--mail does that for dead jobs); `queuectl logs` has each \
                 job's output"
            ));
        }
        let mut store = if self.dry_run {
            context.open()?
        } else {
            context.open_or_create()?
        };
        let now = store.now()?;
        let stored = store.schedules(None)?;
        let mut names: BTreeSet<String> = stored.into_iter().map(|one| one.spec.name.to_string()).collect();
        let mut changes = Vec::new();
        let mut list = context.output.list(&COLUMNS)?;
        for entry in crontab.entries {
            let line = entry.line;
            let name = name_of(&entry.command, &mut names);
            let mail_to = entry.mail_to.clone().filter(|_| self.mail);
            let mut spec = spec_of(entry, &name, self.owner.clone())?;
            spec.job.hooks.on_death = mail_to.map(|address| mail_hook(&address, line)).transpose()?;
            let spec = checked_schedule(spec, context).with_context(|| format!("line {line}"))?;
            let times = Times::of(&spec, now)?;
            let view = preview(line, &spec, &times, now);
            list.item(&view, || row(&view, &times))?;
            changes.push(ScheduleChange::Add(spec));
        }
        let count = changes.len();
        if !self.dry_run {
            begin_operation(&mut store, "schedule:import", format!("{count} schedules"))?;
            store.change_schedules(&changes, now)?;
        }
        list.end()?;
        let schedules = if count == 1 { "schedule" } else { "schedules" };
        context.output.remark(&match self.dry_run {
            true => format!("{count} {schedules} would be stored"),
            false => format!("{count} {schedules} stored"),
        });
        Ok(Exit::OK)
    }
}

/// Reads a file; - is standard input.
pub fn read(file: &str) -> Result<String> {
    use std::io::Read;
    let mut bytes = Vec::new();
    let most = MOST_BYTES as u64 + 1;
    let read = match file {
        "-" => std::io::stdin().lock().take(most).read_to_end(&mut bytes),
        file => std::fs::File::open(file).and_then(|opened| opened.take(most).read_to_end(&mut bytes)),
    };
    read.map_err(|error| Usage::new(format!("cannot read {file}: {error}")))?;
    if bytes.len() > MOST_BYTES {
        return Err(Usage::new(format!("{file} is longer than {MOST_BYTES} bytes")).into());
    }
    String::from_utf8(bytes).map_err(|_| Usage::new(format!("{file} is not valid UTF-8")).into())
}

/// Returns a name that no schedule has: the program's, with a number if it is taken.
fn name_of(command: &str, taken: &mut BTreeSet<String>) -> String {
    // `cd DIR && PROGRAM` is for the program.
    let program = match command.trim_start().strip_prefix("cd ") {
        Some(rest) => rest
            .split_once("&&")
            .or_else(|| rest.split_once(';'))
            .map(|(_, then)| then),
        None => None,
    };
    let program = program
        .unwrap_or(command)
        .split_whitespace()
        .next()
        .unwrap_or_default();
    let program = program.rsplit('/').next().unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let name: String = program.chars().filter(|c| plain(*c)).take(100).collect();
    let name = name.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let name = if name.is_empty() { "entry" } else { name };
    let mut free = name.to_owned();
    let mut number = 2;
    while !taken.insert(free.clone()) {
        free = format!("{name}-{number}");
        number += 1;
    }
    free
}

/// Returns the command that mails what a dead job printed.
fn mail_hook(address: &str, line: usize) -> Result<Command, Usage> {
    let is_plain = |c: char| c.is_alphanumeric() || "@.,_+-".contains(c);
    if !address.starts_with(char::is_alphanumeric) || !address.chars().all(is_plain) {
        let message = format!("line {line}: '{}' is not an address to mail to", excerpt(address));
        return Err(Usage::new(message));
    }
    Ok(Command::Line(format!(
        "queuectl logs \"$QUEUECTL_HOOK_JOB_ID\" 2>&1 | \
         mail -s \"$QUEUECTL_HOOK_SCHEDULE: job $QUEUECTL_HOOK_JOB_ID is dead ($QUEUECTL_HOOK_OUTCOME)\" {address}"
    )))
}

fn spec_of(entry: Entry, name: &str, owner: Option<OwnerName>) -> Result<ScheduleSpec> {
    let mut job = match entry.shell {
        Some(shell) => {
            let mut job = JobSpec::default();
            let words = vec![shell, "-c".to_owned(), entry.command];
            job.payload.command = Some(Command::Argv(words));
            job
        }
        None => JobSpec::line(entry.command),
    };
    job.payload.cwd = entry
        .env
        .get("HOME")
        .cloned()
        .or_else(|| std::env::var("HOME").ok());
    job.payload.env = entry.env;
    job.payload.stdin = entry.stdin;
    Ok(ScheduleSpec {
        name: name.parse()?,
        when: entry.when,
        zone: entry.tz.unwrap_or_else(here),
        job,
        missed: MissedPolicy::Skip,
        missed_within_ms: MISSED_WITHIN_DEFAULT,
        overlap: Overlap::Allow,
        jitter_ms: None,
        pause_after: None,
        owner,
    })
}

fn preview(line: usize, spec: &ScheduleSpec, times: &Times, now: Timestamp) -> ImportedView {
    let end = now.after(WEEK);
    let mut week = times.after(now).take(MOST_RUNS).take_while(|at| *at <= end);
    let first = week.next();
    ImportedView {
        line,
        schedule: spec.name.to_string(),
        when: spec.when.clone(),
        tz: spec.zone.clone(),
        command: spec.job.payload.display(),
        next_due: first.or_else(|| times.after(now).next()),
        runs_in_a_week: first.map_or(0, |_| week.count() as u64 + 1),
    }
}

fn row(view: &ImportedView, times: &Times) -> Vec<String> {
    vec![
        view.schedule.clone(),
        view.when.clone(),
        view.next_due
            .map_or_else(|| "-".to_owned(), |at| in_zone(at, &times.zone)),
        view.runs_in_a_week.to_string(),
        view.command.clone(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_named_after_its_program() {
        let mut taken = BTreeSet::new();
        for (command, name) in [
            ("/usr/bin/backup --full", "backup"),
            ("cd /srv && ./poll.sh >/dev/null", "poll.sh"),
            ("cd /srv; ./poll.sh", "poll.sh-2"),
            ("cd /srv", "cd"),
            ("cdrecord && x", "cdrecord"),
            ("./-", "entry"),
        ] {
            assert_eq!(name_of(command, &mut taken), name, "{command}");
        }
    }
}
