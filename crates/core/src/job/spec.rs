//! A job as a user describes it, and the list of all that can be said about one. Every part is optional and may still be
//! wrong; [`super::valid`] checks it.
//!
//! An option is added here: a field of [`JobSpec`], its line in [`JobSpec::or`], its row in [`FIELDS`]. The reader and
//! the writer of JSON, the options of `enqueue` and the help follow from the list.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use serde_json::Value;

use super::after::{After, Unmet};
use super::form::{Field, Form};
use super::hook::JobHooks;
use super::payload::{Command, Payload};
use crate::duration::{show_time, whole_ms};
use crate::id::{ExecutorName, GroupName, JobName, QueueName};
use crate::label::check_label;
use crate::limit::LimitKey;
use crate::limits::{BACKOFF_BASE, PRIORITY, RETRIES};
use crate::time::Timestamp;
use crate::unique::{OnConflict, UniqueKey};

/// When a job may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// This long after it was enqueued, by the queue's clock.
    After(Duration),
    /// At this time; at once if it is past.
    At(Timestamp),
}

impl Start {
    /// Returns the time, for a job enqueued at `now`.
    pub fn at(self, now: Timestamp) -> Timestamp {
        match self {
            Start::After(delay) => now.after(delay),
            Start::At(time) => time,
        }
    }
}

/// What was said about a job. What was not said stays open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobSpec {
    /// The id the user chose.
    pub id: Option<JobName>,
    /// The queue it goes to; `default` if absent.
    pub queue: Option<QueueName>,
    /// Higher runs first; within a priority, first in first out. 0 if absent.
    pub priority: Option<i32>,
    /// When it may start; at once if absent.
    pub start: Option<Start>,
    /// Whether it is held back until somebody releases it.
    pub hold: Option<bool>,
    /// The jobs that it waits for.
    pub after: Vec<After>,
    /// What becomes of it if one of those does not end as it has to; cancelled if absent.
    pub unmet: Option<Unmet>,
    /// Longest an attempt may run, in ms; the setting `job_timeout` if absent.
    pub timeout_ms: Option<u64>,
    /// Retries after the first attempt; the setting `max_retries` if absent.
    pub max_retries: Option<u32>,
    /// Base of the back-off in seconds; the setting `backoff_base` if absent.
    pub backoff_base: Option<f64>,
    /// The executor that runs it; `shell` if absent.
    pub executor: Option<ExecutorName>,
    /// The key that no other job may have which has not ended.
    pub unique: Option<UniqueKey>,
    /// For how long it keeps the key after it was stored, even if it has ended, in ms.
    pub unique_for_ms: Option<u64>,
    /// What becomes of it if another job has its key; [`OnConflict::Return`] if absent.
    pub on_conflict: Option<OnConflict>,
    /// Starts it this long after the last call with its key, in ms.
    pub debounce_ms: Option<u64>,
    /// How long calls can put such a job off, in ms; [`crate::limits::MAX_WAIT`] if absent.
    pub max_wait_ms: Option<u64>,
    /// The limits that it counts for, with their keys.
    pub limit: Vec<LimitKey>,
    /// Its labels: values by their keys.
    pub labels: BTreeMap<String, String>,
    /// What people should know about it.
    pub comment: Option<String>,
    /// The group that it is a member of.
    pub group: Option<GroupName>,
    /// Whether that group is closed when it is stored.
    pub close_group: Option<bool>,
    /// What runs when its attempts have ended.
    pub hooks: JobHooks,
    /// What it runs.
    pub payload: Payload,
    /// Fields that were given and count for nothing: they say how an earlier job fared.
    pub ignored: BTreeSet<&'static str>,
}

const fn field(
    name: &'static str,
    value: &'static str,
    about: &'static str,
    form: Form<JobSpec>,
    written: fn(&JobSpec) -> Option<Value>,
) -> Field<JobSpec> {
    let excludes = &[];
    Field {
        name,
        value,
        about,
        excludes,
        form,
        written,
    }
}

/// Of the fields that the payload writes.
const IN_PAYLOAD: fn(&JobSpec) -> Option<Value> = |_| None;

/// All that can be said about a job, in the order of the help.
pub static FIELDS: [Field<JobSpec>; 33] = [
    field(
        "id",
        "ID",
        "Your own id for the job, unique in the queue; not only digits",
        Form::Word(|job, text| parse(&mut job.id, text)),
        |job| text(job.id.as_ref()),
    ),
    field(
        "command",
        "LINE",
        "A shell command line, as with a single word",
        Form::Command(|job, command| job.payload.command = Some(command)),
        IN_PAYLOAD,
    ),
    field(
        "queue",
        "NAME",
        "The queue it goes to [default: default]",
        Form::Word(|job, text| parse(&mut job.queue, text)),
        |job| text(job.queue.as_ref()),
    ),
    field(
        "priority",
        "N",
        "Higher runs first [default: 0]",
        Form::Whole(PRIORITY, |job, number| job.priority = i32::try_from(number).ok()),
        |job| job.priority.map(Into::into),
    ),
    Field {
        excludes: &["run_at"],
        ..field(
            "delay",
            "DURATION",
            "Start it after this time, such as 30s or 1h 5m; a bare number is seconds",
            Form::Duration(|job, delay| job.start = Some(Start::After(delay))),
            |job| match job.start? {
                Start::After(delay) => Some(show_time(whole_ms(delay)).into()),
                Start::At(_) => None,
            },
        )
    },
    Field {
        excludes: &["delay"],
        ..field(
            "run_at",
            "TIME",
            "Start it at this time: 18:00 (the next one), '2026-12-24 18:00' (local) or RFC 3339; a past time means now",
            Form::Time(|job, time| job.start = Some(Start::At(time))),
            |job| match job.start? {
                Start::At(time) => Some(time.to_string().into()),
                Start::After(_) => None,
            },
        )
    },
    field(
        "hold",
        "",
        "Hold it back until `queuectl release` lets it go",
        Form::Flag(|job, hold| job.hold = Some(hold)),
        |job| job.hold.map(Into::into),
    ),
    field(
        "after",
        "JOB[:CONDITION],...",
        "Start it when these jobs have ended, each as its condition says: ok (the default), failed or any",
        Form::List(|job, text| {
            job.after.push(text.parse()?);
            Ok(())
        }),
        |job| texts(&job.after),
    ),
    field(
        "unmet",
        "cancel|hold|run",
        "What to do with it if one of those jobs ends otherwise [default: cancel]",
        Form::Word(|job, text| parse(&mut job.unmet, text)),
        |job| job.unmet.map(|unmet| unmet.name().into()),
    ),
    field(
        "timeout",
        "DURATION",
        "Stop an attempt that runs longer than this, such as 90 (seconds) or 5m [default: the setting job_timeout]",
        Form::Duration(|job, time| job.timeout_ms = Some(whole_ms(time))),
        |job| time(job.timeout_ms),
    ),
    field(
        "max_retries",
        "N",
        "Retries after the first attempt [default: the setting max_retries]",
        Form::Whole(RETRIES, |job, number| {
            job.max_retries = u32::try_from(number).ok()
        }),
        |job| job.max_retries.map(Into::into),
    ),
    field(
        "backoff_base",
        "BASE",
        "The n-th retry waits BASE^n seconds [default: the setting backoff_base]",
        Form::Decimal(BACKOFF_BASE, |job, base| job.backoff_base = Some(base)),
        |job| job.backoff_base.map(Into::into),
    ),
    field(
        "executor",
        "NAME",
        "The executor plugin that runs the job [default: shell]",
        Form::Word(|job, text| parse(&mut job.executor, text)),
        |job| text(job.executor.as_ref()),
    ),
    field(
        "unique",
        "KEY",
        "Store it only if every other job with this key has ended",
        Form::Word(|job, text| parse(&mut job.unique, text)),
        |job| text(job.unique.as_ref()),
    ),
    field(
        "unique_for",
        "DURATION",
        "Keep the key for this time after it was stored, even if the job has ended",
        Form::Duration(|job, time| job.unique_for_ms = Some(whole_ms(time))),
        |job| time(job.unique_for_ms),
    ),
    Field {
        excludes: &["debounce"],
        ..field(
            "on_conflict",
            "CHOICE",
            "If the key is taken: return (print the id of that job), reject, or replace that job [default: return]",
            Form::Word(|job, text| parse(&mut job.on_conflict, text)),
            |job| job.on_conflict.map(|choice| choice.name().into()),
        )
    },
    Field {
        excludes: &["delay", "run_at", "on_conflict"],
        ..field(
            "debounce",
            "DURATION",
            "Start it this long after the last call with its key: each call postpones the waiting job",
            Form::Duration(|job, time| job.debounce_ms = Some(whole_ms(time))),
            |job| time(job.debounce_ms),
        )
    },
    field(
        "max_wait",
        "DURATION",
        "With --debounce: how long after it was stored calls can postpone it [default: 1d]",
        Form::Duration(|job, time| job.max_wait_ms = Some(whole_ms(time))),
        |job| time(job.max_wait_ms),
    ),
    field(
        "limit",
        "NAME[:KEY]",
        "A limit that the job counts for, with its key if the limit counts by key, as in account:42; repeatable",
        Form::Words(|job, text| {
            let mut key = None;
            parse(&mut key, text)?;
            job.limit.extend(key.filter(|key| !job.limit.contains(key)));
            Ok(())
        }),
        |job| texts(&job.limit),
    ),
    field(
        "labels",
        "KEY[=VALUE]",
        "A label to find the job by, as in label=team:web; repeatable",
        Form::Labels(|job, key, value| {
            check_label(key, value).map_err(|error| error.to_string())?;
            job.labels.insert(key.to_owned(), value.to_owned());
            Ok(())
        }),
        |job| (!job.labels.is_empty()).then(|| job.labels.clone().into_iter().collect()),
    ),
    field(
        "comment",
        "TEXT",
        "What people should know about the job",
        Form::Text(|job, text| job.comment = Some(text)),
        |job| job.comment.clone().map(Into::into),
    ),
    field(
        "group",
        "NAME",
        "The group that it is a member of, which is made if there is none; see `queuectl group:create`",
        Form::Word(|job, text| parse(&mut job.group, text)),
        |job| text(job.group.as_ref()),
    ),
    field(
        "close_group",
        "",
        "Close the group as the job, or all of the file, is stored: it takes no further members",
        Form::Flag(|job, close| job.close_group = Some(close)),
        |job| job.close_group.map(Into::into),
    ),
    field(
        "on_success",
        "COMMAND",
        "A shell command line that runs as a job of its own when the job is completed",
        Form::Command(|job, command| job.hooks.on_success = Some(command)),
        |job| command(job.hooks.on_success.as_ref()),
    ),
    field(
        "on_failure",
        "COMMAND",
        "The same after each attempt that failed, the last one included",
        Form::Command(|job, command| job.hooks.on_failure = Some(command)),
        |job| command(job.hooks.on_failure.as_ref()),
    ),
    field(
        "on_death",
        "COMMAND",
        "The same when the job is dead",
        Form::Command(|job, command| job.hooks.on_death = Some(command)),
        |job| command(job.hooks.on_death.as_ref()),
    ),
    field(
        "hook_queue",
        "NAME",
        "The queue that those jobs go to [default: the job's own]",
        Form::Word(|job, text| parse(&mut job.hooks.to_queue, text)),
        |job| text(job.hooks.to_queue.as_ref()),
    ),
    field(
        "env",
        "NAME[=VALUE]",
        "Set an environment variable for the job, to the value that it has here without =VALUE; repeatable",
        Form::Variables(|job, name, value| drop(job.payload.env.insert(name, value))),
        IN_PAYLOAD,
    ),
    field(
        "cwd",
        "DIR",
        "The folder it runs in [default: the current folder]",
        Form::Word(|job, text| parse(&mut job.payload.cwd, text)),
        IN_PAYLOAD,
    ),
    field(
        "stdin",
        "TEXT",
        "Text for the job's standard input; - reads it from standard input now",
        Form::Text(|job, text| job.payload.stdin = Some(text)),
        IN_PAYLOAD,
    ),
    field(
        "pty",
        "",
        "Run it on a terminal of its own, to which both output streams go; not on Windows",
        Form::Flag(|job, pty| job.payload.pty = pty),
        IN_PAYLOAD,
    ),
    field(
        "pty_size",
        "COLUMNSxROWS",
        "The same, with a terminal of this size [default: 80x24]",
        Form::Word(|job, text| parse(&mut job.payload.pty_size, text)),
        IN_PAYLOAD,
    ),
    field(
        "payload",
        "JSON|@FILE",
        "The payload for the executor, a JSON object; @FILE reads it from a file",
        Form::Object(|job, object| job.payload.payload = Some(object)),
        IN_PAYLOAD,
    ),
];

/// Writes a value that has a form as text.
fn text(value: Option<&impl Display>) -> Option<Value> {
    value.map(|value| value.to_string().into())
}

/// Writes several of those, if there are any.
fn texts(values: &[impl Display]) -> Option<Value> {
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    (!texts.is_empty()).then(|| texts.into())
}

fn time(ms: Option<u64>) -> Option<Value> {
    ms.map(|ms| show_time(ms).into())
}

fn command(command: Option<&Command>) -> Option<Value> {
    command.map(|command| serde_json::to_value(command).unwrap_or_default())
}

/// Reads a value that has a parser of its own.
fn parse<T: FromStr<Err: Display>>(into: &mut Option<T>, text: &str) -> Result<(), String> {
    *into = Some(text.parse().map_err(|error: T::Err| error.to_string())?);
    Ok(())
}

impl JobSpec {
    /// Describes a shell command line.
    pub fn line(line: impl Into<String>) -> JobSpec {
        JobSpec {
            payload: Payload {
                command: Some(Command::Line(line.into())),
                ..Payload::default()
            },
            ..JobSpec::default()
        }
    }

    /// Returns what this says, and where it says nothing, what `other` says. Environments and labels are
    /// joined by name, and so are limits.
    #[must_use]
    pub fn or(self, other: JobSpec) -> JobSpec {
        let mut ignored = other.ignored;
        ignored.extend(self.ignored);
        let mut labels = other.labels;
        labels.extend(self.labels);
        let mut limit = other.limit;
        limit.extend(self.limit);
        let mut seen = BTreeSet::new();
        limit.retain(|key| seen.insert(key.clone()));
        JobSpec {
            id: self.id.or(other.id),
            queue: self.queue.or(other.queue),
            priority: self.priority.or(other.priority),
            start: self.start.or(other.start),
            hold: self.hold.or(other.hold),
            after: if self.after.is_empty() {
                other.after
            } else {
                self.after
            },
            unmet: self.unmet.or(other.unmet),
            timeout_ms: self.timeout_ms.or(other.timeout_ms),
            max_retries: self.max_retries.or(other.max_retries),
            backoff_base: self.backoff_base.or(other.backoff_base),
            executor: self.executor.or(other.executor),
            unique: self.unique.or(other.unique),
            unique_for_ms: self.unique_for_ms.or(other.unique_for_ms),
            on_conflict: self.on_conflict.or(other.on_conflict),
            debounce_ms: self.debounce_ms.or(other.debounce_ms),
            max_wait_ms: self.max_wait_ms.or(other.max_wait_ms),
            limit,
            labels,
            comment: self.comment.or(other.comment),
            group: self.group.or(other.group),
            close_group: self.close_group.or(other.close_group),
            hooks: self.hooks.or(other.hooks),
            payload: self.payload.or(other.payload),
            ignored,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_first_wins() {
        let env = |pairs: &[(&str, &str)]| {
            let owned = |(k, v): &(&str, &str)| ((*k).to_owned(), (*v).to_owned());
            pairs.iter().map(owned).collect()
        };
        let options = JobSpec {
            priority: Some(5),
            payload: Payload {
                env: env(&[("A", "1")]),
                ..Payload::default()
            },
            ..JobSpec::default()
        };
        let mut json = JobSpec {
            priority: Some(1),
            max_retries: Some(0),
            ..JobSpec::line("true")
        };
        json.payload.env = env(&[("A", "0"), ("B", "2")]);
        let both = options.or(json);
        assert_eq!((both.priority, both.max_retries), (Some(5), Some(0)));
        assert_eq!(both.payload.env, env(&[("A", "1"), ("B", "2")]));
        assert_eq!(both.payload.command, Some(Command::Line("true".into())));
    }

    #[test]
    fn limits_are_joined_and_none_counts_twice() {
        let with = |keys: &[&str]| JobSpec {
            limit: keys.iter().map(|key| key.parse().unwrap()).collect(),
            ..JobSpec::default()
        };
        let joined = with(&["api", "account:1"]).or(with(&["disk", "api"]));
        assert_eq!(joined, with(&["disk", "api", "account:1"]));
    }

    #[test]
    fn a_delay_counts_from_now() {
        assert_eq!(
            Start::After(Duration::from_secs(5)).at(Timestamp(7)),
            Timestamp(5007)
        );
        assert_eq!(Start::At(Timestamp(-5)).at(Timestamp(7)), Timestamp(-5));
    }
}
