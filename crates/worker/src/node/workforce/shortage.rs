//! A node that cannot start jobs: the machine lacks something that they need, such as open files, processes, memory or a
//! folder for temporary files, or the node's shell is not there.
//!
//! The jobs are all right, so they go back to the queue and nothing is counted against them. The node claims no more than
//! what still runs, and tries with a few jobs now and then whether it is over. One job that fails again and again while
//! others start beside it is not all right, and is treated as any system failure.

use std::time::Duration;

use queuectl_core::JobId;

use crate::env::Instant;

/// Between two tries.
const WAIT_FIRST: Duration = Duration::from_secs(1);
const WAIT_MOST: Duration = Duration::from_secs(30);
/// A job that was started this long ago and has not come back was started well.
const STARTED: Duration = Duration::from_secs(1);
/// Jobs of a try: one alone could be to blame itself.
const TRY: usize = 2;
/// Failures of a job, while others started beside it, after which it is to blame.
const BLAME: u32 = 5;

/// What is known of a shortage; by default there is none.
#[derive(Default)]
pub struct Shortage {
    known: Option<Known>,
    /// The job that failed last.
    suspect: Option<Suspect>,
}

struct Known {
    /// The most jobs that may run at a time.
    most: usize,
    wait: Duration,
    try_at: Instant,
    /// When the try under way began.
    trying: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Suspect {
    job: JobId,
    failed_at: Instant,
    others_started: bool,
    failures: u32,
}

/// What follows from a job that could not be started.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The machine is to blame, and that is news.
    Begun,
    /// The machine is to blame, still.
    Known,
    /// The job is to blame.
    Job,
}

impl Shortage {
    /// A job could not be started while `running` others ran.
    pub fn failed(&mut self, job: JobId, running: usize, now: Instant) -> Verdict {
        let before = self.suspect.filter(|suspect| suspect.job == job);
        let failures = before.map_or(0, |suspect| suspect.failures + u32::from(suspect.others_started));
        self.suspect = Some(Suspect {
            job,
            failed_at: now,
            others_started: false,
            failures,
        });
        if failures >= BLAME {
            self.known = None;
            return Verdict::Job;
        }
        let Some(known) = &mut self.known else {
            self.known = Some(Known {
                most: running,
                wait: WAIT_FIRST,
                try_at: now + WAIT_FIRST,
                trying: None,
            });
            return Verdict::Begun;
        };
        known.most = known.most.min(running);
        if known.trying.take().is_some() {
            known.wait = (known.wait * 2).min(WAIT_MOST);
        }
        known.try_at = now + known.wait;
        Verdict::Known
    }

    /// A job did start, this time after it was sent to a worker. Says whether the shortage is over.
    pub fn started(&mut self, job: JobId, age: Duration, now: Instant) -> bool {
        if let Some(suspect) = &mut self.suspect {
            // A job of the same try may have been sent a moment before the other failed.
            let since = now.saturating_duration_since(suspect.failed_at);
            suspect.others_started |= job != suspect.job && age < since + STARTED;
        }
        let trying = self.known.as_ref().and_then(|known| known.trying);
        let over = trying.is_some_and(|began| age <= now.saturating_duration_since(began));
        if over {
            self.known = None;
        }
        over
    }

    /// Time has passed while `running` jobs ran. Says whether the shortage is over.
    pub fn on_time(&mut self, running: usize, now: Instant) -> bool {
        let Some(known) = &mut self.known else {
            return false;
        };
        match known.trying {
            None if known.try_at <= now => known.trying = Some(now),
            Some(began) if running > known.most && began + STARTED <= now => {
                self.known = None;
                return true;
            }
            _ => {}
        }
        false
    }

    /// When time alone changes something.
    pub fn next(&self) -> Option<Instant> {
        let known = self.known.as_ref()?;
        Some(known.trying.map_or(known.try_at, |began| began + STARTED))
    }

    /// The most jobs that may run at a time.
    pub fn most(&self) -> Option<usize> {
        let known = self.known.as_ref()?;
        Some(known.most + if known.trying.is_some() { TRY } else { 0 })
    }

    pub fn is_known(&self) -> bool {
        self.known.is_some()
    }

    /// What was missing may be there now: tries at once.
    pub fn try_now(&mut self, now: Instant) {
        if let Some(known) = &mut self.known {
            (known.wait, known.try_at) = (WAIT_FIRST, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const ONE: JobId = JobId(1);
    const TWO: JobId = JobId(2);

    #[test]
    fn nothing_is_claimed_but_for_tries_which_get_rarer() {
        let (mut shortage, mut now) = (Shortage::default(), Instant::now());
        assert_eq!((shortage.most(), shortage.next()), (None, None));
        assert_eq!(shortage.failed(ONE, 3, now), Verdict::Begun);
        assert_eq!(shortage.failed(TWO, 3, now), Verdict::Known);
        for wait in [1, 2, 4, 8, 16, 30, 30] {
            assert_eq!(shortage.most(), Some(3));
            assert!(!shortage.on_time(3, now + SECOND * wait - SECOND / 2));
            assert_eq!(shortage.most(), Some(3), "too early");
            now += SECOND * wait;
            assert!(!shortage.on_time(3, now));
            assert_eq!(shortage.most(), Some(3 + TRY));
            for job in [ONE, TWO] {
                assert_eq!(shortage.failed(job, 3, now), Verdict::Known);
            }
        }
        shortage.try_now(now);
        assert!(!shortage.on_time(3, now));
        assert_eq!(shortage.most(), Some(3 + TRY));
    }

    #[test]
    fn it_is_over_when_a_job_of_a_try_has_started() {
        let begin = Instant::now();
        let short = || {
            let mut shortage = Shortage::default();
            shortage.failed(ONE, 0, begin);
            assert!(
                !shortage.started(TWO, SECOND, begin + SECOND / 2),
                "it was started before"
            );
            assert!(!shortage.on_time(0, begin + SECOND));
            shortage
        };
        let mut ended = short();
        assert!(ended.started(ONE, SECOND / 2, begin + SECOND * 2));
        assert!(!ended.is_known());
        let mut runs = short();
        assert!(!runs.on_time(0, begin + SECOND * 9), "there was no job to try");
        assert!(runs.on_time(1, begin + SECOND * 9));
    }

    #[test]
    fn a_job_that_fails_alone_is_to_blame_in_the_end() {
        let (mut shortage, mut now) = (Shortage::default(), Instant::now());
        let mut verdicts = Vec::new();
        for _ in 0..=BLAME {
            verdicts.push(shortage.failed(ONE, 0, now));
            shortage.started(TWO, Duration::ZERO, now);
            now += SECOND;
        }
        assert_eq!(verdicts.pop(), Some(Verdict::Job));
        assert!(!verdicts.contains(&Verdict::Job), "not before");
    }
}
