//! Limits: what each allows, in words, its view, and the jobs that hold it or wait for it.

use queuectl_core::{Limit, LimitName, Timestamp, show_time};
use queuectl_storage::{KeyJob, KeyUse, LimitUse, Store, StoreError};
use queuectl_views::{LimitDetailView, LimitJobView, LimitKeyView, LimitView};

/// Most keys of a limit that are shown.
const KEYS: usize = 100;
/// Most jobs that are shown of those that run, and of those that wait.
const JOBS: usize = 20;

/// Returns a limit with its keys, or one of them, and its first jobs.
///
/// # Errors
/// [`StoreError::NoSuchLimit`]; [`StoreError::Database`].
pub fn detail(
    store: &mut Store,
    name: &LimitName,
    only: Option<&str>,
    now: Timestamp,
) -> Result<LimitDetailView, StoreError> {
    let Some((limit, mut keys)) = store.limit(name)? else {
        return Err(StoreError::NoSuchLimit {
            name: name.to_string(),
            index: 0,
        });
    };
    let (running, waiting) = (
        keys.iter().map(|key| key.running).sum(),
        keys.iter().map(|key| key.waiting).sum(),
    );
    let view = view(&limit, running, waiting, keys.len() as u64);
    if let Some(only) = only {
        let whole = format!("{name}:{only}");
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
    Ok(LimitDetailView {
        limit: view,
        started_now: store.started_past(name)?,
        by_key: keys.iter().map(|key| key_view(key, now)).collect(),
        jobs: jobs.iter().map(job_view).collect(),
    })
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

/// Says what a limit allows: `2 running per key, 100/10s (burst 10)`.
pub fn allows(limit: &LimitView) -> String {
    let mut parts = Vec::new();
    if let Some(running) = limit.running {
        parts.push(format!("{running} running"));
    }
    if let Some(rate) = &limit.rate {
        let burst = limit.burst.filter(|burst| *burst > 1);
        parts.push(burst.map_or_else(|| rate.clone(), |burst| format!("{rate} (burst {burst})")));
    }
    if let (Some(status), Some(wait)) = (limit.busy_status, limit.busy_wait_ms) {
        parts.push(format!("waits {} after status {status}", show_time(wait)));
    }
    let by_key = if limit.per_key { " per key" } else { "" };
    format!("{}{by_key}", parts.join(", "))
}

/// Returns the view of a limit.
pub fn view(limit: &Limit, running: u64, waiting: u64, keys: u64) -> LimitView {
    LimitView {
        name: limit.name.clone(),
        running: limit.running,
        per_key: limit.per_key,
        rate: limit.rate.map(|rate| rate.to_string()),
        burst: limit.rate.map(|rate| rate.burst),
        busy_status: limit.busy.map(|busy| busy.status),
        busy_wait_ms: limit.busy.map(|busy| busy.wait_ms),
        jobs_running: running,
        jobs_waiting: waiting,
        keys,
        created_at: limit.created_at,
        updated_at: limit.updated_at,
    }
}

/// Returns the view of a limit and its jobs.
pub fn view_of(found: &LimitUse) -> LimitView {
    view(&found.limit, found.running, found.waiting, found.keys)
}

/// Returns the view of a key.
pub fn key_view(key: &KeyUse, now: Timestamp) -> LimitKeyView {
    LimitKeyView {
        key: key.key.clone(),
        jobs_running: key.running,
        jobs_waiting: key.waiting,
        next_at: key.next_at,
        busy_until: key.busy_until.filter(|until| *until > now),
    }
}
