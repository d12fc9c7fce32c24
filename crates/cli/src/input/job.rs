//! A job as it is asked for, from options and from JSON alike; together they make a [`NewJob`].

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::OnceLock;

use queuectl_core::json::JsonObject;
use queuectl_core::{Command, ExecutorName, HIDDEN, JobName, NewJob, Payload, QueueName, Timestamp, excerpt};

use super::time::Start;

/// What was said about a job. What was not said stays open.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct JobSpec {
    pub id: Option<JobName>,
    pub command: Option<Command>,
    pub queue: Option<QueueName>,
    pub priority: Option<i32>,
    pub start: Option<Start>,
    pub timeout_ms: Option<u64>,
    pub max_retries: Option<u32>,
    pub backoff_base: Option<f64>,
    pub executor: Option<ExecutorName>,
    pub env: BTreeMap<String, String>,
    pub cwd: Option<String>,
    pub stdin: Option<String>,
    pub payload: Option<JsonObject>,
    /// Fields that say how an earlier job fared, and count for nothing.
    pub ignored: BTreeSet<&'static str>,
}

impl JobSpec {
    /// A job that is a shell command line.
    pub fn line(line: impl Into<String>) -> JobSpec {
        JobSpec {
            command: Some(Command::Line(line.into())),
            ..JobSpec::default()
        }
    }

    /// What this says, and where it says nothing, what `other` says. Environments are joined by name.
    #[must_use]
    pub fn or(self, other: JobSpec) -> JobSpec {
        let mut env = other.env;
        env.extend(self.env);
        let mut ignored = other.ignored;
        ignored.extend(self.ignored);
        JobSpec {
            id: self.id.or(other.id),
            command: self.command.or(other.command),
            queue: self.queue.or(other.queue),
            priority: self.priority.or(other.priority),
            start: self.start.or(other.start),
            timeout_ms: self.timeout_ms.or(other.timeout_ms),
            max_retries: self.max_retries.or(other.max_retries),
            backoff_base: self.backoff_base.or(other.backoff_base),
            executor: self.executor.or(other.executor),
            env,
            cwd: self.cwd.or(other.cwd),
            stdin: self.stdin.or(other.stdin),
            payload: self.payload.or(other.payload),
            ignored,
        }
    }

    /// The job to store, checked. Without a folder of its own it runs in the current one, and so does a relative
    /// folder begin there: a node may have been started anywhere.
    pub fn into_new_job(self, now: Timestamp) -> Result<NewJob, String> {
        let job = NewJob {
            name: self.id,
            queue: self.queue.unwrap_or_default(),
            priority: self.priority.unwrap_or(0),
            run_at: self.start.map(|start| start.resolve(now)).transpose()?,
            max_retries: self.max_retries,
            backoff_base: self.backoff_base,
            timeout_ms: self.timeout_ms,
            executor: self.executor.unwrap_or_default(),
            payload: Payload {
                command: self.command,
                env: self.env,
                cwd: Some(folder(self.cwd)?),
                stdin: self.stdin,
                payload: self.payload,
            },
        };
        if let Some(place) = marked(&job.payload) {
            return Err(format!(
                "{place} is \"{HIDDEN}\", which stands for a secret that was not printed; print the job with --secrets"
            ));
        }
        job.check().map_err(|error| error.to_string())?;
        job.payload.to_stored().map_err(|error| error.to_string())?;
        Ok(job)
    }
}

/// Where a job has what `list` and `show` print for people in place of a secret, which must not become the secret.
fn marked(payload: &Payload) -> Option<String> {
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

fn folder(named: Option<String>) -> Result<String, String> {
    // The current folder does not change while a command runs; of a million jobs only the first asks for it.
    static HERE: OnceLock<Result<String, String>> = OnceLock::new();
    match named {
        Some(named) => {
            let absolute = std::path::absolute(&named).map_err(|error| format!("cwd '{named}': {error}"))?;
            text_of(absolute)
        }
        None => HERE.get_or_init(here).clone(),
    }
}

fn here() -> Result<String, String> {
    let here = std::env::current_dir()
        .map_err(|error| format!("the current folder cannot be used ({error}); choose one with --cwd DIR"))?;
    text_of(here)
}

fn text_of(absolute: PathBuf) -> Result<String, String> {
    absolute.into_os_string().into_string().map_err(|folder| {
        format!(
            "the folder {} is not valid UTF-8; choose another with --cwd DIR",
            folder.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_explicitly_wins() {
        let env = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect()
        };
        let options = JobSpec {
            priority: Some(5),
            env: env(&[("A", "1")]),
            ..JobSpec::default()
        };
        let json = JobSpec {
            priority: Some(1),
            max_retries: Some(0),
            env: env(&[("A", "0"), ("B", "2")]),
            ..JobSpec::line("true")
        };
        let both = options.or(json);
        assert_eq!((both.priority, both.max_retries), (Some(5), Some(0)));
        assert_eq!(both.env, env(&[("A", "1"), ("B", "2")]));
        assert_eq!(both.command, Some(Command::Line("true".into())));
    }

    #[test]
    fn jobs_run_in_an_absolute_folder() {
        let here = std::env::current_dir().unwrap();
        let cwd = |cwd: Option<&str>| {
            let spec = JobSpec {
                cwd: cwd.map(Into::into),
                ..JobSpec::line("true")
            };
            PathBuf::from(spec.into_new_job(Timestamp(0)).unwrap().payload.cwd.unwrap())
        };
        assert_eq!(cwd(None), here);
        assert_eq!(cwd(Some("sub")), here.join("sub"));
        // On Windows it is the root of the working folder's drive.
        assert_eq!(cwd(Some("/")), std::path::absolute("/").unwrap());
        assert!(JobSpec::default().into_new_job(Timestamp(0)).is_err());
    }
}
