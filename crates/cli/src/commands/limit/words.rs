//! What a limit allows, in words, and its view.

use queuectl_core::Limit;
use queuectl_storage::{KeyUse, LimitUse};
use queuectl_views::{LimitKeyView, LimitView};

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
pub fn key_view(key: &KeyUse) -> LimitKeyView {
    LimitKeyView {
        key: key.key.clone(),
        jobs_running: key.running,
        jobs_waiting: key.waiting,
        next_at: key.next_at,
    }
}
