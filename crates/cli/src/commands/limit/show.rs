//! `limit:show`: a limit, its keys, who holds them and who waits.

use anyhow::Result;
use clap::Args;
use queuectl_core::{LimitName, Timestamp, show_rough, show_short};
use queuectl_frontend::limits::{allows, detail};
use queuectl_views::{LimitJobView, LimitKeyView};

use crate::context::Context;
use crate::exit::Exit;
use crate::output::table::Column;
use crate::registry::Run;

/// Show a limit: its keys, who holds them and who waits
#[derive(Debug, Args)]
#[command(after_help = "\
Keys that most jobs wait for come first, at most 100 of them. Of the jobs, the first 20 that run and the first 20 that \
wait are shown, in the order in which they go on.")]
pub struct ShowArgs {
    /// The limit
    name: LimitName,
    /// Only this key
    #[arg(long)]
    key: Option<String>,
}

const KEY_COLUMNS: [Column; 4] = [
    Column::name("KEY", 12),
    Column::whole("RUNNING"),
    Column::whole("WAITING"),
    Column::whole("NEXT START"),
];

const JOB_COLUMNS: [Column; 5] = [
    Column::name("JOB", 8),
    Column::name("QUEUE", 8).expendable(1),
    Column::name("KEY", 12).expendable(2),
    Column::whole("STATE"),
    Column::whole("FOR"),
];

impl Run for ShowArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let now = store.now()?;
        let detail = detail(&mut store, &self.name, self.key.as_deref(), now)?;
        context.output.document(&detail, |page| {
            page.field("limit", detail.limit.name.as_str())?;
            page.field("allows", &allows(&detail.limit))?;
            let running = match detail.started_now {
                0 => detail.limit.jobs_running.to_string(),
                by_hand => format!("{} ({by_hand} by start --now)", detail.limit.jobs_running),
            };
            page.field("running", &running)?;
            page.field("waiting", &detail.limit.jobs_waiting.to_string())?;
            if detail.limit.per_key || detail.by_key.iter().any(|key| key.next_at.is_some()) {
                page.line("")?;
                page.table(&KEY_COLUMNS, detail.by_key.iter().map(|key| key_row(key, now)))?;
            }
            if !detail.jobs.is_empty() {
                page.line("")?;
                page.table(&JOB_COLUMNS, detail.jobs.iter().map(|job| job_row(job, now)))?;
            }
            Ok(())
        })?;
        Ok(Exit::OK)
    }
}

fn key_row(key: &LimitKeyView, now: Timestamp) -> Vec<String> {
    let next = key.next_at.filter(|next| *next > now);
    vec![
        key.key.clone(),
        key.jobs_running.to_string(),
        key.jobs_waiting.to_string(),
        match (key.busy_until, next) {
            (Some(until), _) => format!("in {} (busy)", show_short(until.since(now))),
            (None, Some(next)) => format!("in {}", show_short(next.since(now))),
            (None, None) => String::new(),
        },
    ]
}

fn job_row(job: &LimitJobView, now: Timestamp) -> Vec<String> {
    vec![
        job.id.clone(),
        job.queue.clone(),
        job.key.clone(),
        if job.runs { "running" } else { "waiting" }.to_owned(),
        show_rough(now.since(job.since)),
    ]
}
