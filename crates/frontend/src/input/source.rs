//! Where many jobs come from: documents, lines or rows, one job after the other.

use std::io;

use queuectl_core::JobSpec;

use super::documents::Place;

/// What is found next in a source.
#[derive(Debug)]
pub struct Found {
    /// Where it stands.
    pub place: Place,
    /// Its length in bytes.
    pub bytes: usize,
    /// The job, or the mistake for the user who wrote it.
    pub job: Result<JobSpec, String>,
}

/// Jobs that are read one after the other, with bounded memory.
pub trait JobSource {
    /// Returns the next job or mistake; none at the end.
    ///
    /// # Errors
    /// The input cannot be read any further.
    fn read(&mut self) -> io::Result<Option<Found>>;

    /// Returns the last line of what was found last, from 1.
    fn line(&self) -> u64;
}
