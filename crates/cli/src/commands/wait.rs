//! `wait`: waits until jobs have ended, and exits with their status.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use queuectl_core::{Job, JobRef, QueueName, State, Timestamp, parse_duration, show_short};
use queuectl_storage::{Node, Store, StoreError};
use queuectl_views::PauseView;

use crate::context::Context;
use crate::exit::{Ended, Exit};
use crate::load;
use crate::output::{diagnostics, pause};
use crate::registry::Run;

/// Wait until jobs have ended, and exit with their status
#[derive(Debug, Args)]
#[command(after_help = "\
A job has ended when it is completed, dead or cancelled; one that waits for a retry has not.

Exit status: 0 if the job completed; 1 if it was cancelled; if it is dead, the status of its last attempt as a shell \
would report it (128 + the signal number; 127 if its program was not found). With several jobs, the first status that \
is not 0, in the order given. 124 if --timeout ran out. 3, at once, if a job does not exist. 6 if a database server \
went away and was not back within a minute. If no node serves a job's queue, or the queue is paused, a note on standard error says so.")]
pub struct WaitArgs {
    /// The jobs' ids or numbers
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<JobRef>,
    /// Wait at most this long
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, allow_hyphen_values = true)]
    timeout: Option<Duration>,
}

/// Longest interval between looks for a change of the store, which are cheap.
const POLL: Duration = Duration::from_millis(100);
/// The first interval: what ends at once is seen at once. Each one is twice as long as the one before.
const FIRST_POLL: Duration = Duration::from_millis(5);
/// Interval between looks whether a node serves the queue.
const LOOK: Duration = Duration::from_secs(2);
/// Jobs named in the message of a timeout.
const NAMED: usize = 5;
/// Time to wait for a database server that went away: longer than a restart or a fail-over takes.
const OUTAGE: Duration = Duration::from_secs(60);
/// Longest pause between attempts to reach it.
const RETRY_MOST: Duration = Duration::from_secs(2);

impl Run for WaitArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        wait_for(&mut context.open()?, &self.jobs, self.timeout)
    }
}

/// Waits until all jobs have ended. Returns the first status, in order, that is not 0.
pub fn wait_for(store: &mut Store, jobs: &[JobRef], timeout: Option<Duration>) -> Result<Exit> {
    let mut waiter = Waiter::new(timeout);
    // Report mistakes before waiting.
    look_at_all(store, &mut waiter, jobs)?;
    let mut exit = Exit::OK;
    for (index, job) in jobs.iter().enumerate() {
        loop {
            let marker = waiter.ask(store, Store::change_marker)?;
            let found = waiter.ask(store, |store| store.job(job))?;
            if found.state.is_final() {
                let ended = waiter.ask(store, |store| status(store, &found))?;
                if exit == Exit::OK {
                    exit = ended;
                }
                break;
            }
            if !waiter.wait_for_change(store, marker, &found)? {
                let message = out_of_time(store, &jobs[index..], jobs.len(), timeout)?;
                return Err(Ended {
                    message,
                    exit: Exit::TIMEOUT,
                }
                .into());
            }
        }
    }
    Ok(exit)
}

/// Fails if jobs do not exist, naming all of them. Notes which jobs wait for a node.
fn look_at_all(store: &mut Store, waiter: &mut Waiter, jobs: &[JobRef]) -> Result<()> {
    let mut missing = None;
    let mut waiting: Vec<Job> = Vec::new();
    for job in jobs {
        match waiter.ask(store, |store| store.job(job)) {
            Ok(found) if found.state.is_final() => {}
            // One job per queue is enough.
            Ok(found) if waiting.iter().any(|other| other.queue == found.queue) => {}
            Ok(found) => waiting.push(found),
            Err(error @ StoreError::NoSuchJob(_)) => {
                // The command ends with the last one.
                if let Some(earlier) = missing.replace(error) {
                    diagnostics::error(&earlier.to_string());
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    if let Some(error) = missing {
        return Err(error.into());
    }
    for job in &waiting {
        waiter.looked = None;
        waiter.look_for_nodes(store, job);
    }
    Ok(())
}

/// Returns the message of a timeout: which of the jobs left have not ended.
fn out_of_time(
    store: &mut Store,
    left: &[JobRef],
    of: usize,
    timeout: Option<Duration>,
) -> Result<String, StoreError> {
    let mut open = Vec::new();
    for job in left {
        let found = store.job(job)?;
        if !found.state.is_final() {
            open.push(format!("{job} ({})", found.state));
        }
    }
    let count = open.len();
    let have = if count == 1 { "has" } else { "have" };
    let jobs = if of == 1 { "job" } else { "jobs" };
    if count > NAMED {
        open.truncate(NAMED);
        open.push("and others".to_owned());
    }
    let after = show_short(timeout.unwrap_or_default());
    let open = open.join(", ");
    Ok(format!(
        "timed out after {after}; {count} of {of} {jobs} {have} not ended: {open}"
    ))
}

fn status(store: &mut Store, job: &Job) -> Result<Exit, StoreError> {
    if job.state != State::Dead {
        let cancelled = job.state == State::Cancelled;
        return Ok(if cancelled { Exit::NEGATIVE } else { Exit::OK });
    }
    let last = store.last_attempt(job.id)?;
    // A dead job is never a success, whatever its last attempt says.
    Ok(Exit(
        last.map_or(1, |attempt| attempt.outcome.shell_status().max(1)),
    ))
}

/// A wait for changes of the store, with its time limit and the notes it has printed.
pub struct Waiter {
    until: Option<Instant>,
    /// The next pause between looks.
    poll: Duration,
    /// Queues without a node, which a note has said.
    unserved: HashSet<QueueName>,
    /// Paused queues, which a note has said.
    paused: HashSet<QueueName>,
    /// Time of the last look for nodes.
    looked: Option<Instant>,
}

impl Waiter {
    pub fn new(timeout: Option<Duration>) -> Waiter {
        Waiter {
            until: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            poll: FIRST_POLL,
            unserved: HashSet::new(),
            paused: HashSet::new(),
            looked: None,
        }
    }

    /// Looks for nodes after this time, at most [`LOOK`], and not at once: before, a job may have ended.
    #[must_use]
    pub fn looking_after(mut self, time: Duration) -> Waiter {
        self.looked = Instant::now().checked_sub(LOOK.saturating_sub(time));
        self
    }

    /// Waits until the store has changed since the marker was read. Prints a note if nothing will start the job. Returns
    /// false on timeout.
    pub fn wait_for_change(&mut self, store: &mut Store, marker: i64, job: &Job) -> Result<bool> {
        loop {
            self.look_for_nodes(store, job);
            if !self.pause() {
                return Ok(false);
            }
            if self.ask(store, Store::change_marker)? != marker {
                return Ok(true);
            }
        }
    }

    /// Prints a note, once, if no node serves the job's queue or it is paused. Looks again at intervals, because a node that dies changes
    /// nothing in the store.
    pub fn look_for_nodes(&mut self, store: &mut Store, job: &Job) {
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        // A role that may not read nodes or pauses goes without the note.
        if let Ok(nodes) = self.ask(store, Store::nodes_with_lives) {
            self.say_if_unserved(&nodes, job);
        }
        let pause = self.ask(store, |store| {
            let now = store.now()?;
            Ok((store.pauses(now)?.remove(job.queue.as_str()), now))
        });
        if let Ok((pause, now)) = pause {
            self.say_if_paused(pause.map(load::pause_view), job, now);
        }
    }

    fn say_if_unserved(&mut self, nodes: &[(Node, bool)], job: &Job) {
        let serves = |node: &Node| node.serves(job.queue.as_str()) || job.node == Some(node.id);
        if nodes.iter().any(|(node, lives)| *lives && serves(node)) {
            self.unserved.remove(&job.queue);
        } else if self.unserved.insert(job.queue.clone()) {
            diagnostics::note(&format!(
                "no node serves queue '{}'; job '{}' waits until `queuectl worker:start` starts one",
                job.queue,
                job.public_id()
            ));
        }
    }

    fn say_if_paused(&mut self, pause: Option<PauseView>, job: &Job, now: Timestamp) {
        let Some(pause) = pause.filter(|_| job.state != State::Processing) else {
            self.paused.remove(&job.queue);
            return;
        };
        if self.paused.insert(job.queue.clone()) {
            let (queue, id) = (&job.queue, job.public_id());
            let why = pause::in_words(&pause, now);
            diagnostics::note(&format!(
                "queue '{queue}' is {why}; job '{id}' waits until `queuectl queue:resume {queue}`"
            ));
        }
    }

    /// Queries the store, and repeats the query for a while if its server went away. Only for queries that change nothing.
    pub fn ask<T>(
        &self,
        store: &mut Store,
        mut question: impl FnMut(&mut Store) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let mut pause = POLL;
        let mut until = None;
        loop {
            let error = match question(store) {
                Err(error) if error.is_outage() => error,
                answer => return answer,
            };
            let now = Instant::now();
            let until = *until.get_or_insert_with(|| {
                diagnostics::note(&format!(
                    "{error}; waiting for it for up to {}",
                    show_short(OUTAGE)
                ));
                let most = now + OUTAGE;
                self.until.map_or(most, |end| end.min(most))
            });
            if now >= until {
                return Err(error);
            }
            thread::sleep(pause.min(until - now));
            pause = (pause * 2).min(RETRY_MOST);
        }
    }

    /// Sleeps for one interval. Returns false on timeout.
    pub fn pause(&mut self) -> bool {
        let left = match self.until {
            Some(until) => until.saturating_duration_since(Instant::now()),
            None => POLL,
        };
        if left.is_zero() {
            return false;
        }
        thread::sleep(left.min(self.poll));
        self.poll = (self.poll * 2).min(POLL);
        true
    }
}
