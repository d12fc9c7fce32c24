//! What passes between limits, the statements about them, and the storing of jobs: phases of a job's keys, rows, and where a new
//! job goes.

use super::cycle::Queues;
use super::pause::Pauses;

/// The job waits for the key.
pub const PARKED: i16 = 1;
/// The job runs and counts for the key.
pub const HOLDING: i16 = 2;
/// The job is ready, and was let through for the key.
pub const ADMITTED: i16 = 3;

/// A row to be stored: job, key, the job's priority, phase.
pub type NewRow<'a> = (i64, &'a str, i32, i16);

/// Rows of a job for these keys.
pub fn rows<'a>(job: i64, keys: &'a [String], priority: i32, phase: i16) -> impl Iterator<Item = NewRow<'a>> {
    debug_assert!(
        phase != PARKED || keys.len() == 1,
        "a job waits for one key at a time"
    );
    keys.iter().map(move |key| (job, key.as_str(), priority, phase))
}

/// What becomes of a new job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placement {
    /// It names no limit, or its time has not come: it goes where it would go without.
    Free,
    /// It is ready, and these keys have let it through.
    Admitted(Vec<String>),
    /// It waits for this key.
    Parked(String),
}

impl Placement {
    /// The rows of the job.
    pub fn rows(&self, job: i64, priority: i32) -> Vec<NewRow<'_>> {
        match self {
            Placement::Free => Vec::new(),
            Placement::Admitted(keys) => rows(job, keys, priority, ADMITTED).collect(),
            Placement::Parked(key) => vec![(job, key.as_str(), priority, PARKED)],
        }
    }
}

/// The queues that a node claims from.
#[derive(Debug)]
pub struct Serves<'a> {
    queues: &'a Queues,
    paused: Vec<String>,
}

impl<'a> Serves<'a> {
    /// These, but those that are paused.
    pub fn new(queues: &'a Queues, pauses: &Pauses) -> Serves<'a> {
        let paused = pauses.names().to_vec();
        Serves { queues, paused }
    }

    /// Whether a queue is one of them.
    pub fn include(&self, queue: &str) -> bool {
        self.queues.include(queue) && !self.paused.iter().any(|paused| paused == queue)
    }
}
