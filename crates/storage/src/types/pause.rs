//! Queues that are not claimed from as others are: paused ones at a moment, and those with limits. What is known of a pause.

use queuectl_core::{QueueLimit, QueueName, Timestamp};

use super::cycle::Queues;

/// The end of a pause that does not end by itself.
pub const ENDLESS: i64 = i64::MAX;
/// A moment at which no queue is paused.
pub const NEVER_PAUSED: Timestamp = Timestamp(ENDLESS);
/// With fewer ready jobs in paused queues, a claim from all queues steps over those jobs. With more, it looks at the queues
/// that are not paused one by one.
pub const STEPPED_OVER: i64 = 1000;

/// The queues that are paused at one moment, and those with limits. Mostly there are none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pauses {
    at: i64,
    names: Vec<String>,
    limited: Vec<(String, QueueLimit)>,
    next_end: Option<Timestamp>,
}

impl Pauses {
    /// Those of the stored pauses, each with its end, that are in force.
    pub fn at(now: Timestamp, stored: impl IntoIterator<Item = (String, i64)>) -> Pauses {
        let in_force = stored.into_iter().filter(|(_, until)| *until > now.0);
        let (mut names, mut next_end) = (Vec::new(), ENDLESS);
        for (name, until) in in_force {
            names.push(name);
            next_end = next_end.min(until);
        }
        Pauses {
            at: now.0,
            names,
            limited: Vec::new(),
            next_end: (next_end < ENDLESS).then_some(Timestamp(next_end)),
        }
    }

    /// The same, with the queues that have limits.
    #[must_use]
    pub fn with_limited(self, limited: Vec<(String, QueueLimit)>) -> Pauses {
        Pauses { limited, ..self }
    }

    /// Those of the queues with limits that a node claims from: they are served, and not paused.
    pub fn limited(&self, queues: &Queues) -> Vec<(String, QueueLimit)> {
        let open = |name: &str| queues.include(name) && !self.has(name);
        let limited = self.limited.iter().filter(|(name, _)| open(name));
        limited.cloned().collect()
    }

    /// All queues with a limit of running jobs, served or not, and how many that is.
    pub fn most_running(&self) -> Vec<(String, u32)> {
        let limited = self.limited.iter();
        limited
            .filter_map(|(name, limit)| Some((name.clone(), limit.running?)))
            .collect()
    }

    /// Whether that queue has a limit.
    pub fn is_limited(&self, queue: &str) -> bool {
        self.limited.iter().any(|(name, _)| name == queue)
    }

    /// That moment.
    pub fn moment(&self) -> i64 {
        self.at
    }

    /// Whether no queue is paused, and none has a limit.
    pub fn is_empty(&self) -> bool {
        self.names.is_empty() && self.limited.is_empty()
    }

    /// The names of those queues.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether that queue is paused.
    pub fn has(&self, queue: &str) -> bool {
        self.names.iter().any(|name| name == queue)
    }

    /// Whether a queue other than `default` is, or has a limit: those of it are not claimed together with all others.
    pub fn has_others(&self) -> bool {
        let default = QueueName::default();
        let limited = self.limited.iter().map(|(name, _)| name);
        self.names
            .iter()
            .chain(limited)
            .any(|name| name != default.as_str())
    }

    /// The earlier of that time and the next end of a pause: when there may be something to claim.
    pub fn or_next_end(&self, due: Option<Timestamp>) -> Option<Timestamp> {
        due.into_iter().chain(self.next_end).min()
    }
}

/// A pause of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub at: Timestamp,
    /// When it ends by itself, if it does.
    pub until: Option<Timestamp>,
    /// Who paused it: the user and the machine.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_at_its_end_and_the_next_end_is_the_earliest() {
        let stored = [
            ("a".to_owned(), 10),
            ("default".to_owned(), 30),
            ("c".to_owned(), ENDLESS),
        ];
        let at = |now| Pauses::at(Timestamp(now), stored.clone());
        assert!(at(9).has("a") && !at(10).has("a"));
        assert_eq!(at(9).or_next_end(None), Some(Timestamp(10)));
        assert_eq!(at(10).or_next_end(None), Some(Timestamp(30)));
        assert_eq!(at(10).or_next_end(Some(Timestamp(20))), Some(Timestamp(20)));
        assert_eq!((at(30).or_next_end(None), at(30).has("c")), (None, true));
        assert!(at(i64::MAX).is_empty());
        assert!(!Pauses::at(Timestamp(0), [("default".to_owned(), 1)]).has_others());
    }
}
