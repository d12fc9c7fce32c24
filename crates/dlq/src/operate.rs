//! What an operator does with dead letters: retry them, or remove them for good.
//!
//! What concerns all of them goes in batches, so that no transaction grows with their number and running nodes get
//! their turns in between.

use std::time::{Duration, Instant};

use queuectl_core::{JobId, JobRef, QueueName, State, Timestamp};
use queuectl_storage::{
    DeadFilter, DeadJob, Frozen, JobFilter, MassChange, MassDone, Only, Store, StoreError, frozen_request,
    let_others_write,
};

use crate::cause::{Cause, CauseKey};
use crate::causes::{PAGE, each_page};

/// Makes a dead job ready again at once, with fresh attempts. Its history stays. With a queue, only if the job is in it; with
/// an age, only if it has been dead for that time by now.
///
/// # Errors
/// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if the job is not dead; [`StoreError::LeftAlone`].
pub fn retry(
    store: &mut Store,
    job: &JobRef,
    queue: Option<&QueueName>,
    age: Option<Duration>,
    now: Timestamp,
) -> Result<JobId, StoreError> {
    let only = Only {
        state: Some(State::Dead),
        queue: queue.cloned(),
        ended_before: age.map(|age| dead_for(age, now)),
    };
    store.retry(job, &only, now)
}

/// What became of many dead jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetriedAll {
    /// Jobs that will run again.
    pub jobs: u64,
    /// Jobs that stay dead because other jobs have their unique keys.
    pub skipped: u64,
}

/// Removes a dead job for good, with its attempts and output. With a queue, only if the job is in it; with an age, only
/// if it has been dead for that time by now.
///
/// # Errors
/// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if the job is not dead; [`StoreError::LeftAlone`].
pub fn purge(
    store: &mut Store,
    job: &JobRef,
    queue: Option<&QueueName>,
    age: Option<Duration>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let only = Only {
        state: Some(State::Dead),
        queue: queue.cloned(),
        ended_before: age.map(|age| dead_for(age, now)),
    };
    store.purge_one(job, &only)
}

/// Before when a job must have died to have been dead for that long by now. "Before" is meant strictly, and a job that
/// died in this very moment is dead.
fn dead_for(age: Duration, now: Timestamp) -> Timestamp {
    let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
    Timestamp(now.0.saturating_sub(age).saturating_add(1))
}

/// The dead jobs that an operator means. Those that die after `now` are not among them, whatever happens meanwhile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selected {
    /// Only in this queue.
    pub queue: Option<QueueName>,
    /// Only those that died of this.
    pub cause: Option<CauseKey>,
    /// Only those that have been dead for this time.
    pub age: Duration,
    /// When they were selected.
    pub now: Timestamp,
}

impl Selected {
    /// Returns what the store has to look for; the cause is looked at here.
    pub fn filter(&self) -> DeadFilter {
        DeadFilter {
            queue: self.queue.clone(),
            died_before: Some(dead_for(self.age, self.now)),
            oldest_first: true,
        }
    }

    /// Returns whether one of those that [`Selected::filter`] finds is meant.
    pub fn fits(&self, job: &DeadJob) -> bool {
        self.cause.is_none_or(|key| Cause::of(job).key() == key)
    }

    /// Visits those that are meant, in portions.
    fn each(
        &self,
        store: &mut Store,
        mut visit: impl FnMut(&mut Store, Vec<DeadJob>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        each_page(store, &self.filter(), |store, mut jobs| {
            jobs.retain(|job| self.fits(job));
            match jobs.is_empty() {
                true => Ok(()),
                false => visit(store, jobs),
            }
        })
    }
}

/// What is meant, before anything happens to it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Survey {
    /// How many jobs are meant.
    pub jobs: u64,
    /// The ids of the first of them.
    pub first: Vec<String>,
    /// What they died of, if one cause is meant.
    pub cause: Option<Cause>,
}

/// Ids that a survey names.
const NAMED: usize = 5;

/// Returns how many dead jobs are meant, and some of them.
///
/// # Errors
/// [`StoreError::Database`].
pub fn survey(store: &mut Store, selected: &Selected) -> Result<Survey, StoreError> {
    let mut survey = Survey::default();
    selected.each(store, |_, jobs| {
        if survey.jobs == 0 && selected.cause.is_some() {
            survey.cause = jobs.first().map(Cause::of);
        }
        let missing = NAMED - survey.first.len();
        survey
            .first
            .extend(jobs.iter().take(missing).map(DeadJob::public_id));
        survey.jobs += jobs.len() as u64;
        Ok(())
    })?;
    Ok(survey)
}

/// Returns the numbers of those that are meant, in the order in which they died; with a limit only the newest, and whether there
/// are more.
///
/// # Errors
/// [`StoreError::Database`].
pub fn newest(
    store: &mut Store,
    selected: &Selected,
    limit: Option<u32>,
) -> Result<(Vec<JobId>, bool), StoreError> {
    let limit = limit.map_or(usize::MAX, |limit| limit as usize);
    let filter = DeadFilter {
        oldest_first: false,
        ..selected.filter()
    };
    let mut found = Vec::new();
    let mut from = None;
    loop {
        let page = store.dead_page(&filter, from, PAGE)?;
        let fitting = page.jobs.iter().filter(|job| selected.fits(job));
        found.extend(fitting.map(|job| job.id));
        from = page.next;
        if from.is_none() || found.len() > limit {
            break;
        }
    }
    let more = found.len() > limit;
    found.truncate(limit);
    found.reverse();
    Ok((found, more))
}

/// Returns an error if a job that is named is dead and not one of those that are meant. Of a job that is not dead, nothing is
/// said here.
///
/// # Errors
/// [`StoreError::LeftAlone`]; [`StoreError::NoSuchJob`].
pub fn check_cause(store: &mut Store, job: &JobRef, cause: Option<CauseKey>) -> Result<(), StoreError> {
    let Some(meant) = cause else {
        return Ok(());
    };
    match store.dead_job(job)?.map(|dead| Cause::of(&dead).key()) {
        Some(key) if key != meant => Err(StoreError::LeftAlone {
            job: job.to_string(),
            why: format!("died of another cause, {key}"),
        }),
        _ => Ok(()),
    }
}

impl Selected {
    /// Returns the jobs without regard to their cause, as a filter of the store.
    fn jobs(&self) -> JobFilter {
        JobFilter {
            until: Some(Timestamp(dead_for(self.age, self.now).0.saturating_sub(1))),
            ..JobFilter::from(State::Dead).in_queue(self.queue.as_ref())
        }
    }

    /// Returns what an operation on them does, as the store keeps it for one that is cut off.
    pub fn request(&self, change: MassChange) -> String {
        let filter = JobFilter {
            change: Some(change),
            ..self.jobs()
        };
        frozen_request(
            &filter,
            None,
            self.cause.map(|cause| cause.to_string()).as_deref(),
        )
    }
}

/// Makes the dead jobs that are meant ready again. Cut off in the middle, it goes on when it is repeated. `after_step` is told
/// how many run again by then.
///
/// # Errors
/// [`StoreError::Database`]; earlier portions stay retried.
pub fn retry_selected(
    store: &mut Store,
    selected: &Selected,
    mut after_step: impl FnMut(u64),
) -> Result<RetriedAll, StoreError> {
    if selected.cause.is_none() {
        let told = |done: &MassDone| after_step(done.changed);
        let done = store.change_all(&selected.jobs(), MassChange::Retry, selected.now, told)?;
        let (jobs, skipped) = (done.changed, done.held_back);
        return Ok(RetriedAll { jobs, skipped });
    }
    let mut retried = RetriedAll { jobs: 0, skipped: 0 };
    selected.each(store, |store, jobs| {
        let step = store.retry_dead_jobs(&jobs, selected.now)?;
        retried.jobs += step.jobs;
        retried.skipped += step.held_back;
        after_step(retried.jobs);
        Ok(())
    })?;
    Ok(retried)
}

/// Removes the dead jobs that are meant for good. Returns how many. `after_step` is told how many by then.
///
/// # Errors
/// [`StoreError::Database`]; earlier portions stay removed.
pub fn purge_selected(
    store: &mut Store,
    selected: &Selected,
    mut after_step: impl FnMut(u64),
) -> Result<u64, StoreError> {
    if selected.cause.is_none() {
        let told = |done: &MassDone| after_step(done.changed);
        let done = store.change_all(&selected.jobs(), MassChange::Purge, selected.now, told)?;
        return Ok(done.changed);
    }
    let mut sum = 0;
    selected.each(store, |store, jobs| {
        loop {
            let start = Instant::now();
            let step = store.purge_dead_jobs(&jobs)?;
            sum += step.jobs;
            after_step(sum);
            let_others_write(start);
            if !step.more {
                return Ok(());
            }
        }
    })?;
    Ok(sum)
}

/// Goes on with an operation on the dead jobs of a cause that was cut off. Those that it changed are not dead any more, or died
/// again later, and are not meant.
///
/// # Errors
/// [`StoreError::Database`]; earlier portions stay done.
pub fn go_on(
    store: &mut Store,
    frozen: &Frozen,
    cause: CauseKey,
    after_step: impl FnMut(u64),
) -> Result<(), StoreError> {
    let selected = Selected {
        queue: frozen.filter.queues.first().cloned(),
        cause: Some(cause),
        age: Duration::ZERO,
        now: frozen.filter.until.unwrap_or(Timestamp(i64::MAX)),
    };
    match frozen.filter.change {
        Some(MassChange::Purge) => purge_selected(store, &selected, after_step).map(drop),
        _ => retry_selected(store, &selected, after_step).map(drop),
    }
}
