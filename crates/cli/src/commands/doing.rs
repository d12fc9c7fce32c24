//! What a command does to jobs: one of the changes that the store knows by name, or an edit.

use std::time::{Duration, Instant};

use queuectl_core::selector::Selector;
use queuectl_core::{Job, JobEdit, JobRef, State};
use queuectl_frontend::changed::result;
use queuectl_storage::{
    EDITABLE_STATES, Editor, JobFilter, MassChange, MassDone, NamedDone, RESUME, SUSPEND, SignalState, Store,
    StoreError, SuspensionNow,
};

use crate::operator;
use crate::output::progress::Progress;

/// A change of jobs.
#[derive(Clone, Copy)]
pub enum Doing<'a> {
    Change(MassChange),
    /// A cancel whose caller waits for running jobs, and says then what became of them.
    CancelAndWait,
    Edit(&'a Editing<'a>),
    Signal(&'a Signalling<'a>),
}

/// A signal to running jobs.
pub struct Signalling<'a> {
    /// Its name, such as `SIGUSR1`.
    pub signal: &'a str,
    /// What each job then gets or is.
    pub will: &'a str,
    /// How it is asked about, and what the jobs are then.
    pub words: (&'a str, &'a str),
}

/// An edit of jobs.
pub struct Editing<'a> {
    /// The command.
    pub kind: &'static str,
    /// What it changes, for the list of operations.
    pub described: String,
    /// What changes of a job.
    pub edit: &'a JobEdit,
    /// Says what a job becomes.
    pub editor: Editor<'a>,
    /// Asks the executor of a job whether it would run the edited job. Only jobs that are named are looked at: it can take
    /// long.
    pub check: &'a dyn Fn(&Job) -> Result<(), String>,
    /// How it is asked about, and what the jobs are then.
    pub words: (&'a str, &'a str),
    /// What a job that is named is then.
    pub result: &'static str,
}

impl From<MassChange> for Doing<'_> {
    fn from(change: MassChange) -> Self {
        Doing::Change(change)
    }
}

impl<'a> Doing<'a> {
    /// Returns the change that the store knows by name.
    pub fn mass(self) -> Option<MassChange> {
        match self {
            Doing::Change(change) => Some(change),
            Doing::CancelAndWait => Some(MassChange::Cancel),
            Doing::Edit(_) | Doing::Signal(_) => None,
        }
    }

    /// Whether what became of a job is still to be seen, and said by the caller.
    pub fn is_said_later(self, done: &NamedDone) -> bool {
        matches!(self, Doing::CancelAndWait) && done.state == State::Processing
    }

    /// Returns what an operation is called that does it; none for what is no change of the jobs.
    pub fn kind(self) -> Option<&'static str> {
        match self {
            Doing::Change(change) => Some(change.name()),
            Doing::CancelAndWait => Some(MassChange::Cancel.name()),
            Doing::Edit(editing) => Some(editing.kind),
            Doing::Signal(_) => None,
        }
    }

    /// Returns the edit, if it is one.
    pub fn edit(self) -> Option<&'a JobEdit> {
        match self {
            Doing::Edit(editing) => Some(editing.edit),
            Doing::Change(_) | Doing::CancelAndWait | Doing::Signal(_) => None,
        }
    }

    /// Describes what is done to the jobs of a selector.
    pub fn described(self, selector: &Selector) -> String {
        match self {
            Doing::Edit(editing) => format!("{selector}: {}", editing.described),
            Doing::Change(_) | Doing::CancelAndWait | Doing::Signal(_) => selector.to_string(),
        }
    }

    /// Returns the states in which it can be done to a job.
    pub fn states(self) -> &'static [State] {
        match self {
            Doing::Change(change) => change.states(),
            Doing::CancelAndWait => MassChange::Cancel.states(),
            Doing::Edit(_) => &EDITABLE_STATES,
            Doing::Signal(_) => &[State::Processing],
        }
    }

    /// Returns how it is asked about, and what the jobs are then.
    pub fn words(self) -> (&'a str, &'a str) {
        match self {
            Doing::Change(MassChange::Cancel) | Doing::CancelAndWait => ("cancel", "cancelled"),
            Doing::Change(MassChange::Retry) => ("retry", "retried"),
            Doing::Change(MassChange::Hold) => ("hold", "held"),
            Doing::Change(MassChange::Release) => ("release", "released"),
            Doing::Change(MassChange::Start) => ("start", "started"),
            Doing::Change(MassChange::Purge) => ("remove", "purged"),
            Doing::Edit(editing) => editing.words,
            Doing::Signal(signalling) => signalling.words,
        }
    }

    /// Does it to one job, which must fit. Returns what became of it, also in words.
    pub fn one(
        self,
        store: &mut Store,
        job: &JobRef,
        only: &JobFilter,
    ) -> Result<(NamedDone, &'static str), StoreError> {
        let now = store.now()?;
        match self {
            Doing::Signal(signalling) => {
                let by = operator::name();
                let before = store.job(job)?.suspended_since;
                let (done, request) = store.signal(job, only, signalling.signal, &by, now)?;
                let result = match (signalling.signal, before) {
                    (SUSPEND, None) => suspended(store, job, &done, request)?,
                    (SUSPEND, Some(_)) => "is suspended already",
                    (RESUME, None) => "was not suspended",
                    (RESUME, Some(_)) => resumed(store, &done, request)?,
                    _ => sent(store, request)?,
                };
                Ok((done, result))
            }
            Doing::Change(change) => {
                let done = store.change_named(job, change, only, now)?;
                Ok((done, result(change, &done)))
            }
            Doing::CancelAndWait => Doing::Change(MassChange::Cancel).one(store, job, only),
            Doing::Edit(editing) => {
                (editing.check)(&store.job(job)?).map_err(|why| StoreError::NotEdited {
                    job: job.to_string(),
                    why,
                })?;
                let edited = store.edit(job, only, &operator::name(), now, editing.editor)?;
                let (id, state, waits) = (edited.id, edited.state, edited.waits);
                let result = match edited.changed.is_empty() {
                    true => "unchanged",
                    false => editing.result,
                };
                Ok((NamedDone { id, state, waits }, result))
            }
        }
    }

    /// Does it to all jobs that a filter means, of which there are `total` if they were counted.
    pub fn all(
        self,
        store: &mut Store,
        filter: &JobFilter,
        total: Option<u64>,
    ) -> Result<MassDone, StoreError> {
        // Not the moment of the question, which may be long ago.
        let now = store.now()?;
        let mut progress = Progress::new("jobs changed:", total);
        let told = |done: &MassDone| progress.set(done.jobs());
        match self {
            Doing::Change(change) => store.change_all(filter, change, now, told),
            Doing::CancelAndWait => store.change_all(filter, MassChange::Cancel, now, told),
            Doing::Signal(signalling) => store.signal_all(filter, signalling.signal, &operator::name(), now),
            Doing::Edit(editing) => store.edit_all(filter, &operator::name(), now, editing.editor, told),
        }
    }
}

/// How long a command waits for the node of a job to take a signal.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
/// Pause between two looks whether it has.
const LOOK: Duration = Duration::from_millis(20);

/// Looks again and again, for a while, whether something is known.
fn look<T>(mut known: impl FnMut() -> Result<Option<T>, StoreError>) -> Result<Option<T>, StoreError> {
    let until = Instant::now() + TAKEN_WITHIN;
    loop {
        match known()? {
            None if Instant::now() < until => std::thread::sleep(LOOK),
            known => return Ok(known),
        }
    }
}

/// Waits until a node has taken a signal, and says whether it has.
fn sent(store: &mut Store, request: i64) -> Result<&'static str, StoreError> {
    let taken = look(|| {
        Ok(match store.signal_state(request)? {
            SignalState::Taken => Some("sent"),
            SignalState::TooLate => Some("not sent; the attempt ended before its node took it"),
            SignalState::Waiting => None,
        })
    })?;
    Ok(taken.unwrap_or("asked for; its node has not taken it yet"))
}

/// Waits until the node of a job has suspended it.
fn suspended(
    store: &mut Store,
    job: &JobRef,
    done: &NamedDone,
    request: i64,
) -> Result<&'static str, StoreError> {
    let known = look(|| {
        Ok(match store.suspension(done.id)? {
            Some(SuspensionNow::Refused(why)) => Some(Err(why)),
            Some(_) => Some(Ok("suspended")),
            None if store.signal_state(request)? == SignalState::TooLate => {
                Some(Err("the attempt ended before its node took it".to_owned()))
            }
            None if store.job(&JobRef::Number(done.id))?.state != State::Processing => {
                Some(Err("the attempt ended".to_owned()))
            }
            None => None,
        })
    })?;
    match known {
        Some(Ok(result)) => Ok(result),
        Some(Err(why)) => Err(StoreError::NotSuspended {
            job: job.to_string(),
            why,
        }),
        None => Ok("asked for; its node has not suspended it yet"),
    }
}

/// Waits until the node of a job has resumed it.
fn resumed(store: &mut Store, done: &NamedDone, request: i64) -> Result<&'static str, StoreError> {
    let known = look(|| {
        let is_suspended = matches!(store.suspension(done.id)?, Some(SuspensionNow::Since(_)));
        let waits = store.signal_state(request)? == SignalState::Waiting;
        Ok((!is_suspended && !waits).then_some("resumed"))
    })?;
    Ok(known.unwrap_or("asked for; its node has not resumed it yet"))
}
