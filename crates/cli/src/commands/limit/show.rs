//! `limit:show`: a limit, its keys, who holds them and who waits.

use anyhow::Result;
use clap::Args;
use queuectl_core::{LimitName, Timestamp, show_rough, show_short};
use queuectl_storage::{KeyJob, StoreError};
use queuectl_views::{LimitDetailView, LimitJobView, LimitKeyView};

use super::words::{allows, key_view, view};
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

/// Keys that are shown.
const KEYS: usize = 100;
/// Jobs that are shown of those that run, and of those that wait.
const JOBS: usize = 20;

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
        let Some((limit, mut keys)) = store.limit(&self.name)? else {
            return Err(StoreError::NoSuchLimit {
                name: self.name.to_string(),
                index: 0,
            }
            .into());
        };
        let now = store.now()?;
        let (running, waiting) = (
            keys.iter().map(|key| key.running).sum(),
            keys.iter().map(|key| key.waiting).sum(),
        );
        let view = view(&limit, running, waiting, keys.len() as u64);
        if let Some(only) = &self.key {
            let whole = format!("{}:{only}", self.name);
            keys.retain(|key| key.key == whole || key.key == *only);
        }
        keys.sort_by(|a, b| (b.waiting, b.running, &a.key).cmp(&(a.waiting, a.running, &b.key)));
        keys.truncate(KEYS);
        let mut jobs: Vec<KeyJob> = Vec::new();
        for key in &keys {
            let shown = |runs| jobs.iter().filter(|job| job.runs == runs).count();
            if shown(true) >= JOBS && shown(false) >= JOBS {
                break;
            }
            jobs.extend(store.jobs_of_key(&key.key, JOBS as u32)?);
        }
        let mut left = [JOBS, JOBS];
        jobs.retain(|job| {
            let left = &mut left[usize::from(job.runs)];
            let is_shown = *left > 0;
            *left = left.saturating_sub(1);
            is_shown
        });
        jobs.sort_by_key(|job| !job.runs);
        let detail = LimitDetailView {
            limit: view,
            by_key: keys.iter().map(key_view).collect(),
            jobs: jobs.iter().map(job_view).collect(),
        };
        context.output.document(&detail, |page| {
            page.field("limit", detail.limit.name.as_str())?;
            page.field("allows", &allows(&detail.limit))?;
            page.field("running", &detail.limit.jobs_running.to_string())?;
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

fn job_view(job: &KeyJob) -> LimitJobView {
    LimitJobView {
        id: job.name.clone().unwrap_or_else(|| job.job.to_string()),
        number: job.job,
        queue: job.queue.clone(),
        key: job.key.clone(),
        runs: job.runs,
        since: job.since,
    }
}

fn key_row(key: &LimitKeyView, now: Timestamp) -> Vec<String> {
    let next = key.next_at.filter(|next| *next > now);
    vec![
        key.key.clone(),
        key.jobs_running.to_string(),
        key.jobs_waiting.to_string(),
        next.map_or_else(String::new, |next| format!("in {}", show_short(next.since(now)))),
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
