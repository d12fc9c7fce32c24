//! The output of a job over its attempts: each reading goes on where the one before it ended.

use std::io;
use std::path::PathBuf;

use queuectl_core::{Attempt, Job, JobId, JobRef, State};
use queuectl_storage::{Store, StoreError};

use super::chunks::{Chunk, Chunks};
use super::place::Place;
use super::stream::Stream;

/// Reads the output of a job.
pub struct Tap {
    job: JobId,
    /// Only this attempt.
    only: Option<i64>,
    place: Place,
    /// The attempt that the place is in; none between two attempts.
    open: Option<Open>,
}

/// An attempt that is read.
struct Open {
    stream: Stream,
    /// Its number.
    attempt: u32,
}

impl Open {
    fn read_file(&mut self, most: u64, to: &mut Chunks) -> Result<u64, TapError> {
        let read = self.stream.read_file(most, to);
        read.map_err(|error| TapError::File(self.stream.path().to_owned(), error))
    }

    fn read_rest(&mut self, attempt: &Attempt, most: u64, to: &mut Chunks) -> Result<bool, TapError> {
        let read = self.stream.read_rest(attempt, most, to);
        read.map_err(|error| TapError::File(self.stream.path().to_owned(), error))
    }
}

/// Some of the output of one attempt.
#[derive(Debug)]
pub struct Reading {
    /// The job, as it was then.
    pub job: Job,
    /// The number of the attempt; 0 if the job has none yet.
    pub attempt: u32,
    /// Its fencing token.
    pub fence: i64,
    /// What it printed.
    pub chunks: Vec<Chunk>,
    /// Where the next reading begins.
    pub next: Place,
    /// The attempt, if it has ended and this is the last of its output.
    pub ended: Option<Attempt>,
    /// Whether there is more already.
    pub more: bool,
    /// Whether nothing more will come.
    pub is_last: bool,
}

/// Why output cannot be read.
#[derive(Debug)]
pub enum TapError {
    /// The store says so.
    Store(StoreError),
    /// The job has no attempt of that number.
    NoAttempt(u32),
    /// A file cannot be read.
    File(PathBuf, io::Error),
}

impl From<StoreError> for TapError {
    fn from(error: StoreError) -> TapError {
        TapError::Store(error)
    }
}

impl Tap {
    /// Reads the newest attempt, or the one with that number alone, or from a place on.
    ///
    /// # Errors
    /// [`TapError`].
    pub fn open(
        store: &mut Store,
        job: &Job,
        attempt: Option<u32>,
        after: Option<Place>,
    ) -> Result<Tap, TapError> {
        let fences = fences(store, job)?;
        let only = match attempt {
            None => None,
            Some(number) => {
                let at = usize::try_from(number)
                    .ok()
                    .and_then(|number| number.checked_sub(1));
                let fence = at.and_then(|at| fences.get(at).copied());
                Some(fence.ok_or(TapError::NoAttempt(number))?)
            }
        };
        let newest = fences.last().copied().unwrap_or_default();
        let begin = |fence| Place { fence, offset: 0 };
        let place = match (only, after) {
            // Behind it there is nothing more.
            (Some(only), Some(after)) if after.fence >= only => after,
            (Some(only), _) => begin(only),
            (None, Some(after)) => after,
            (None, None) => begin(newest),
        };
        Ok(Tap {
            job: job.id,
            only,
            place,
            open: None,
        })
    }

    /// Returns where the next reading begins.
    pub fn place(&self) -> Place {
        self.place
    }

    /// Reads on, at most that many bytes.
    ///
    /// # Errors
    /// [`TapError`].
    pub fn read(&mut self, store: &mut Store, most: u64) -> Result<Reading, TapError> {
        let job = store.job(&JobRef::Number(self.job))?;
        if self.open.is_none() {
            let fences = fences(store, &job)?;
            let Some(at) = self.attempt_at(&fences) else {
                return Ok(self.nothing(job, &fences));
            };
            let fence = fences[at];
            if fence != self.place.fence {
                self.place = Place { fence, offset: 0 };
            }
            let path = store.outputs()?.file(self.job.0, fence);
            self.open = Some(Open {
                stream: Stream::new(path, self.place.offset),
                attempt: u32::try_from(at + 1).unwrap_or(u32::MAX),
            });
        }
        let Some(open) = &mut self.open else {
            return Ok(self.nothing(job, &[]));
        };
        let (fence, attempt) = (self.place.fence, open.attempt);
        // First this: what it has printed by its end is in the file or in the store then.
        let ended = store.attempt(self.job, fence)?;
        let mut chunks = Chunks::new(self.place.offset);
        let read = open.read_file(most, &mut chunks)?;
        let is_all = match &ended {
            Some(attempt) if read < most => open.read_rest(attempt, most - read, &mut chunks)?,
            _ => false,
        };
        if !is_all {
            open.stream.go_back(chunks.take_back());
        }
        self.place.offset = open.stream.position();
        let has_newer = job.fence > fence && self.only.is_none();
        if is_all {
            self.open = None;
            self.place = Place {
                fence: fence + 1,
                offset: 0,
            };
        }
        Ok(Reading {
            attempt,
            fence,
            chunks: chunks.into_list(),
            next: self.place,
            more: if is_all {
                has_newer
            } else {
                ended.is_some() || read >= most
            },
            is_last: is_all && !has_newer && (job.state.is_final() || self.only.is_some()),
            ended: ended.filter(|_| is_all),
            job,
        })
    }

    /// What there is to read of a job that has no attempt after the place, or none that is asked for.
    fn nothing(&self, job: Job, fences: &[i64]) -> Reading {
        let last = self.only.unwrap_or(i64::MAX);
        let attempts = fences.iter().filter(|fence| **fence <= last).count();
        Reading {
            attempt: u32::try_from(attempts).unwrap_or(u32::MAX),
            fence: self.place.fence,
            chunks: Vec::new(),
            next: self.place,
            ended: None,
            more: false,
            is_last: self.only.is_some() || job.state.is_final(),
            job,
        }
    }

    /// Reads what the file of a running attempt has more by now, without asking the store.
    ///
    /// # Errors
    /// [`TapError::File`].
    pub fn read_on(&mut self, most: u64) -> Result<(Vec<Chunk>, Place), TapError> {
        let Some(open) = &mut self.open else {
            return Ok((Vec::new(), self.place));
        };
        let mut chunks = Chunks::new(self.place.offset);
        open.read_file(most, &mut chunks)?;
        open.stream.go_back(chunks.take_back());
        self.place.offset = open.stream.position();
        Ok((chunks.into_list(), self.place))
    }

    /// The place in a job's attempts of the one to read: that of the place, or the first after it that is asked for.
    fn attempt_at(&self, fences: &[i64]) -> Option<usize> {
        match self.only {
            Some(only) if self.place.fence > only => None,
            Some(only) => fences.iter().position(|fence| *fence == only),
            None => fences.iter().position(|fence| *fence >= self.place.fence),
        }
    }
}

/// The fencing tokens of all attempts of a job, the running one last.
fn fences(store: &mut Store, job: &Job) -> Result<Vec<i64>, StoreError> {
    let ended = store.attempts_without_output(job.id)?;
    let running = (job.state == State::Processing).then_some(job.fence);
    Ok(ended.iter().map(|attempt| attempt.fence).chain(running).collect())
}
