//! Signals to running jobs: a user asks for one, and the node that runs the job takes it and sends it.
//!
//! A request is of one attempt. The node removes it before it sends the signal, so a signal is sent at most once: if the node dies
//! in between, the job ends with it. What becomes of the job is only what its own end says. Two names that no system has for a
//! signal have the node suspend the job or resume it; what came of that it stores (`suspensions.rs`).

use queuectl_core::{ExecutorName, JobId, JobRef, Refused, State, Timestamp, Waits};

use super::events::note;
use super::mass::{NamedDone, check};
use super::show::find;
use crate::backend::Db;
use crate::backend::statements::{AskSignal, AskedFor, CountSignals, DropRefusal, ForgetSignals, TakeSignal};
use crate::outcome::standing;
use crate::types::filter::JobFilter;
use crate::types::nodes::{RESUME, SUSPEND, SignalRequest, Wake};
use crate::types::operation::MassDone;
use crate::{Store, StoreError};
use diesel::prelude::*;

/// Most requests for signals that wait at a time.
const SIGNALS: usize = 1000;

/// What became of a request for a signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalState {
    /// It waits for the node of the job.
    Waiting,
    /// The node has taken it.
    Taken,
    /// The attempt has ended, and its node had not taken it.
    TooLate,
}

impl Store {
    /// Asks the node that runs a job, which must fit, to send it a signal. Returns the number of the request.
    ///
    /// # Errors
    /// [`StoreError::NoSuchJob`]; [`StoreError::Refused`] if it does not run; [`StoreError::LeftAlone`] if it does not fit;
    /// [`StoreError::NoProcesses`]; [`StoreError::TooMany`].
    pub fn signal(
        &mut self,
        job: &JobRef,
        only: &JobFilter,
        signal: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<(NamedDone, i64), StoreError> {
        self.forget_signals()?;
        let asked = self.write(|conn| {
            check(conn, job, only)?;
            ask(conn, job, signal, by, now)
        })?;
        self.wake_all(Wake::Control);
        Ok(asked)
    }

    /// Asks the same for all running jobs that a filter means, in steps. Those that cannot have processes are left out.
    ///
    /// # Errors
    /// [`StoreError::Database`], [`StoreError::TooMany`]; earlier steps stay done.
    pub fn signal_all(
        &mut self,
        filter: &JobFilter,
        signal: &str,
        by: &str,
        now: Timestamp,
    ) -> Result<MassDone, StoreError> {
        self.forget_signals()?;
        self.in_steps(filter, now, Wake::Control, &|conn, job, _, _| match ask(
            conn,
            &JobRef::Number(job),
            signal,
            by,
            now,
        ) {
            Err(
                StoreError::Refused { .. }
                | StoreError::NoSuchJob(_)
                | StoreError::NoProcesses { .. }
                | StoreError::NotSuspended { .. },
            ) => Ok(MassDone::default()),
            asked => asked.map(|_| MassDone {
                changed: 1,
                ..MassDone::default()
            }),
        })
    }

    /// What became of a request for a signal.
    ///
    /// # Errors
    /// [`StoreError::Database`].
    pub fn signal_state(&mut self, request: i64) -> Result<SignalState, StoreError> {
        let found: Option<(Option<i64>,)> = AskedFor { id: request }.get_result(self.conn()?).optional()?;
        Ok(match found {
            None => SignalState::Taken,
            Some((Some(_),)) => SignalState::Waiting,
            Some((None,)) => SignalState::TooLate,
        })
    }

    /// Removes requests for attempts that ended before their nodes looked. By itself: two transactions that did so and had
    /// locked jobs would wait for each other.
    pub(super) fn forget_signals(&mut self) -> Result<(), StoreError> {
        let (waiting,): (i64,) = CountSignals {}.get_result(self.conn()?)?;
        if waiting > 0 {
            self.write(|conn| Ok(ForgetSignals {}.execute(conn)?))?;
        }
        Ok(())
    }

    /// Takes requests for signals, which the caller sends. Returns those that were still there.
    ///
    /// # Errors
    /// [`StoreError::Database`]; none is taken then.
    pub fn take_signals(&mut self, requests: Vec<SignalRequest>) -> Result<Vec<SignalRequest>, StoreError> {
        if requests.is_empty() {
            return Ok(requests);
        }
        self.write(|conn| {
            let mut taken = Vec::with_capacity(requests.len());
            for request in &requests {
                if (TakeSignal { id: request.id }).execute(conn)? == 1 {
                    taken.push(request.clone());
                }
            }
            Ok(taken)
        })
    }
}

fn ask(
    conn: &mut Db,
    job: &JobRef,
    signal: &str,
    by: &str,
    now: Timestamp,
) -> Result<(NamedDone, i64), StoreError> {
    let row = find(conn, job)?;
    let state = standing(&row)?.state;
    if state != State::Processing {
        let event = match signal {
            SUSPEND => "suspend",
            RESUME => "resume",
            _ => "signal",
        };
        return Err(StoreError::Refused {
            job: job.to_string(),
            refused: Refused { state, event },
        });
    }
    if ExecutorName::WITHOUT_PROCESSES.contains(&row.executor.as_str()) {
        if [SUSPEND, RESUME].contains(&signal) {
            return Err(StoreError::NotSuspended {
                job: job.to_string(),
                why: format!("executor {} runs jobs without a process", row.executor),
            });
        }
        return Err(StoreError::NoProcesses {
            job: job.to_string(),
            executor: row.executor,
        });
    }
    let (waiting,): (i64,) = CountSignals {}.get_result(conn)?;
    if usize::try_from(waiting).is_ok_and(|waiting| waiting >= SIGNALS) {
        return Err(StoreError::TooMany {
            what: "signals that wait for the nodes of their jobs",
            most: SIGNALS,
        });
    }
    let (id, fence, signal, asked_at) = (JobId(row.id), row.fence, signal.to_owned(), now.0);
    let (kind, detail) = match signal.as_str() {
        SUSPEND => ("suspend requested", serde_json::json!({ "by": by })),
        RESUME => ("resume requested", serde_json::json!({ "by": by })),
        _ => (
            "signal requested",
            serde_json::json!({ "by": by, "signal": signal }),
        ),
    };
    if signal == SUSPEND {
        DropRefusal { job_id: row.id }.execute(conn)?;
    }
    let (number,): (i64,) = AskSignal {
        job_id: row.id,
        fence,
        signal,
        asked_at,
    }
    .get_result(conn)?;
    note(conn, id, kind, detail.to_string(), now)?;
    let waits = Waits::NONE;
    Ok((NamedDone { id, state, waits }, number))
}
