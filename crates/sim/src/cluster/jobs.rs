//! Clients: storing jobs, and what is done to one.

use std::time::Duration;

use queuectl_core::{
    After, BlockedBy, Command, JobHooks, JobId, JobName, JobRef, JobSpec, OnConflict, Start, State, Unmet,
    ValidJob,
};
use queuectl_storage::{Cancelled, ListFilter, Only, StoreError};
use queuectl_testkit::history::{Call, Reply};
use queuectl_testkit::valid;

use super::{Cluster, JOBS};
use crate::plan::{Conflict, Deed, Extras};

/// Of how many of the newest jobs one is waited for.
const NEWEST: usize = 6;

impl Cluster {
    pub(super) fn enqueue(
        &mut self,
        count: u8,
        retries: Option<u8>,
        delay: u32,
        queue: u8,
        extras: Extras,
    ) -> bool {
        if self.names >= JOBS {
            return false;
        }
        self.be_on(0);
        let now = self.client_now();
        let delay = (delay > 0).then(|| Duration::from_millis(delay.into()));
        let group = extras.group.and_then(|which| self.group(which));
        let (mut names, mut parents) = (Vec::new(), Vec::new());
        let mut jobs: Vec<ValidJob> = Vec::new();
        for _ in 0..count {
            self.names += 1;
            let mut spec = JobSpec {
                id: format!("job-{}", self.names).parse().ok(),
                queue: format!("q{queue}").parse().ok(),
                max_retries: retries.map(u32::from),
                start: delay.map(Start::After),
                group: group.clone(),
                ..JobSpec::line("true")
            };
            dress(&mut spec, extras);
            if let Some((pick, condition, unmet)) = extras.after {
                let before = names.last().filter(|_| extras.chained).cloned();
                let newest = self.jobs.len().min(NEWEST);
                let other = (newest > 0).then(|| self.jobs[self.jobs.len() - 1 - pick as usize % newest]);
                parents.extend(other);
                let named = before
                    .into_iter()
                    .map(JobRef::Name)
                    .chain(other.map(JobRef::Number));
                spec.after = named.map(|job| After { job, condition }).collect();
                if !spec.after.is_empty() {
                    spec.unmet = Some(unmet);
                }
            }
            let name: JobName = spec.id.clone().expect("it has a name");
            if spec.unmet == Some(Unmet::Run) {
                self.run_anyway.insert(name.to_string());
            }
            names.push(name);
            jobs.push(valid(spec));
        }
        let texts = names.iter().map(ToString::to_string).collect();
        let call = self.history.borrow_mut().invoked(self.at(), Call::Enqueue(texts));
        let reply = match self.client.place(&jobs, now) {
            Ok(placed) => {
                let new = placed.iter().map(|job| job.existing.is_none().then_some(job.id));
                let new: Vec<Option<JobId>> = new.collect();
                self.jobs.extend(new.iter().flatten());
                self.parents.extend(parents);
                if extras.chained && extras.after.is_some() {
                    self.parents.extend(new.iter().flatten());
                }
                Reply::Placed(new)
            }
            Err(error) => {
                if let StoreError::GroupStopped { group, .. } = &error {
                    self.leave_group(group);
                }
                self.failed(&error)
            }
        };
        self.history.borrow_mut().returned(self.at(), call, reply);
        self.wake_all();
        true
    }

    /// Something is done to a job that others wait for.
    pub(super) fn do_to_parent(&mut self, pick: u32, deed: Deed) -> bool {
        self.be_on(0);
        if self.parents.is_empty() {
            return false;
        }
        let job = self.parents[pick as usize % self.parents.len()];
        match deed {
            Deed::Cancel => self.cancel_job(job),
            Deed::Retry => self.retry_job(job, 1),
            Deed::Purge => self.purge(job),
        }
    }

    fn purge(&mut self, job: JobId) -> bool {
        let call = self.history.borrow_mut().invoked(self.at(), Call::Purge(job));
        let reply = match self.client.purge_one(&JobRef::Number(job), &Only::default()) {
            Ok(()) => Reply::Done,
            Err(StoreError::Refused { .. }) => Reply::Failed,
            Err(error) => self.failed(&error),
        };
        if matches!(reply, Reply::Done) {
            self.jobs.retain(|other| *other != job);
            self.parents.retain(|other| *other != job);
        }
        self.history.borrow_mut().returned(self.at(), call, reply);
        true
    }

    pub(super) fn cancel(&mut self, pick: u32) -> bool {
        self.pick(pick).is_some_and(|job| self.cancel_job(job))
    }

    fn cancel_job(&mut self, job: JobId) -> bool {
        let now = self.client_now();
        let reply = match self.client.cancel(&JobRef::Number(job), now) {
            Ok(Cancelled::Now) => Reply::Done,
            Ok(Cancelled::Requested) => Reply::Requested,
            Err(error) => self.failed(&error),
        };
        self.history
            .borrow_mut()
            .called(self.at(), Call::Cancel(job), reply);
        self.wake_all();
        true
    }

    pub(super) fn retry(&mut self, pick: u32) -> bool {
        self.pick(pick).is_some_and(|job| self.retry_job(job, pick))
    }

    fn retry_job(&mut self, job: JobId, pick: u32) -> bool {
        let now = self.client_now();
        // As `dlq:retry` does it, now and then.
        let only = Only {
            state: pick.is_multiple_of(2).then_some(State::Dead),
            ..Only::default()
        };
        let reply = match self.client.retry(&JobRef::Number(job), &only, now) {
            Ok(_) => Reply::Done,
            // That it was in no such state says less than that it could not be retried.
            Err(StoreError::Refused { .. }) if only.state.is_some() => Reply::Failed,
            Err(error) => self.failed(&error),
        };
        self.history
            .borrow_mut()
            .called(self.at(), Call::Retry(job), reply);
        self.wake_all();
        true
    }

    pub(super) fn hold(&mut self, pick: u32) -> bool {
        let Some(job) = self.pick(pick) else {
            return false;
        };
        let now = self.client_now();
        let held = self.client.hold(&JobRef::Number(job), now);
        let reply = held.map_or_else(|error| self.failed(&error), |()| Reply::Done);
        self.note(format!("job {job} is to be held: {reply:?}"));
        self.wake_all();
        true
    }

    pub(super) fn release(&mut self, pick: u32) -> bool {
        let held = self.held();
        if held.is_empty() {
            return false;
        }
        self.release_job(held[pick as usize % held.len()]);
        true
    }

    /// Lets all held jobs go. False if there is none.
    pub(super) fn release_all(&mut self) -> bool {
        if !(self.mechanisms.holds || self.mechanisms.graphs) {
            return false;
        }
        let held = self.held();
        held.iter().for_each(|job| self.release_job(*job));
        !held.is_empty()
    }

    fn release_job(&mut self, job: JobId) {
        let now = self.client_now();
        let released = self.client.release(&JobRef::Number(job), now);
        let reply = released.map_or_else(|error| self.failed(&error), |_| Reply::Done);
        self.note(format!("job {job} is to be released: {reply:?}"));
        self.wake_all();
    }

    fn held(&mut self) -> Vec<JobId> {
        self.be_on(0);
        let blocked = ListFilter {
            jobs: State::Blocked.into(),
            limit: 10_000,
            ..ListFilter::default()
        };
        let found = self.client.list(&blocked).unwrap_or_default();
        let held = found.into_iter().filter(|job| job.waits.has(BlockedBy::Held));
        held.map(|job| job.id).collect()
    }

    fn pick(&self, pick: u32) -> Option<JobId> {
        self.be_on(0);
        let of_clients = self.jobs.len();
        let all = of_clients + self.made.len();
        let place = (all > 0).then(|| pick as usize % all)?;
        Some(
            self.jobs
                .get(place)
                .copied()
                .unwrap_or_else(|| self.made[place - of_clients]),
        )
    }
}

/// Gives a job what others do not have, but for those that it waits for.
pub(super) fn dress(spec: &mut JobSpec, extras: Extras) {
    spec.priority = Some(extras.priority.into());
    spec.limit = super::limits::named(extras.limits, extras.key);
    spec.hold = extras.hold.then_some(true);
    if extras.hooks {
        let command = || Some(Command::Line("true".to_owned()));
        spec.hooks = JobHooks {
            on_success: command(),
            on_failure: command(),
            on_death: command(),
            to_queue: None,
        };
    }
    let Some((key, conflict)) = extras.unique else {
        return;
    };
    spec.unique = format!("key-{key}").parse().ok();
    match conflict {
        Conflict::Return => spec.on_conflict = Some(OnConflict::Return),
        Conflict::Reject => spec.on_conflict = Some(OnConflict::Reject),
        Conflict::Replace => spec.on_conflict = Some(OnConflict::Replace),
        Conflict::Debounce(ms) => {
            spec.start = None;
            spec.debounce_ms = Some(ms.into());
        }
    }
}
