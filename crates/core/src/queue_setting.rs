//! Settings of single queues: what a job follows that has no value of its own, before the setting of the same name for all
//! queues.

use std::fmt;

use serde::Serialize;

use crate::id::QueueName;
use crate::settings::{Key, PER_QUEUE, SettingError, per_queue};

/// A setting of one queue.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueSetting {
    /// The queue.
    pub queue: QueueName,
    /// The setting.
    pub key: &'static Key,
}

/// Where a value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The job has a value of its own.
    Job,
    /// Its queue has.
    Queue,
    /// The setting was set.
    Setting,
    /// It was not.
    Default,
}

impl Origin {
    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Origin::Job => "job",
            Origin::Queue => "queue",
            Origin::Setting => "setting",
            Origin::Default => "default",
        }
    }
}

impl fmt::Display for QueueSetting {
    /// The name under which it is stored.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PER_QUEUE}{}.{}", self.queue, self.key.name)
    }
}

impl QueueSetting {
    /// The setting of that name, of one queue.
    ///
    /// # Errors
    /// There is no such setting, or not for single queues.
    pub fn find(queue: QueueName, name: &str) -> Result<QueueSetting, SettingError> {
        let key = Key::find(name)?;
        match key.per_queue {
            true => Ok(QueueSetting { queue, key }),
            false => Err(SettingError::NotPerQueue { key: key.name }),
        }
    }

    /// The value in force for jobs without one of their own, and where it comes from. Stored values that are not valid count
    /// for nothing.
    pub fn in_force(&self, stored: &[(String, String)]) -> (String, Origin) {
        let own = self.to_string();
        let value = |name: &str| {
            let (_, value) = stored.iter().find(|(stored, _)| stored == name)?;
            self.key.parse(value).ok()
        };
        match (value(&own), value(self.key.name)) {
            (Some(value), _) => (value, Origin::Queue),
            (None, Some(value)) => (value, Origin::Setting),
            (None, None) => (self.key.default.to_owned(), Origin::Default),
        }
    }

    /// All settings that a queue can have.
    pub fn all(queue: &QueueName) -> impl Iterator<Item = QueueSetting> {
        per_queue().map(|key| QueueSetting {
            queue: queue.clone(),
            key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ExecutorSetting;
    use crate::settings::of_queue;

    #[test]
    fn a_stored_name_is_read_as_it_was_written_and_is_no_other_setting() {
        for queue in ["mail", "a.b", "a:b/c.max_retries"] {
            for setting in QueueSetting::all(&queue.parse().unwrap()) {
                let stored = setting.to_string();
                assert_eq!(of_queue(&stored), Some((queue, setting.key)));
                assert!(stored.parse::<ExecutorSetting>().is_err() && Key::find(&stored).is_err());
            }
        }
        for other in [
            "max_retries",
            "queue:mail.lease",
            "queue:mail",
            "http.max_retries",
        ] {
            assert_eq!(of_queue(other), None, "{other}");
        }
    }

    #[test]
    fn a_queue_comes_before_the_setting_and_that_before_the_default() {
        let setting = QueueSetting::find("mail".parse().unwrap(), "max-retries").unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut stored = vec![pair("queue:other.max_retries", "9")];
        assert_eq!(setting.in_force(&stored), ("4".to_owned(), Origin::Default));
        stored.push(pair("max_retries", "7"));
        assert_eq!(setting.in_force(&stored), ("7".to_owned(), Origin::Setting));
        stored.push(pair("queue:mail.max_retries", "1"));
        assert_eq!(setting.in_force(&stored), ("1".to_owned(), Origin::Queue));
        stored[2].1 = "many".to_owned();
        assert_eq!(setting.in_force(&stored), ("7".to_owned(), Origin::Setting));
    }

    #[test]
    fn what_is_no_setting_of_a_queue_is_refused() {
        let message = |name| {
            let found = QueueSetting::find("mail".parse().unwrap(), name);
            found.unwrap_err().to_string()
        };
        assert!(message("lease").starts_with("lease is for all queues; a queue can have "));
        assert!(message("max_retry").contains("did you mean 'max_retries'?"));
    }
}
