//! Where jobs are found in order: one queue, or all queues but `default` at once.
//!
//! With an index by queue alone, a query over all queues would look into each of them, and get slower with every queue.
//! So a second set of indexes covers all queues but one, and a query over all merges two sources. `default` is left out
//! because most stores have no other queue: their jobs then need no second index.

use std::collections::BTreeSet;

use queuectl_core::QueueName;

use super::cycle::Queues;

/// Jobs that one index has in the order in which they are claimed or listed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// Those of one queue.
    Queue(String),
    /// Those of all queues but `default`.
    Others,
}

impl Source {
    /// All jobs there are.
    pub fn all() -> [Source; 2] {
        [Source::Queue(QueueName::default().into()), Source::Others]
    }

    /// The jobs that a node serves.
    pub fn served(queues: &Queues) -> Vec<Source> {
        match queues {
            Queues::All => Source::all().into(),
            // One that is named twice is read once.
            Queues::Only(names) => {
                let names: BTreeSet<&str> = names.iter().map(QueueName::as_str).collect();
                names
                    .into_iter()
                    .map(|name| Source::Queue(name.to_owned()))
                    .collect()
            }
        }
    }

    /// The jobs of one queue, or of all.
    pub fn of(queue: Option<&QueueName>) -> Vec<Source> {
        match queue {
            Some(name) => vec![Source::Queue(name.to_string())],
            None => Source::all().into(),
        }
    }

    /// The condition for its jobs, with the queue as the first parameter, and the index over them; `index` is one of `ready`,
    /// `waiting` and `finished`.
    pub fn within(&self, index: &str) -> (String, String) {
        match self {
            Source::Queue(_) => ("queue = ?1".to_owned(), format!("INDEXED BY jobs_{index}")),
            Source::Others => (
                "(queue = 'default') IS FALSE AND ?1 = ?1".to_owned(),
                format!("INDEXED BY others_{index}"),
            ),
        }
    }

    /// The queue's name, empty for the others. No queue has an empty name.
    pub fn key(&self) -> &str {
        match self {
            Source::Queue(name) => name,
            Source::Others => "",
        }
    }

    /// The source that has this key.
    pub fn with_key(key: String) -> Source {
        match key.is_empty() {
            true => Source::Others,
            false => Source::Queue(key),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The statements and the schema have the name in their text.
    #[test]
    fn the_queue_that_is_left_out_is_the_one_that_jobs_go_to_by_default() {
        assert_eq!(Source::all()[0].key(), "default");
        let (condition, _) = Source::Others.within("ready");
        assert!(
            condition.starts_with("(queue = 'default') IS FALSE"),
            "{condition}"
        );
    }
}
