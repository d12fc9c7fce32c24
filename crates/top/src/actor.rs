//! The thread that changes the queue, one action after the other, and says in a line what became of each.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use queuectl_core::{GroupName, JobId, JobRef, QueueName, ScheduleName, State, Timestamp};
use queuectl_dlq::{CauseKey, Selected};
use queuectl_storage::{
    Among, JobFilter, Location, MassChange, NewOperation, OpenMode, Pause, Store, StoreError, frozen_request,
};

use crate::snapshot::clean;

/// A change that the user wants.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Of one job, or of all that were marked.
    Jobs(MassChange, Vec<JobId>),
    PauseQueue(QueueName),
    ResumeQueue(QueueName),
    PauseSchedule(ScheduleName),
    ResumeSchedule(ScheduleName),
    RetryCause(CauseKey),
    RetryGroup(GroupName),
    CancelGroup(GroupName),
}

/// What became of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub text: String,
    pub is_error: bool,
}

/// Acts for as long as actions can come.
pub fn act_for(location: &Location, operator: &str, acts: &Receiver<Act>, mut report: impl FnMut(Report)) {
    let mut open: Option<Store> = None;
    for act in acts {
        let done = match &mut open {
            Some(store) => run(store, &act, operator),
            None => Store::open(location, OpenMode::MustExist).and_then(|mut store| {
                store.act_as(operator.to_owned());
                let done = run(&mut store, &act, operator);
                open = Some(store);
                done
            }),
        };
        report(match done {
            Ok(text) => Report {
                text: clean(&text),
                is_error: false,
            },
            Err(error) => Report {
                text: clean(&error.to_string()),
                is_error: true,
            },
        });
    }
}

fn run(store: &mut Store, act: &Act, operator: &str) -> Result<String, StoreError> {
    let now = store.now()?;
    match act {
        Act::Jobs(change, jobs) => match jobs.as_slice() {
            [one] => change_one(store, *change, *one),
            jobs => change_many(store, *change, jobs),
        },
        Act::PauseQueue(queue) => {
            let pause = Pause {
                at: now,
                until: None,
                by: operator.to_owned(),
                reason: None,
            };
            store.pause_queues(std::slice::from_ref(queue), &pause)?;
            Ok(format!("queue {queue} is paused; running jobs go on"))
        }
        Act::ResumeQueue(queue) => {
            let resumed = store.resume_queues(std::slice::from_ref(queue), now)?;
            Ok(match resumed.contains(&true) {
                true => format!("queue {queue} goes on"),
                false => format!("queue {queue} was not paused"),
            })
        }
        Act::PauseSchedule(schedule) => Ok(
            match entered(store, "schedule:pause", schedule, now, |store| {
                store.pause_schedule(schedule, None, now)
            })? {
                true => format!("schedule {schedule} is paused"),
                false => format!("schedule {schedule} was paused before"),
            },
        ),
        Act::ResumeSchedule(schedule) => Ok(
            match entered(store, "schedule:resume", schedule, now, |store| {
                store.resume_schedule(schedule, now)
            })? {
                true => format!("schedule {schedule} goes on"),
                false => format!("schedule {schedule} was not paused"),
            },
        ),
        Act::RetryCause(cause) => {
            let selected = Selected {
                queue: None,
                cause: Some(*cause),
                age: Duration::ZERO,
                now,
            };
            let operation = NewOperation {
                kind: "dlq:retry".to_owned(),
                what: format!("state=dead cause {cause}"),
                request: Some(selected.request(MassChange::Retry)),
                total: None,
            };
            let done = as_operation(store, operation, now, |store| {
                queuectl_dlq::retry_selected(store, &selected, |_| {})
            })?;
            Ok(retried(done.jobs, done.skipped))
        }
        Act::RetryGroup(group) => {
            let done = entered(store, "group:retry", group, now, |store| {
                store.retry_group(group, false, now)
            })?;
            Ok(retried(done.jobs, done.held_back))
        }
        Act::CancelGroup(group) => {
            let done = entered(store, "group:cancel", group, now, |store| {
                store.cancel_group(group, now)
            })?;
            Ok(cancelled(done.cancelled, done.requested))
        }
    }
}

/// Does something as an operation that is stored with its first change.
fn entered<T>(
    store: &mut Store,
    kind: &str,
    what: &impl ToString,
    now: Timestamp,
    act: impl FnOnce(&mut Store) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    store.begin_operation(NewOperation {
        kind: kind.to_owned(),
        what: what.to_string(),
        ..NewOperation::default()
    })?;
    let done = act(store);
    match done.is_ok() {
        true => drop(store.end_operation(now)?),
        false => store.leave_operation(),
    }
    done
}

fn change_one(store: &mut Store, change: MassChange, job: JobId) -> Result<String, StoreError> {
    let now = store.now()?;
    store.begin_operation(NewOperation {
        kind: change.name().to_owned(),
        what: job.to_string(),
        ..NewOperation::default()
    })?;
    let done = store.change_named(&JobRef::Number(job), change, &JobFilter::default(), now);
    store.leave_operation();
    let done = done?;
    Ok(match change {
        MassChange::Cancel if done.state == State::Processing => format!("job {job} is being stopped"),
        MassChange::Hold => format!("job {job} is held"),
        _ => format!("job {job} is {}", done.state),
    })
}

/// Does something to many jobs as an operation. One that fails can go on by `op:resume`.
fn as_operation<T>(
    store: &mut Store,
    operation: NewOperation,
    now: Timestamp,
    act: impl FnOnce(&mut Store) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    store.open_operation(operation, now)?;
    let done = act(store);
    match done.is_ok() {
        true => drop(store.end_operation(now)?),
        false => store.leave_operation(),
    }
    done
}

fn change_many(store: &mut Store, change: MassChange, jobs: &[JobId]) -> Result<String, StoreError> {
    let now = store.now()?;
    let mut filter = JobFilter {
        among: Some(jobs.iter().map(|job| Among::Numbers(*job, *job)).collect()),
        states: change.states().to_vec(),
        change: Some(change),
        ..JobFilter::default()
    };
    store.freeze(&mut filter, now)?;
    let names: Vec<String> = jobs.iter().map(ToString::to_string).collect();
    let operation = NewOperation {
        kind: change.name().to_owned(),
        what: names.join(" "),
        request: Some(frozen_request(&filter, None, None)),
        total: Some(jobs.len() as u64),
    };
    let done = as_operation(store, operation, now, |store| {
        store.change_all(&filter, change, now, |_| {})
    })?;
    let mut text = match change {
        MassChange::Cancel => cancelled(done.changed, done.requested),
        MassChange::Retry => retried(done.changed, done.held_back),
        MassChange::Hold => counted(done.changed, "held"),
        MassChange::Release => counted(done.changed, "released"),
        MassChange::Start => counted(done.changed, "started"),
        MassChange::Purge => counted(done.changed, "purged"),
    };
    let left = (jobs.len() as u64).saturating_sub(done.jobs() + done.held_back);
    text.push_str(&match left {
        0 => String::new(),
        1 => "; 1 job left as it was, because of its state".to_owned(),
        left => format!("; {left} jobs left as they were, because of their states"),
    });
    Ok(text)
}

fn counted(jobs: u64, what: &str) -> String {
    match jobs {
        1 => format!("1 job {what}"),
        _ => format!("{jobs} jobs {what}"),
    }
}

fn cancelled(jobs: u64, stopping: u64) -> String {
    let stopping = match stopping {
        0 => String::new(),
        1 => "; 1 running job is being stopped".to_owned(),
        jobs => format!("; {jobs} running jobs are being stopped"),
    };
    format!("{}{stopping}", counted(jobs, "cancelled"))
}

fn retried(jobs: u64, held_back: u64) -> String {
    let skipped = match held_back {
        0 => String::new(),
        jobs => format!(
            "; {} because other jobs have their unique keys",
            counted(jobs, "left")
        ),
    };
    format!("{}{skipped}", counted(jobs, "will run again"))
}
