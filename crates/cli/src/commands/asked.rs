//! Jobs that were asked about: how many there are, and why some of them are not changed after all. Not the question itself.

use std::collections::BTreeMap;

use anyhow::Result;
use queuectl_core::{JobId, State};
use queuectl_storage::{JobFilter, MassDone, Store, StoreError};

/// Jobs that are remembered. Of more it is only said how many there were.
const REMEMBERED: usize = 1_000_000;
/// Jobs that are read at a time.
const PAGE: u32 = 10_000;

/// Jobs that a question is about.
pub struct Asked {
    jobs: u64,
    remembered: Vec<JobId>,
    marker: i64,
}

/// Why a job that was asked about is not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    Ended,
    Began,
    RunsAgain,
    Removed,
    Differs,
}

impl Why {
    /// What has become of a job that does not fit any more.
    fn of(state: Option<State>, asked: &[State]) -> Why {
        match state {
            None => Why::Removed,
            Some(state) if asked.contains(&state) => Why::Differs,
            Some(_) if asked.iter().all(|state| state.is_final()) => Why::RunsAgain,
            Some(state) if state.is_final() => Why::Ended,
            Some(State::Processing) => Why::Began,
            Some(_) => Why::Differs,
        }
    }

    fn words(self, jobs: u64) -> String {
        let (one, several) = match self {
            Why::Ended => ("has ended", "have ended"),
            Why::Began => ("has begun to run", "have begun to run"),
            Why::RunsAgain => ("was retried", "were retried"),
            Why::Removed => ("was removed", "were removed"),
            Why::Differs => ("does not fit any more", "do not fit any more"),
        };
        format!("{jobs} {}", if jobs == 1 { one } else { several })
    }
}

/// What became of the jobs between the question and the answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Meanwhile {
    jobs: u64,
    why: BTreeMap<Why, u64>,
    /// Those of which that is not known.
    unknown: u64,
}

impl Asked {
    /// Counts the jobs that a filter means.
    pub fn count(store: &mut Store, filter: &JobFilter) -> Result<Asked, StoreError> {
        let marker = store.change_marker()?;
        let (mut jobs, mut remembered, mut after) = (0, Vec::new(), None);
        loop {
            let page = store.select(filter, after, PAGE)?;
            jobs += page.jobs.len() as u64;
            if remembered.len() < REMEMBERED {
                remembered.extend(page.jobs);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(Asked {
            jobs,
            remembered,
            marker,
        })
    }

    pub fn jobs(&self) -> u64 {
        self.jobs
    }

    /// Looks what has become of them, before they are changed.
    pub fn meanwhile(self, store: &mut Store, filter: &JobFilter) -> Result<Meanwhile, StoreError> {
        let mut meanwhile = Meanwhile {
            jobs: self.jobs,
            unknown: self.jobs - self.remembered.len() as u64,
            ..Meanwhile::default()
        };
        if store.change_marker()? == self.marker {
            return Ok(meanwhile);
        }
        for some in self.remembered.chunks(1000) {
            let fit = store.still_fit(filter, some)?;
            if fit.len() == some.len() {
                continue;
            }
            let others: Vec<JobId> = some.iter().copied().filter(|job| !fit.contains(job)).collect();
            let states = store.states(&others)?;
            for job in others {
                let why = Why::of(states.get(&job).copied(), &filter.states);
                *meanwhile.why.entry(why).or_default() += 1;
            }
        }
        Ok(meanwhile)
    }
}

impl Meanwhile {
    /// Says why fewer jobs were changed than were asked about; none if all of them were.
    pub fn explained(&self, done: &MassDone) -> Option<String> {
        let left = self.jobs.saturating_sub(done.jobs() + done.held_back);
        if left == 0 {
            return None;
        }
        let mut parts: Vec<String> = self.why.iter().map(|(why, jobs)| why.words(*jobs)).collect();
        let known: u64 = self.why.values().sum();
        let mut rest = left.saturating_sub(known);
        let alike = done.alike.min(rest);
        if alike > 0 {
            parts.push(format!(
                "{alike} {} like that already",
                if alike == 1 { "was" } else { "were" }
            ));
            rest -= alike;
        }
        if rest > 0 {
            let when = if self.unknown > 0 {
                "since the question"
            } else {
                "while the command ran"
            };
            parts.push(format!("{rest} began, ended or changed {when}"));
        }
        let were = if left == 1 { "was" } else { "were" };
        Some(format!(
            "{left} of the {} jobs asked about {were} left as before: {}",
            self.jobs,
            parts.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_are_counted_by_what_became_of_them() {
        let now = [
            Some(State::Completed),
            Some(State::Processing),
            Some(State::Blocked),
            Some(State::Pending),
            None,
        ];
        let why = now.map(|state| Why::of(state, &[State::Pending, State::Scheduled]));
        assert_eq!(
            why,
            [Why::Ended, Why::Began, Why::Differs, Why::Differs, Why::Removed]
        );
        let why = now.map(|state| Why::of(state, &[State::Dead, State::Completed]));
        assert_eq!(why[0], Why::Differs);
        assert_eq!(why[1..4], [Why::RunsAgain; 3]);
        let mut meanwhile = Meanwhile {
            jobs: 1417,
            ..Meanwhile::default()
        };
        let done = |changed, alike| MassDone {
            changed,
            requested: 4,
            held_back: 1,
            alike,
        };
        assert_eq!(meanwhile.explained(&done(1412, 0)), None, "the control");
        meanwhile.why = [(Why::Ended, 380), (Why::Began, 1)].into();
        assert_eq!(
            meanwhile.explained(&done(1000, 0)).unwrap(),
            "412 of the 1417 jobs asked about were left as before: 380 have ended, 1 has begun to run, 31 began, ended or \
             changed while the command ran"
        );
        assert_eq!(
            meanwhile.explained(&done(1000, 31)).unwrap(),
            "412 of the 1417 jobs asked about were left as before: 380 have ended, 1 has begun to run, 31 were like that \
             already"
        );
    }
}
