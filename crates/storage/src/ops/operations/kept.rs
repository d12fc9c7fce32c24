//! How a job was before a change of its state or an edit, as it is kept for an undo.

use std::collections::BTreeMap;

use queuectl_core::{Job, JobSpec};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::rows::JobRow;

/// What a change of its state changes of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::ops) struct Before {
    pub attempts: i32,
    pub system_failures: i32,
    /// When it was due, or is once nothing blocks it.
    pub due_at: Option<i64>,
    pub waits: i32,
    pub unmet: Option<i64>,
}

impl Before {
    pub fn of(row: &JobRow) -> Before {
        Before {
            attempts: row.attempts,
            system_failures: row.system_failures,
            due_at: row.due_at.or(row.resume_at),
            waits: row.waits,
            unmet: row.unmet,
        }
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The parts of a job by name, as they are written.
type Parts = BTreeMap<String, Box<RawValue>>;

/// What an edit changed of a job.
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::ops) struct EditedParts {
    /// The parts that changed.
    changed: Vec<String>,
    /// What of them was said before, and after.
    before: Parts,
    after: Parts,
}

fn parts(job: Job) -> Parts {
    serde_json::from_str(&JobSpec::of(job).to_json()).unwrap_or_default()
}

impl EditedParts {
    pub fn new(before: Job, after: Job, changed: &[&'static str]) -> EditedParts {
        let of = |job| {
            let mut parts = parts(job);
            parts.retain(|name, _| changed.contains(&name.as_str()));
            parts
        };
        EditedParts {
            changed: changed.iter().map(|name| (*name).to_owned()).collect(),
            before: of(before),
            after: of(after),
        }
    }

    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What a job becomes if the parts that are still as the edit left them are as before; none if there is no such part.
    pub fn back(&self, job: Job) -> Option<Result<JobSpec, String>> {
        let mut now = parts(job);
        let text = |part: Option<&Box<RawValue>>| part.map(|raw| raw.get().to_owned());
        let mut any = false;
        for name in &self.changed {
            if text(now.get(name)) != text(self.after.get(name)) {
                continue;
            }
            any = true;
            match self.before.get(name) {
                Some(before) => drop(now.insert(name.clone(), before.clone())),
                None => drop(now.remove(name)),
            }
        }
        let written = serde_json::to_string(&now).unwrap_or_default();
        any.then(|| JobSpec::from_written(&written))
    }
}
