//! Checks a job once: a [`JobSpec`] becomes a [`ValidJob`], which can only be read.
//!
//! Code that has a [`ValidJob`] checks nothing again, except whether the executor takes the job and whether its id is
//! free: those are not known here.

use std::collections::HashMap;
use std::ops::Deref;
use std::time::Duration;

use super::error::JobError;
use super::hook::{EnqueuedBy, HookOn};
use super::payload::{Command, Payload, is_absolute};
use super::spec::{JobSpec, Start};
use crate::dead_letter::IMPORTED_FROM;
use crate::duration::show_time;
use crate::id::{ExecutorName, QueueName};
use crate::limit::LimitKey;
use crate::limits::{
    BACKOFF_BASE, COMMENT_BYTES, DEBOUNCE, HOOK_BYTES, JOB_LIMITS, LABELS, MAX_WAIT, PARENTS, PAYLOAD_BYTES,
    PAYLOAD_DEPTH, PAYLOAD_ITEMS, PRIORITY, RETRIES, SCHEDULE_DAYS, TIMEOUT, UNIQUE_FOR,
};
use crate::quote::excerpt;
use crate::redact::HIDDEN;
use crate::time::Timestamp;

/// A job that can be stored: names, ranges and payload are checked, and the payload is serialised. Its parts are those of
/// the [`JobSpec`], read through [`Deref`].
#[derive(Debug, Clone, PartialEq)]
pub struct ValidJob {
    spec: JobSpec,
    stored: String,
    limits: Option<String>,
    enqueued_by: Option<EnqueuedBy>,
}

impl Deref for ValidJob {
    type Target = JobSpec;

    fn deref(&self) -> &JobSpec {
        &self.spec
    }
}

impl ValidJob {
    /// Returns the payload as JSON, the form that is stored.
    pub fn stored_payload(&self) -> &str {
        &self.stored
    }

    /// Returns its limits with their keys as they are stored: parted by blanks, which no key has. None if it has none.
    pub fn stored_limits(&self) -> Option<&str> {
        self.limits.as_deref()
    }

    /// Whether it has labels or a comment.
    pub fn has_labels(&self) -> bool {
        !self.spec.labels.is_empty() || self.spec.comment.is_some()
    }

    /// Returns the job that has it stored, if one does.
    pub fn enqueued_by(&self) -> Option<EnqueuedBy> {
        self.enqueued_by
    }

    /// Says which job has it stored.
    #[must_use]
    pub fn with_enqueued_by(self, enqueued_by: Option<EnqueuedBy>) -> ValidJob {
        ValidJob { enqueued_by, ..self }
    }

    /// Returns the queue it goes to.
    pub fn queue(&self) -> &str {
        self.spec
            .queue
            .as_ref()
            .map_or(QueueName::DEFAULT, QueueName::as_str)
    }

    /// Returns the executor that runs it.
    pub fn executor(&self) -> &str {
        self.spec
            .executor
            .as_ref()
            .map_or(ExecutorName::DEFAULT, ExecutorName::as_str)
    }

    /// Returns its priority.
    pub fn priority(&self) -> i32 {
        self.spec.priority.unwrap_or(0)
    }

    /// Returns when it may start, if not at once.
    pub fn start(&self) -> Option<Start> {
        let debounce = self.spec.debounce_ms.map(Duration::from_millis);
        self.spec.start.or(debounce.map(Start::After))
    }

    /// Returns by how much a call puts off the job that waits, and how long after that was stored at most. None without
    /// `debounce`.
    pub fn debounce(&self) -> Option<(Duration, Duration)> {
        let by = self.spec.debounce_ms.map(Duration::from_millis)?;
        let most = self.spec.max_wait_ms.map_or(MAX_WAIT, Duration::from_millis);
        Some((by, most.max(by)))
    }
}

impl JobSpec {
    /// Checks everything that can be checked without the executor. `now` only tells whether it starts too far ahead: a
    /// delay counts from when the job is stored.
    ///
    /// # Errors
    /// [`JobError`] names the part that is wrong.
    pub fn validate(self, now: Timestamp) -> Result<ValidJob, JobError> {
        if let Some(place) = hidden_mark(&self.payload) {
            return Err(JobError::Hidden(place));
        }
        self.check_ranges()?;
        self.check_unique()?;
        self.check_parents()?;
        self.check_hooks()?;
        if self.limit.len() > JOB_LIMITS {
            return Err(JobError::TooManyLimits(self.limit.len()));
        }
        // One that `dlq:import` adds does not count.
        let labels = self.labels.keys().filter(|key| *key != IMPORTED_FROM).count();
        if labels > LABELS {
            return Err(JobError::TooManyLabels(labels));
        }
        if let Some(comment) = &self.comment {
            if comment.len() > COMMENT_BYTES {
                return Err(JobError::LongComment(comment.len()));
            }
            if comment.contains('\0') {
                return Err(JobError::NulText("comment"));
            }
        }
        if self.close_group == Some(true) && self.group.is_none() {
            return Err(JobError::NoGroup);
        }
        if let Some(executor) = &self.executor
            && self.payload.terminal().is_some()
            && ["docker", "http", "wasm"].contains(&executor.as_str())
        {
            return Err(JobError::NoTerminal(executor.clone()));
        }
        let ahead = self.start.map(|start| start.at(now).since(now).as_secs());
        if ahead.is_some_and(|seconds| seconds > SCHEDULE_DAYS.unsigned_abs() * 86_400) {
            return Err(JobError::TooFar);
        }
        let stored = self.payload.to_stored()?;
        let limits: Vec<&str> = self.limit.iter().map(LimitKey::as_str).collect();
        let limits = Some(limits.join(" ")).filter(|limits| !limits.is_empty());
        Ok(ValidJob {
            spec: self,
            stored,
            limits,
            enqueued_by: None,
        })
    }

    fn check_hooks(&self) -> Result<(), JobError> {
        if self.hooks.to_queue.is_some() && self.hooks.is_empty() {
            return Err(JobError::NoHook);
        }
        for hook in HookOn::ALL {
            if let Some(command) = self.hooks.get(hook) {
                check_hook(command).map_err(|why| JobError::Hook {
                    hook,
                    why: Box::new(why),
                })?;
            }
        }
        Ok(())
    }

    fn check_parents(&self) -> Result<(), JobError> {
        if self.after.len() > PARENTS {
            return Err(JobError::TooManyParents(self.after.len()));
        }
        let mut conditions = HashMap::new();
        for after in &self.after {
            let job = after.job.to_string();
            if conditions
                .insert(job.clone(), after.condition)
                .is_some_and(|other| other != after.condition)
            {
                return Err(JobError::TwoConditions(job));
            }
        }
        Ok(())
    }

    fn check_ranges(&self) -> Result<(), JobError> {
        let bad = |field, value: String, allowed: String| JobError::OutOfRange {
            field,
            value,
            allowed,
        };
        if let Some(priority) = self.priority.filter(|number| !PRIORITY.contains(*number)) {
            return Err(bad("priority", priority.to_string(), PRIORITY.to_string()));
        }
        if let Some(retries) = self.max_retries.filter(|number| !RETRIES.contains(*number)) {
            return Err(bad("max_retries", retries.to_string(), RETRIES.to_string()));
        }
        if let Some(base) = self.backoff_base.filter(|number| !BACKOFF_BASE.contains(*number)) {
            return Err(bad("backoff_base", base.to_string(), BACKOFF_BASE.to_string()));
        }
        if let Some(timeout) = self.timeout_ms.filter(|ms| !TIMEOUT.contains(*ms)) {
            return Err(bad("timeout", show_time(timeout), TIMEOUT.to_string()));
        }
        Ok(())
    }
}

/// Checks the command of a hook.
///
/// # Errors
/// [`JobError`], as for the command of a job, and [`JobError::HookTooLong`].
pub fn check_hook(command: &Command) -> Result<(), JobError> {
    let payload = Payload {
        command: Some(command.clone()),
        ..Payload::default()
    };
    let bytes = payload.to_stored()?.len();
    if bytes > HOOK_BYTES {
        return Err(JobError::HookTooLong(bytes));
    }
    Ok(())
}

impl JobSpec {
    /// Checks what is said about the key.
    fn check_unique(&self) -> Result<(), JobError> {
        let lengths = [
            ("unique_for", self.unique_for_ms, UNIQUE_FOR),
            ("debounce", self.debounce_ms, DEBOUNCE),
            ("max_wait", self.max_wait_ms, DEBOUNCE),
        ];
        for (field, ms, allowed) in lengths {
            if let Some(ms) = ms.filter(|ms| !allowed.contains(*ms)) {
                return Err(JobError::OutOfRange {
                    field,
                    value: show_time(ms),
                    allowed: allowed.to_string(),
                });
            }
        }
        let choice = self.on_conflict.map(|_| "on_conflict");
        let said = lengths.iter().find(|(_, ms, _)| ms.is_some());
        let said = said.map(|(field, ..)| *field).or(choice);
        if let Some(field) = said.filter(|_| self.unique.is_none()) {
            return Err(JobError::NoKey(field));
        }
        match (self.debounce_ms, self.max_wait_ms) {
            (None, Some(_)) => Err(JobError::NoDebounce),
            (Some(_), _) if self.start.is_some() => Err(JobError::Together("debounce", "a start time")),
            (Some(_), _) if choice.is_some() => Err(JobError::Together("debounce", "on_conflict")),
            _ => Ok(()),
        }
    }
}

impl Payload {
    /// Checks what can be checked without the executor, and returns the JSON that is stored.
    ///
    /// # Errors
    /// [`JobError`] names the part that is wrong.
    pub fn to_stored(&self) -> Result<String, JobError> {
        match &self.command {
            Some(Command::Line(line)) if line.trim().is_empty() => return Err(JobError::EmptyCommand),
            Some(Command::Line(line)) if line.contains('\0') => return Err(JobError::Nul("command")),
            Some(Command::Argv(argv)) => {
                if argv.first().is_none_or(String::is_empty) {
                    return Err(JobError::EmptyCommand);
                }
                if argv.len() > PAYLOAD_ITEMS {
                    return Err(JobError::TooMany("command"));
                }
                if argv.iter().any(|word| word.contains('\0')) {
                    return Err(JobError::Nul("command"));
                }
            }
            None if self.payload.is_none() => return Err(JobError::NothingToRun),
            _ => {}
        }
        if self.env.len() > PAYLOAD_ITEMS {
            return Err(JobError::TooMany("environment"));
        }
        for (name, value) in &self.env {
            if name.is_empty() || name.contains(['=', '\0']) {
                return Err(JobError::EnvName(excerpt(name)));
            }
            if value.contains('\0') {
                return Err(JobError::Nul("environment"));
            }
        }
        if let Some(cwd) = &self.cwd {
            if cwd.contains('\0') {
                return Err(JobError::Nul("working directory"));
            }
            if !is_absolute(cwd) {
                return Err(JobError::RelativeFolder(excerpt(cwd)));
            }
        }
        if let Some(own) = &self.payload {
            // The object around it is a level, too.
            own.check(PAYLOAD_DEPTH - 1)?;
        }
        // Maps with text keys and plain values always serialise.
        let json = serde_json::to_string(self).unwrap_or_default();
        if json.len() > PAYLOAD_BYTES {
            return Err(JobError::TooLarge(json.len()));
        }
        Ok(json)
    }
}

/// Names the part of a job that is what `list` and `show` print for people in place of a secret: it must not become the
/// secret.
fn hidden_mark(payload: &Payload) -> Option<String> {
    // As a whole, or as the part of a text that was a secret: in a URL, behind a name.
    let marks = [
        format!("\"{HIDDEN}\""),
        format!("={HIDDEN}"),
        format!(":{HIDDEN}@"),
        format!("//{HIDDEN}@"),
        format!(" {HIDDEN}\""),
    ];
    let is_marked = |json: &str| marks.iter().any(|mark| json.contains(mark));
    if let Some((name, _)) = payload.env.iter().find(|(_, value)| *value == HIDDEN) {
        return Some(format!("the value of {} in the environment", excerpt(name)));
    }
    if payload.stdin.as_deref() == Some(HIDDEN) {
        return Some("the input".to_owned());
    }
    let own = payload.payload.as_ref();
    if own.is_some_and(|own| is_marked(own.as_str())) {
        return Some("a member of the payload".to_owned());
    }
    // A job without a command is printed as its payload.
    match &payload.command {
        Some(Command::Line(line)) if line.starts_with('{') && is_marked(line) => {
            Some("a member of the object that is the command".to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unique::OnConflict;

    fn line(text: &str) -> Payload {
        Payload {
            command: Some(Command::Line(text.into())),
            ..Payload::default()
        }
    }

    #[test]
    fn payloads_round_trip() {
        let mut payload = line("exit 1");
        payload.env.insert("A".into(), "b=c".into());
        let stored = payload.to_stored().unwrap();
        assert_eq!(serde_json::from_str::<Payload>(&stored).unwrap(), payload);
        let argv = Payload {
            command: Some(Command::Argv(vec!["a".into(), "b c".into()])),
            ..line("")
        };
        assert_eq!(argv.to_stored().unwrap(), r#"{"command":["a","b c"]}"#);
        assert_eq!(argv.display(), "a 'b c'");
    }

    #[test]
    fn bad_payloads_are_named() {
        assert_eq!(line("  ").to_stored(), Err(JobError::EmptyCommand));
        assert_eq!(line("a\0b").to_stored(), Err(JobError::Nul("command")));
        assert_eq!(Payload::default().to_stored(), Err(JobError::NothingToRun));
        let mut env = line("x");
        env.env.insert("A=B".into(), String::new());
        assert_eq!(env.to_stored(), Err(JobError::EnvName("A=B".into())));
        assert!(matches!(
            line(&"x".repeat(PAYLOAD_BYTES)).to_stored(),
            Err(JobError::TooLarge(_))
        ));
        let folder = |cwd: &str| {
            let cwd = Some(cwd.to_owned());
            Payload { cwd, ..line("x") }.to_stored()
        };
        for absolute in ["/", "/tmp", "C:\\x", "c:/x", "\\\\host\\share"] {
            assert!(folder(absolute).is_ok(), "{absolute}");
        }
        for relative in ["", "x", "C:", "C:x", "\\x", "ü:/x"] {
            assert!(
                matches!(folder(relative), Err(JobError::RelativeFolder(_))),
                "{relative}"
            );
        }
        let nested = |levels: usize| {
            let text = format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
            let payload = Some(serde_json::from_str(&text).unwrap());
            Payload { payload, ..line("x") }.to_stored()
        };
        // The object that is stored and the executor's own in it are levels, too.
        let deepest = nested(PAYLOAD_DEPTH - 2).unwrap();
        assert!(serde_json::from_str::<Payload>(&deepest).is_ok());
        assert_eq!(nested(PAYLOAD_DEPTH - 1), Err(JobError::TooDeep));
        let empty = Payload {
            command: Some(Command::Argv(vec![])),
            ..Payload::default()
        };
        assert_eq!(empty.to_stored(), Err(JobError::EmptyCommand));
    }

    #[test]
    fn numbers_have_ranges() {
        let job = JobSpec::line("true");
        let refused = |job: JobSpec| job.validate(Timestamp(0)).unwrap_err().to_string();
        assert!(job.clone().validate(Timestamp(0)).is_ok());
        // Also at the ends of the type, where a sign cannot be changed.
        for priority in [i32::MIN, i32::MIN + 1, -1_000_001, 1_000_001, i32::MAX] {
            let said = refused(JobSpec {
                priority: Some(priority),
                ..job.clone()
            });
            let allowed = "expected a whole number from -1000000 to 1000000";
            assert_eq!(
                said,
                format!("invalid value '{priority}' for priority: {allowed}")
            );
        }
        for priority in [PRIORITY.min, 0, PRIORITY.max] {
            let job = JobSpec {
                priority: i32::try_from(priority).ok(),
                ..job.clone()
            };
            assert!(job.validate(Timestamp(0)).is_ok());
        }
        let retries = JobSpec {
            max_retries: Some(1001),
            ..job.clone()
        };
        assert!(refused(retries).contains("max_retries: expected a whole number from 0 to 1000"));
        let base = JobSpec {
            backoff_base: Some(f64::NAN),
            ..job.clone()
        };
        assert!(refused(base).contains("backoff_base: expected a number from 1 to 3600"));
        let timeout = JobSpec {
            timeout_ms: Some(0),
            ..job
        };
        assert!(refused(timeout).contains("for timeout: expected a time from 1"));
    }

    #[test]
    fn what_is_said_of_a_key_needs_one() {
        let job = JobSpec {
            unique: Some("k".parse().unwrap()),
            ..JobSpec::line("true")
        };
        let refused = |job: JobSpec| job.validate(Timestamp(0)).unwrap_err();
        let (a_minute, a_year) = (Some(60_000), Some(365 * 86_400_000));
        let lasting = JobSpec {
            unique_for_ms: a_year,
            ..job.clone()
        };
        let gathered = JobSpec {
            debounce_ms: a_minute,
            ..job.clone()
        };
        let valid = gathered.clone().validate(Timestamp(0)).unwrap();
        let minute = Duration::from_secs(60);
        assert_eq!(valid.debounce(), Some((minute, MAX_WAIT)));
        assert_eq!(valid.start(), Some(Start::After(minute)));
        assert!(lasting.clone().validate(Timestamp(0)).is_ok());
        let without = |job: &JobSpec| JobSpec {
            unique: None,
            ..job.clone()
        };
        let chosen = JobSpec {
            on_conflict: Some(OnConflict::Reject),
            ..job.clone()
        };
        assert_eq!(refused(without(&lasting)), JobError::NoKey("unique_for"));
        assert_eq!(refused(without(&gathered)), JobError::NoKey("debounce"));
        assert_eq!(refused(without(&chosen)), JobError::NoKey("on_conflict"));
        let patient = JobSpec {
            max_wait_ms: a_minute,
            ..job.clone()
        };
        assert_eq!(refused(patient), JobError::NoDebounce);
        let later = JobSpec {
            start: Some(Start::At(Timestamp(5))),
            ..gathered.clone()
        };
        assert_eq!(refused(later), JobError::Together("debounce", "a start time"));
        let both = JobSpec {
            on_conflict: chosen.on_conflict,
            ..gathered.clone()
        };
        assert_eq!(refused(both), JobError::Together("debounce", "on_conflict"));
        for ms in [Some(0), Some(DEBOUNCE.max_ms + 1)] {
            let job = JobSpec {
                debounce_ms: ms,
                ..job.clone()
            };
            assert!(matches!(
                refused(job),
                JobError::OutOfRange {
                    field: "debounce",
                    ..
                }
            ));
        }
    }

    #[test]
    fn labels_and_comments_are_few_and_short() {
        let job = |labels: usize, comment: &str| {
            let labels = (0..labels).map(|n| (format!("k{n}"), String::new()));
            JobSpec {
                labels: labels.collect(),
                comment: Some(comment.to_owned()),
                ..JobSpec::line("true")
            }
            .validate(Timestamp(0))
        };
        let longest = "x".repeat(COMMENT_BYTES);
        assert!(job(LABELS, &longest).is_ok());
        assert_eq!(job(LABELS + 1, ""), Err(JobError::TooManyLabels(LABELS + 1)));
        let long = format!("{longest}x");
        assert_eq!(job(0, &long), Err(JobError::LongComment(COMMENT_BYTES + 1)));
        assert_eq!(job(0, "a\0"), Err(JobError::NulText("comment")));
    }

    #[test]
    fn a_job_names_few_limits() {
        let job = |count: usize| JobSpec {
            limit: (0..count).map(|n| format!("a:{n}").parse().unwrap()).collect(),
            ..JobSpec::line("true")
        };
        assert!(job(JOB_LIMITS).validate(Timestamp(0)).is_ok());
        let refused = job(JOB_LIMITS + 1).validate(Timestamp(0)).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "the job names 9 limits; at most 8 are allowed"
        );
    }

    #[test]
    fn the_far_future_is_refused() {
        let start = |start| {
            JobSpec {
                start: Some(start),
                ..JobSpec::line("true")
            }
            .validate(Timestamp(0))
        };
        assert!(start(Start::After(Duration::from_secs(5))).is_ok());
        assert!(start(Start::At(Timestamp(-5))).is_ok());
        assert_eq!(start(Start::After(Duration::MAX)), Err(JobError::TooFar));
        assert_eq!(start(Start::At(Timestamp(i64::MAX))), Err(JobError::TooFar));
    }

    #[test]
    fn what_was_not_said_has_its_default() {
        let job = JobSpec::line("true").validate(Timestamp(0)).unwrap();
        assert_eq!(
            (job.queue(), job.executor(), job.priority()),
            ("default", "shell", 0)
        );
        assert_eq!(job.stored_payload(), r#"{"command":"true"}"#);
    }

    #[test]
    fn the_mark_of_a_secret_is_refused() {
        let marked = [
            r#"{"url":"http://u:(hidden)@h/"}"#,
            r#"{"a":"(hidden)"}"#,
            r#"{"a":"x?token=(hidden)"}"#,
        ];
        for own in marked {
            let mut job = JobSpec::line("true");
            job.payload.payload = Some(serde_json::from_str(own).unwrap());
            let refused = job.validate(Timestamp(0));
            assert_eq!(
                refused,
                Err(JobError::Hidden("a member of the payload".to_owned())),
                "{own}"
            );
        }
        assert!(JobSpec::line("echo (hidden)").validate(Timestamp(0)).is_ok());
    }
}
