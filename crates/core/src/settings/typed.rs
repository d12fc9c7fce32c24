//! The settings with their types, as nodes use them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{KEYS, Key, Value, of_queue};
use crate::executor_setting::ExecutorSetting;

/// What happens to processes that a job left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Leftovers {
    /// They are killed when the job ends.
    Kill,
    /// They live on.
    Leave,
}

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A power cut.
    Full,
    /// A crash of any process, but not always a power cut.
    Normal,
}

/// All settings, typed. Times that may be `none` are optional.
#[derive(Debug, Clone, PartialEq)]
#[expect(
    missing_docs,
    reason = "each field is the setting of the same name in KEYS, which documents it"
)]
pub struct Settings {
    pub backoff_base: f64,
    pub backoff_cap: Duration,
    pub backoff_jitter: f64,
    pub durability: Durability,
    pub event_retention: Duration,
    pub history_retention: Duration,
    pub job_timeout: Option<Duration>,
    pub kill_grace: Duration,
    pub lease: Duration,
    pub leftovers: Leftovers,
    pub max_retries: u32,
    pub op_retention: Duration,
    pub output_file_limit: u64,
    pub output_limit: u64,
    pub poll_interval: Duration,
    pub retention: Option<Duration>,
    pub shell: String,
    pub shutdown_grace: Duration,
    /// What was set for single executors: by executor, then by key.
    pub executors: BTreeMap<String, BTreeMap<String, String>>,
    /// The settings of queues that have some of their own, each with all that is per queue. See [`Settings::of`].
    pub queues: BTreeMap<String, Settings>,
}

impl Settings {
    /// Reads settings from the stored pairs. What is absent, unknown to this version or no longer valid has its
    /// default: a node must not fail because another version wrote a setting.
    pub fn from_stored<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Settings {
        let mut settings = Settings::blank();
        for key in KEYS {
            settings.put(key, key.default);
        }
        let mut executors: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        let mut of_queues: Vec<(&str, &Key, &str)> = Vec::new();
        for (name, value) in pairs {
            if let Some(key) = KEYS.iter().find(|key| key.name == name) {
                settings.put(key, value);
            } else if let Some((queue, key)) = of_queue(name) {
                of_queues.push((queue, key, value));
            } else if let Ok(ExecutorSetting { executor, key }) = name.parse() {
                let of_executor = executors.entry(executor.into()).or_default();
                of_executor.insert(key, value.to_owned());
            }
        }
        let mut queues: BTreeMap<String, Settings> = BTreeMap::new();
        for (queue, key, value) in of_queues {
            let of_queue = queues.entry(queue.to_owned());
            of_queue.or_insert_with(|| settings.clone()).put(key, value);
        }
        (settings.executors, settings.queues) = (executors, queues);
        settings
    }

    /// The settings for jobs of that queue. Only for those that are per queue: the others may be looked up here, too, but
    /// executors' settings may not.
    pub fn of(&self, queue: &str) -> &Settings {
        self.queues.get(queue).unwrap_or(self)
    }

    /// Takes a value over, if it is a valid one.
    fn put(&mut self, key: &Key, text: &str) {
        let Some(value) = key.value(text) else {
            return;
        };
        match (key.name, value) {
            ("backoff_base", Value::Number(number)) => self.backoff_base = number,
            ("backoff_cap", Value::Ms(Some(ms))) => self.backoff_cap = Duration::from_millis(ms),
            ("backoff_jitter", Value::Number(number)) => self.backoff_jitter = number,
            ("durability", Value::Word) => {
                self.durability = match text {
                    "normal" => Durability::Normal,
                    _ => Durability::Full,
                }
            }
            ("event_retention", Value::Ms(Some(ms))) => self.event_retention = Duration::from_millis(ms),
            ("history_retention", Value::Ms(Some(ms))) => {
                self.history_retention = Duration::from_millis(ms);
            }
            ("job_timeout", Value::Ms(ms)) => self.job_timeout = ms.map(Duration::from_millis),
            ("kill_grace", Value::Ms(Some(ms))) => self.kill_grace = Duration::from_millis(ms),
            ("lease", Value::Ms(Some(ms))) => self.lease = Duration::from_millis(ms),
            ("leftovers", Value::Word) => {
                self.leftovers = match text {
                    "leave" => Leftovers::Leave,
                    _ => Leftovers::Kill,
                }
            }
            ("max_retries", Value::Number(number)) => self.max_retries = number as u32,
            ("op_retention", Value::Ms(Some(ms))) => self.op_retention = Duration::from_millis(ms),
            ("output_file_limit", Value::Bytes(bytes)) => self.output_file_limit = bytes,
            ("output_limit", Value::Bytes(bytes)) => self.output_limit = bytes,
            ("poll_interval", Value::Ms(Some(ms))) => self.poll_interval = Duration::from_millis(ms),
            ("retention", Value::Ms(ms)) => self.retention = ms.map(Duration::from_millis),
            ("shell", Value::Word) => text.clone_into(&mut self.shell),
            ("shutdown_grace", Value::Ms(Some(ms))) => self.shutdown_grace = Duration::from_millis(ms),
            // A test puts every setting.
            (name, _) => unreachable!("the setting {name} has no field"),
        }
    }

    /// What [`Settings::from_stored`] fills.
    fn blank() -> Settings {
        Settings {
            backoff_base: 0.0,
            backoff_cap: Duration::ZERO,
            backoff_jitter: 0.0,
            durability: Durability::Full,
            event_retention: Duration::ZERO,
            history_retention: Duration::ZERO,
            job_timeout: None,
            kill_grace: Duration::ZERO,
            lease: Duration::ZERO,
            leftovers: Leftovers::Kill,
            max_retries: 0,
            op_retention: Duration::ZERO,
            output_file_limit: 0,
            output_limit: 0,
            poll_interval: Duration::ZERO,
            retention: None,
            shell: String::new(),
            shutdown_grace: Duration::ZERO,
            executors: BTreeMap::new(),
            queues: BTreeMap::new(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings::from_stored([])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_has_what_was_set_for_it_and_else_what_all_have() {
        let stored = [
            ("queue:mail.max_retries", "1"),
            ("max_retries", "7"),
            ("queue:mail.job_timeout", "90"),
            ("queue:a.b.leftovers", "leave"),
            ("queue:mail.lease", "9 s"),
            ("queue:mail.kill_grace", "bogus"),
        ];
        let settings = Settings::from_stored(stored);
        let of = |queue| {
            let of = settings.of(queue);
            (of.max_retries, of.job_timeout, of.leftovers)
        };
        let week = settings.job_timeout;
        assert_eq!(of("mail"), (1, Some(Duration::from_secs(90)), Leftovers::Kill));
        assert_eq!(of("a.b"), (7, week, Leftovers::Leave));
        assert_eq!(of("other"), (7, week, Leftovers::Kill));
        assert_eq!(settings.of("mail").kill_grace, settings.kill_grace);
        assert_eq!(settings.of("mail").lease, settings.lease, "not per queue");
    }

    #[test]
    fn stored_settings_survive_unknown_and_invalid_pairs() {
        let stored = [
            ("max_retries", "7"),
            ("from_the_future", "1"),
            ("lease", "bogus"),
            ("leftovers", "leave"),
        ];
        let settings = Settings::from_stored(stored);
        assert_eq!(settings.max_retries, 7);
        assert_eq!(settings.lease, Duration::from_secs(15));
        assert_eq!(settings.leftovers, Leftovers::Leave);
    }
}
