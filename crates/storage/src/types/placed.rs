//! What became of jobs that were to be stored.

use queuectl_core::{JobId, State};

/// What became of a job that was to be stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The number of the job that counts: the new one, or the one that is there.
    pub id: JobId,
    /// The job that was there already and has its key; it was not stored then.
    pub existing: Option<Existing>,
    /// The job that it took the place of, in the state in which that was: it waits for the end of one that ran.
    pub replaced: Option<Existing>,
}

/// A job that has a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Existing {
    /// Its number.
    pub id: JobId,
    /// The id that users see.
    pub public_id: String,
    /// Its state.
    pub state: State,
}

impl Placed {
    /// A job that was stored.
    pub(crate) fn new(id: JobId) -> Placed {
        Placed {
            id,
            existing: None,
            replaced: None,
        }
    }
}
