//! Changing a job that was stored: which parts can change, what a change makes of a job, and what it changed.
//!
//! Not here: in which states a job can be changed, and what follows from it for limits and queues. The store knows.

use std::collections::BTreeSet;

use super::spec::{JobSpec, Start};
use super::stored::Job;
use crate::time::Timestamp;

/// The parts of a job that can change, by their names in [`super::FIELDS`].
pub const EDITABLE: [&str; 22] = [
    "command",
    "queue",
    "priority",
    "delay",
    "run_at",
    "timeout",
    "max_retries",
    "backoff_base",
    "executor",
    "limit",
    "labels",
    "comment",
    "on_success",
    "on_failure",
    "on_death",
    "hook_queue",
    "env",
    "cwd",
    "stdin",
    "pty",
    "pty_size",
    "payload",
];

/// Returns whether a part of a job can change.
pub fn is_editable(field: &str) -> bool {
    EDITABLE.contains(&field)
}

/// A change of jobs.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobEdit {
    /// What they get. Variables and labels are added by name, limits take the place of those that a job names.
    pub set: JobSpec,
    /// Parts that they lose: the default counts again.
    pub unset: BTreeSet<&'static str>,
    /// Variables that they lose.
    pub unset_env: BTreeSet<String>,
    /// Keys of labels that they lose.
    pub unset_labels: BTreeSet<String>,
}

impl JobEdit {
    /// Reads what is to be taken away: a part of a job, `env.NAME` or `label.KEY`.
    ///
    /// # Errors
    /// Says what can be taken away.
    pub fn unset(&mut self, text: &str) -> Result<(), String> {
        if let Some(name) = text.strip_prefix("env.").filter(|name| !name.is_empty()) {
            self.unset_env.insert(name.to_owned());
            return Ok(());
        }
        let label = text.strip_prefix("label.").or(text.strip_prefix("labels."));
        if let Some(key) = label.filter(|key| !key.is_empty()) {
            self.unset_labels.insert(key.to_owned());
            return Ok(());
        }
        let name = text.replace('-', "_");
        // As the option is called.
        let name = if name == "label" {
            "labels".to_owned()
        } else {
            name
        };
        match EDITABLE.into_iter().find(|field| *field == name) {
            Some(field) => {
                self.unset.insert(field);
                Ok(())
            }
            None => Err(format!("expected {}, env.NAME or label.KEY", EDITABLE.join(", "))),
        }
    }

    /// Returns what a job is after the change.
    #[must_use]
    pub fn apply(&self, job: JobSpec) -> JobSpec {
        let mut job = job;
        for field in &self.unset {
            clear(&mut job, field);
        }
        job.payload.env.retain(|name, _| !self.unset_env.contains(name));
        job.labels.retain(|key, _| !self.unset_labels.contains(key));
        let set = self.set.clone();
        if !set.limit.is_empty() {
            job.limit.clear();
        }
        set.or(job)
    }
}

impl JobEdit {
    /// Names the parts that it changes, but not what they become.
    pub fn parts(&self) -> Vec<String> {
        let set = self.set.changes(&JobSpec::default());
        let mut parts: Vec<String> = set.into_iter().map(str::to_owned).collect();
        parts.extend(self.unset.iter().map(|field| format!("no {field}")));
        parts.extend(self.unset_env.iter().map(|name| format!("no env.{name}")));
        parts.extend(self.unset_labels.iter().map(|key| format!("no label.{key}")));
        parts
    }

    /// Writes the change, to make it again later.
    pub fn to_json(&self) -> String {
        let unset = self.unset.iter().map(|field| (*field).to_owned());
        let env = self.unset_env.iter().map(|name| format!("env.{name}"));
        let labels = self.unset_labels.iter().map(|key| format!("label.{key}"));
        let unset: Vec<String> = unset.chain(env).chain(labels).collect();
        serde_json::json!({ "set": self.set.to_json(), "unset": unset }).to_string()
    }

    /// Reads what [`JobEdit::to_json`] wrote.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn from_written(text: &str) -> Result<JobEdit, String> {
        #[derive(serde::Deserialize)]
        struct Written {
            set: String,
            unset: Vec<String>,
        }
        let written: Written = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut edit = JobEdit {
            set: JobSpec::from_written(&written.set)?,
            ..JobEdit::default()
        };
        written.unset.iter().try_for_each(|part| edit.unset(part))?;
        Ok(edit)
    }
}

fn clear(job: &mut JobSpec, field: &str) {
    match field {
        "command" => job.payload.command = None,
        "queue" => job.queue = None,
        "priority" => job.priority = None,
        "delay" | "run_at" => job.start = None,
        "timeout" => job.timeout_ms = None,
        "max_retries" => job.max_retries = None,
        "backoff_base" => job.backoff_base = None,
        "executor" => job.executor = None,
        "limit" => job.limit.clear(),
        "labels" => job.labels.clear(),
        "comment" => job.comment = None,
        "on_success" => job.hooks.on_success = None,
        "on_failure" => job.hooks.on_failure = None,
        "on_death" => job.hooks.on_death = None,
        "hook_queue" => job.hooks.to_queue = None,
        "env" => job.payload.env.clear(),
        "cwd" => job.payload.cwd = None,
        "stdin" => job.payload.stdin = None,
        "pty" => job.payload.pty = false,
        "pty_size" => job.payload.pty_size = None,
        "payload" => job.payload.payload = None,
        _ => {}
    }
}

impl JobSpec {
    /// Describes a stored job as it is, with its id and the time at which it is due.
    pub fn of(job: Job) -> JobSpec {
        JobSpec {
            id: job.name.clone(),
            start: job.due_at.map(Start::At),
            ..JobSpec::again(job)
        }
    }

    /// Names the parts in which this differs from another description of the same job, in the order of the help. What was not
    /// said counts as its default.
    pub fn changes(&self, before: &JobSpec) -> Vec<&'static str> {
        let (new, old) = (self, before);
        let start = |job: &JobSpec| match job.start {
            Some(Start::At(time)) => Ok(Some(time)),
            None => Ok(None::<Timestamp>),
            Some(Start::After(delay)) => Err(delay),
        };
        let differs = [
            ("command", new.payload.command != old.payload.command),
            (
                "queue",
                new.queue.clone().unwrap_or_default() != old.queue.clone().unwrap_or_default(),
            ),
            ("priority", new.priority.unwrap_or(0) != old.priority.unwrap_or(0)),
            ("run_at", start(new) != start(old)),
            ("timeout", new.timeout_ms != old.timeout_ms),
            ("max_retries", new.max_retries != old.max_retries),
            ("backoff_base", new.backoff_base != old.backoff_base),
            (
                "executor",
                new.executor.clone().unwrap_or_default() != old.executor.clone().unwrap_or_default(),
            ),
            ("limit", new.limit != old.limit),
            ("labels", new.labels != old.labels),
            ("comment", new.comment != old.comment),
            ("on_success", new.hooks.on_success != old.hooks.on_success),
            ("on_failure", new.hooks.on_failure != old.hooks.on_failure),
            ("on_death", new.hooks.on_death != old.hooks.on_death),
            ("hook_queue", new.hooks.to_queue != old.hooks.to_queue),
            ("env", new.payload.env != old.payload.env),
            ("cwd", new.payload.cwd != old.payload.cwd),
            ("stdin", new.payload.stdin != old.payload.stdin),
            ("pty", new.payload.pty != old.payload.pty),
            ("pty_size", new.payload.pty_size != old.payload.pty_size),
            ("payload", new.payload.payload != old.payload.payload),
        ];
        let changed = differs.into_iter().filter(|(_, differs)| *differs);
        changed.map(|(name, _)| name).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::FIELDS;
    use super::*;

    fn spec(json: &str) -> JobSpec {
        JobSpec::from_written(json).unwrap()
    }

    const FULL: &str = r#"{"command":"a","queue":"q","priority":3,"run_at":"2026-12-24T18:00:00Z","timeout":5,"max_retries":1,
        "backoff_base":3,"executor":"http","limit":["disk"],"labels":{"team":"web","x":""},"comment":"c","on_success":"s","on_failure":"f","on_death":"d","hook_queue":"ops",
        "env":{"A":"1","B":"2"},"cwd":"/tmp","stdin":"in","pty":true,"pty_size":"132x43","payload":{"x":1}}"#;

    /// A new field has to be decided upon: it can change, or it is in this list and docs/selectors.md says why not.
    #[test]
    fn every_field_can_change_or_is_known_not_to() {
        let fixed = [
            "id",
            "hold",
            "after",
            "unmet",
            "unique",
            "unique_for",
            "on_conflict",
            "debounce",
            "max_wait",
            "group",
            "close_group",
        ];
        for field in &FIELDS {
            assert_ne!(
                is_editable(field.name),
                fixed.contains(&field.name),
                "{}",
                field.name
            );
        }
    }

    #[test]
    fn every_part_can_be_taken_away_and_is_named_then() {
        let full = spec(FULL);
        for field in EDITABLE {
            let mut edit = JobEdit::default();
            edit.unset(&field.replace('_', "-")).unwrap();
            let changed = edit.apply(full.clone());
            let name = if field == "delay" { "run_at" } else { field };
            assert_eq!(changed.changes(&full), [name]);
        }
        let mut edit = JobEdit::default();
        assert!(edit.unset("id").unwrap_err().contains("env.NAME"));
        edit.unset("env.A").unwrap();
        edit.unset("label.team").unwrap();
        let changed = edit.apply(full.clone());
        assert_eq!(changed.payload.env.keys().collect::<Vec<_>>(), ["B"]);
        assert_eq!(changed.labels.keys().collect::<Vec<_>>(), ["x"]);
    }

    #[test]
    fn a_change_is_read_as_it_was_written() {
        let mut edit = JobEdit {
            set: spec(FULL),
            ..JobEdit::default()
        };
        for part in ["timeout", "env.A", "label.x", "on-death"] {
            edit.unset(part).unwrap();
        }
        for edit in [edit, JobEdit::default()] {
            assert_eq!(JobEdit::from_written(&edit.to_json()), Ok(edit));
        }
        assert!(JobEdit::from_written(r#"{"set":"{}","unset":["id"]}"#).is_err());
    }

    #[test]
    fn what_is_set_takes_the_place_of_what_was() {
        let full = spec(FULL);
        let edit = JobEdit {
            set: spec(
                r#"{"priority":9,"limit":["net"],"labels":{"team":"db","y":"1"},"env":{"B":"3","C":""},"delay":5}"#,
            ),
            ..JobEdit::default()
        };
        let changed = edit.apply(full.clone());
        assert_eq!(
            changed.changes(&full),
            ["priority", "run_at", "limit", "labels", "env"]
        );
        assert_eq!(changed.limit, spec(r#"{"limit":["net"]}"#).limit);
        assert_eq!(changed.payload.env.values().collect::<Vec<_>>(), ["1", "3", ""]);
        assert_eq!(changed.labels.values().collect::<Vec<_>>(), ["db", "", "1"]);
        assert_eq!(full.changes(&full), <[&str; 0]>::default());
        let defaults = spec(r#"{"command":"a","queue":"default","priority":0,"executor":"shell"}"#);
        assert_eq!(
            spec(r#"{"command":"a"}"#).changes(&defaults),
            <[&str; 0]>::default()
        );
    }
}
