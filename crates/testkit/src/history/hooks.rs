//! Hooks: each is stored exactly as often as what it is for happened to its job.

use std::collections::HashMap;

use queuectl_core::{HookOn, HookOns, JobId};
use queuectl_storage::LedgerEvent;
use serde_json::Value;

use super::{History, StoredJob, Verdict, Violation};

/// Hooks of all jobs, or of a queue's, at a moment of the ledger.
#[derive(Default)]
struct Added(HashMap<String, (HookOns, Option<String>)>);

impl Added {
    /// Takes in that one was added or removed.
    fn follow(&mut self, event: &LedgerEvent) {
        let detail = event.detail.as_deref();
        let Some(detail) = detail.and_then(|detail| serde_json::from_str::<Value>(detail).ok()) else {
            return;
        };
        let text = |name: &str| detail.get(name)?.as_str().map(str::to_owned);
        let Some(hook) = text("hook") else { return };
        if event.kind == "hook added" {
            let on = text("on").and_then(|on| on.parse().ok()).unwrap_or(HookOns::NONE);
            self.0.insert(hook, (on, text("queue")));
        } else if event.kind == "hook removed" {
            self.0.remove(&hook);
        }
    }

    /// How many the end of an attempt of a job in that queue fires.
    fn fired(&self, on: HookOn, queue: &str) -> usize {
        let fires = |(ons, of): &&(HookOns, Option<String>)| {
            ons.has(on) && of.as_deref().is_none_or(|of| of == queue)
        };
        self.0.values().filter(fires).count()
    }
}

/// Checks the hooks of all jobs that are there, none of which was removed: their own, and those that were added meanwhile. A
/// ledger that has been kept from the beginning says how often each job succeeded, failed and died; an attempt that failed
/// after its job was cancelled fires none. A job that is a hook fires none, either.
pub fn check_hooks(history: &History, found: &[StoredJob], events: &[LedgerEvent]) -> Vec<Violation> {
    let is_hook = |one: &StoredJob| one.job.enqueued_by.is_some_and(|by| by.hook.is_some());
    let jobs: HashMap<JobId, &StoredJob> = found.iter().map(|one| (one.job.id, one)).collect();
    let mut added = Added::default();
    let mut wanted: HashMap<(JobId, HookOn), usize> = HashMap::new();
    for event in events {
        let Some(job) = event.job else {
            added.follow(event);
            continue;
        };
        let Some(one) = jobs.get(&job).filter(|one| !is_hook(one)) else {
            continue;
        };
        let ons: &[HookOn] = match event.kind.as_str() {
            "succeeded" => &[HookOn::Success],
            "failed" => &[HookOn::Failure],
            "dead" => &[HookOn::Failure, HookOn::Death],
            _ => &[],
        };
        for on in ons {
            let own = usize::from(one.job.hooks.get(*on).is_some());
            *wanted.entry((job, *on)).or_default() += own + added.fired(*on, one.job.queue.as_str());
        }
    }
    let mut stored: HashMap<(JobId, HookOn), usize> = HashMap::new();
    for by in found.iter().filter_map(|one| one.job.enqueued_by) {
        if let Some(on) = by.hook {
            *stored.entry((by.job, on)).or_default() += 1;
        }
    }
    let mut violations = Vec::new();
    for one in found {
        for on in HookOn::ALL {
            let job = one.job.id;
            let wanted = wanted.get(&(job, on)).copied().unwrap_or(0);
            let are = stored.get(&(job, on)).copied().unwrap_or(0);
            if are != wanted {
                violations.push(Violation {
                    verdict: Verdict::Hook,
                    job: Some(job),
                    name: one.name().to_owned(),
                    detail: format!("its hooks for {on} are {are}, and there should be {wanted}"),
                    history: history.of_job(Some(job), one.name()),
                });
            }
        }
    }
    violations
}
