//! Limits of a queue: how many of its jobs run at a time, and how fast they start.
//!
//! They are set like the queue's settings (`queue:set mail running=4`), but decide about the queue and not about a job, so no
//! job and no setting for all queues has the same.

use crate::limits::{LIMIT_RUNNING, RATE_BURST};
use crate::quote::excerpt;
use crate::range::Whole;
use crate::rate::Rate;

/// What a queue allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct QueueLimit {
    /// Most jobs that run at a time; none for any number.
    pub running: Option<u32>,
    /// How fast jobs may start.
    pub rate: Option<Rate>,
}

/// A part of a queue's limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueLimitKey {
    /// Most jobs that run at a time.
    Running,
    /// How fast they may start.
    Rate,
    /// Starts of the rate that may come at once.
    Burst,
}

/// A change to a part of a queue's limit; none takes it away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QueueLimitChange {
    /// Most jobs that run at a time.
    Running(Option<u32>),
    /// How fast they may start. Its burst counts only if there was no rate.
    Rate(Option<Rate>),
    /// Starts of the rate that may come at once.
    Burst(Option<u32>),
}

/// The change does not fit the limit that is there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the queue has no rate that a burst could belong to; set rate=COUNT/TIME, too")]
pub struct BurstAlone;

impl QueueLimitKey {
    /// Every part, in the order in which they are shown.
    pub const ALL: [QueueLimitKey; 3] = [QueueLimitKey::Running, QueueLimitKey::Rate, QueueLimitKey::Burst];

    /// The part's name.
    pub const fn name(self) -> &'static str {
        match self {
            QueueLimitKey::Running => "running",
            QueueLimitKey::Rate => "rate",
            QueueLimitKey::Burst => "burst",
        }
    }

    /// Returns the part of that name, if there is one.
    pub fn find(name: &str) -> Option<QueueLimitKey> {
        QueueLimitKey::ALL.into_iter().find(|key| key.name() == name)
    }

    /// Reads a new value; an empty one takes the part away.
    ///
    /// # Errors
    /// What is expected instead, in words.
    pub fn change(self, value: &str) -> Result<QueueLimitChange, String> {
        let value = Some(value.trim()).filter(|value| !value.is_empty());
        let whole = |range: Whole| -> Result<Option<u32>, String> {
            let Some(value) = value else { return Ok(None) };
            let number = range.parse(value).and_then(|number| u32::try_from(number).ok());
            number.map(Some).ok_or_else(|| {
                format!(
                    "invalid value '{}' for {}: expected {range}",
                    excerpt(value),
                    self.name()
                )
            })
        };
        Ok(match self {
            QueueLimitKey::Running => QueueLimitChange::Running(whole(LIMIT_RUNNING)?),
            QueueLimitKey::Rate => QueueLimitChange::Rate(value.map(str::parse).transpose()?),
            QueueLimitKey::Burst => QueueLimitChange::Burst(whole(RATE_BURST)?),
        })
    }
}

impl QueueLimit {
    /// Whether it limits nothing.
    pub fn is_empty(&self) -> bool {
        self.running.is_none() && self.rate.is_none()
    }

    /// Returns the limit after these changes, together.
    ///
    /// # Errors
    /// [`BurstAlone`].
    pub fn changed(mut self, changes: &[QueueLimitChange]) -> Result<QueueLimit, BurstAlone> {
        let mut burst = self.rate.map(|rate| rate.burst);
        let mut is_burst_set = false;
        for change in changes {
            match *change {
                QueueLimitChange::Running(running) => self.running = running,
                QueueLimitChange::Rate(rate) => self.rate = rate,
                QueueLimitChange::Burst(starts) => (burst, is_burst_set) = (starts, starts.is_some()),
            }
        }
        match &mut self.rate {
            Some(rate) => rate.burst = burst.unwrap_or(1),
            None if is_burst_set => return Err(BurstAlone),
            None => {}
        }
        Ok(self)
    }

    /// Returns a part as it is typed, if it is set.
    pub fn value(&self, key: QueueLimitKey) -> Option<String> {
        match key {
            QueueLimitKey::Running => self.running.map(|running| running.to_string()),
            QueueLimitKey::Rate => self.rate.map(|rate| rate.to_string()),
            QueueLimitKey::Burst => self.rate.map(|rate| rate.burst.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_read_and_change_what_they_name() {
        let read = |name: &str, value: &str| QueueLimitKey::find(name).unwrap().change(value);
        let change = |limit: QueueLimit, pairs: &[(&str, &str)]| {
            let changes: Vec<QueueLimitChange> = pairs
                .iter()
                .map(|(name, value)| read(name, value).unwrap())
                .collect();
            limit.changed(&changes)
        };
        let values = |limit: &QueueLimit| QueueLimitKey::ALL.map(|key| limit.value(key).unwrap_or_default());
        let set = change(
            QueueLimit::default(),
            &[("burst", "7"), ("rate", "10/s"), ("running", "4")],
        );
        let set = set.unwrap();
        assert_eq!(values(&set), ["4", "10/s", "7"]);
        let faster = change(set, &[("rate", "20/s")]).unwrap();
        assert_eq!(values(&faster), ["4", "20/s", "7"], "the burst stays");
        let plain = change(faster, &[("burst", "")]).unwrap();
        assert_eq!(values(&plain), ["4", "20/s", "1"]);
        let none = change(plain, &[("rate", ""), ("running", "")]).unwrap();
        assert!(none.is_empty() && !plain.is_empty());
        assert_eq!(change(none, &[("burst", "3")]), Err(BurstAlone));
        assert_eq!(QueueLimitKey::find("max_retries"), None);
        for (name, value, wanted) in [
            ("running", "-1", "invalid value '-1' for running: expected"),
            ("running", "many", "invalid value 'many' for running"),
            ("rate", "fast", "not a rate"),
            ("burst", "0", "for burst"),
        ] {
            let said = read(name, value).unwrap_err();
            assert!(said.contains(wanted), "{said}");
        }
    }
}
