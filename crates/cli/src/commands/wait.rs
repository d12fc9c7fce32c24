//! `wait`: waits until jobs have ended, and exits with their status.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;
use queuectl_core::selector::Word;
use queuectl_core::{Job, JobId, JobRef, QueueName, State, Timestamp, parse_duration, show_short};
use queuectl_storage::{Node, Store, StoreError};
use queuectl_views::{ChangedView, PauseView};

use super::select;
use crate::context::Context;
use crate::exit::{Ended, Exit};
use crate::output::progress::Progress;
use crate::output::{diagnostics, pause};
use crate::registry::Run;
use queuectl_frontend::load;

/// Wait until jobs have ended, and exit with their status
#[derive(Debug, Args)]
#[command(after_help = "\
A job has ended when it is completed, dead or cancelled; one that waits for a retry has not.

Exit status: 0 if the job completed; 1 if it was cancelled; if it is dead, the status of its last attempt as a shell \
would report it (128 + the signal number; 127 if its program was not found). With several jobs, the first status that \
is not 0, in the order given, and a line on standard error names those that did not complete. 124 if --timeout ran out. 3, at \
once, if a job does not exist, and 4 if a job that is named does not fit a filter. 6 if a database server went away and was not back within a minute. What a range, a group or a filter means is \
looked up once, at most 100,000 jobs; if that is none, the status is 0. If no node serves a job's queue after a second, or the \
queue is paused, a note on standard error says so, and the wait goes on.")]
pub struct WaitArgs {
    /// The jobs: ids or numbers, 12-20, last, last~2, @GROUP; or filters such as state=failed queue=mail, which narrow
    /// them (`queuectl help selectors`)
    #[arg(value_name = "JOB", required = true)]
    jobs: Vec<Word>,
    /// Only until the first of them has ended; prints its id and state, and exits with its status
    #[arg(long)]
    any: bool,
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
/// Time after which a note says that no node serves the queue: a node that is just starting is there by then.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Jobs named in the message of a timeout.
const NAMED: usize = 5;
/// Time to wait for a database server that went away: longer than a restart or a fail-over takes.
const OUTAGE: Duration = Duration::from_secs(60);
/// Longest pause between attempts to reach it.
const RETRY_MOST: Duration = Duration::from_secs(2);

impl Run for WaitArgs {
    fn run(self, context: &Context) -> Result<Exit> {
        let mut store = context.open()?;
        let jobs = select::jobs(&mut store, &self.jobs)?;
        let mut wait = Wait::new(&mut store, &jobs, self.timeout)?;
        if !self.any || jobs.is_empty() {
            return wait.for_all();
        }
        let (job, exit) = wait.for_any()?;
        let id = job.public_id();
        let result = job.state.name();
        let line = format!("{id} {result}");
        context.output.done(&ChangedView { id, result }, &line);
        Ok(exit)
    }
}

/// Waits until all jobs have ended. Returns the first status, in order, that is not 0.
pub fn wait_for(store: &mut Store, jobs: &[JobRef], timeout: Option<Duration>) -> Result<Exit> {
    Wait::new(store, jobs, timeout)?.for_all()
}

/// Some jobs that are waited for.
struct Wait<'a> {
    store: &'a mut Store,
    waiter: Waiter,
    timeout: Option<Duration>,
    /// As they were named.
    jobs: Vec<(JobId, String)>,
    /// Those that had not ended at the last look, by their places.
    open: Vec<usize>,
    /// The states of those, then.
    states: HashMap<JobId, State>,
    /// How those ended that did not complete, by their places.
    failed: BTreeMap<usize, (String, Exit)>,
    /// Of one job only as far as it says how far it is.
    progress: Option<Progress>,
}

impl Wait<'_> {
    /// Looks at all jobs, so that mistakes are reported before anything is waited for.
    fn new<'a>(store: &'a mut Store, jobs: &[JobRef], timeout: Option<Duration>) -> Result<Wait<'a>> {
        let mut waiter = Waiter::new(timeout).looking_after(PATIENCE);
        let numbers = look_at_all(store, &mut waiter, jobs)?;
        let names = jobs.iter().map(ToString::to_string);
        Ok(Wait {
            store,
            waiter,
            timeout,
            open: (0..jobs.len()).collect(),
            jobs: numbers.into_iter().zip(names).collect(),
            states: HashMap::new(),
            failed: BTreeMap::new(),
            progress: (jobs.len() > 1)
                .then(|| Progress::new("waiting for jobs", Some(jobs.len() as u64)).at_once()),
        })
    }

    fn for_all(&mut self) -> Result<Exit> {
        while !self.open.is_empty() {
            let marker = self.waiter.ask(self.store, Store::change_marker)?;
            self.look()?;
            if let Some(first) = self.open.first().copied() {
                self.pause(marker, first)?;
            }
        }
        self.progress = None;
        self.name_failed();
        let exit = self.failed.values().next();
        Ok(exit.map_or(Exit::OK, |(_, exit)| *exit))
    }

    /// Waits until one of them has ended.
    fn for_any(&mut self) -> Result<(Job, Exit)> {
        loop {
            let marker = self.waiter.ask(self.store, Store::change_marker)?;
            let before = self.open.clone();
            self.look()?;
            let ended = before.into_iter().find(|place| !self.open.contains(place));
            if let Some(place) = ended {
                self.progress = None;
                let job = self.job(place)?;
                let exit = self.waiter.ask(self.store, |store| status(store, &job))?;
                return Ok((job, exit));
            }
            if let Some(first) = self.open.first().copied() {
                self.pause(marker, first)?;
            }
        }
    }

    fn job(&mut self, place: usize) -> Result<Job, StoreError> {
        let number = self.jobs[place].0;
        let found = self
            .waiter
            .ask(self.store, |store| store.job(&JobRef::Number(number)));
        match found {
            // In the words in which it was named.
            Err(StoreError::NoSuchJob(_)) => Err(StoreError::NoSuchJob(self.jobs[place].1.clone())),
            found => found,
        }
    }

    /// Looks which of the open jobs have ended.
    fn look(&mut self) -> Result<()> {
        let start = Instant::now();
        let numbers: Vec<JobId> = self.open.iter().map(|place| self.jobs[*place].0).collect();
        self.states = self.waiter.ask(self.store, |store| store.states(&numbers))?;
        let mut open = Vec::new();
        for place in std::mem::take(&mut self.open) {
            match self.states.get(&self.jobs[place].0).copied() {
                Some(State::Completed) => {}
                Some(state) if !state.is_final() => open.push(place),
                // Also a job that was removed, which is an error. It may have been retried since.
                _ if !self.add_failed(place)? => open.push(place),
                _ => {}
            }
        }
        self.open = open;
        let ended = self.jobs.len() - self.open.len();
        let counts = self.jobs.len() > 1 && !self.open.is_empty();
        if let Some(progress) = self.progress.as_mut().filter(|_| counts) {
            progress.set(ended as u64);
        }
        // A look at many jobs must not keep the database busy.
        self.waiter.rest(start.elapsed() * 4);
        Ok(())
    }

    /// Adds a job that did not complete. Returns false if it has not ended after all.
    fn add_failed(&mut self, place: usize) -> Result<bool> {
        let job = self.job(place)?;
        if !job.state.is_final() || job.state == State::Completed {
            return Ok(job.state.is_final());
        }
        let last = self.waiter.ask(self.store, |store| store.last_attempt(job.id))?;
        let message = last
            .map(|attempt| attempt.outcome.message)
            .filter(|message| !message.is_empty() && job.state == State::Dead);
        let name = &self.jobs[place].1;
        let said = match message {
            Some(message) => format!("{name} ({}: {message})", job.state),
            None => format!("{name} ({})", job.state),
        };
        let exit = self.waiter.ask(self.store, |store| status(store, &job))?;
        self.failed.insert(place, (said, exit));
        Ok(true)
    }

    /// Waits for a change of the store.
    fn pause(&mut self, marker: i64, first: usize) -> Result<()> {
        let job = self.job(first)?;
        self.show_progress(&job);
        if self.waiter.wait_for_change(self.store, marker, &job)? {
            return Ok(());
        }
        self.progress = None;
        let message = self.out_of_time();
        Err(Ended {
            message,
            exit: Exit::TIMEOUT,
        }
        .into())
    }

    /// Shows how far the job is, if it is the only one and says so.
    fn show_progress(&mut self, job: &Job) {
        let percent = job.progress.as_ref().and_then(|progress| progress.percent);
        match percent.filter(|_| self.jobs.len() == 1) {
            Some(percent) => self
                .progress
                .get_or_insert_with(|| Progress::in_percent("the job runs"))
                .set(u64::from(percent)),
            // Its next attempt starts over.
            None if self.jobs.len() == 1 => self.progress = None,
            None => {}
        }
    }

    /// Says which jobs did not complete, if there were several.
    fn name_failed(&self) {
        if self.jobs.len() < 2 || self.failed.is_empty() {
            return;
        }
        let failed = self.failed.values().map(|(said, _)| said.clone());
        let (count, of) = (self.failed.len(), self.jobs.len());
        let named = a_few(failed.collect());
        diagnostics::note(&format!("{count} of {of} jobs did not complete: {named}"));
    }

    /// Returns the message of a timeout: which of the jobs left have not ended.
    fn out_of_time(&self) -> String {
        let open = self.open.iter().map(|place| {
            let (number, name) = &self.jobs[*place];
            let state = self.states.get(number).map_or("removed", |state| state.name());
            format!("{name} ({state})")
        });
        let (count, of) = (self.open.len(), self.jobs.len());
        let have = if count == 1 { "has" } else { "have" };
        let jobs = if of == 1 { "job" } else { "jobs" };
        let after = show_short(self.timeout.unwrap_or_default());
        let open = a_few(open.collect());
        format!("timed out after {after}; {count} of {of} {jobs} {have} not ended: {open}")
    }
}

/// Returns a list of a few jobs, with the number of the others.
fn a_few(mut jobs: Vec<String>) -> String {
    let others = jobs.len().saturating_sub(NAMED);
    if others > 0 {
        jobs.truncate(NAMED);
        jobs.push(format!("and {others} more"));
    }
    jobs.join(", ")
}

/// Returns the numbers of the jobs. Fails if jobs do not exist, naming all of them. Has the waiter note which of them wait for
/// a node.
fn look_at_all(store: &mut Store, waiter: &mut Waiter, jobs: &[JobRef]) -> Result<Vec<JobId>> {
    let mut missing = None;
    let mut numbers = Vec::with_capacity(jobs.len());
    for job in jobs {
        match waiter.ask(store, |store| store.job(job)) {
            Ok(found) => {
                numbers.push(found.id);
                waiter.look_also_for(found);
            }
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
    Ok(numbers)
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

/// Returns whether a living node serves the job's queue, or has the job.
fn is_served(nodes: &[(Node, bool)], job: &Job) -> bool {
    let serves = |node: &Node| node.serves(job.queue.as_str()) || job.node == Some(node.id);
    nodes.iter().any(|(node, lives)| *lives && serves(node))
}

/// Returns whether no living node serves this queue; false if that cannot be found out.
pub fn is_unserved(store: &mut Store, queue: &str) -> bool {
    let serves = |(node, lives): &(Node, bool)| *lives && node.serves(queue);
    // A role that may not read nodes goes without the hint.
    let nodes = store.nodes_with_lives();
    nodes.is_ok_and(|nodes| !nodes.iter().any(serves))
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
    /// Jobs to look at the next time, besides the one that is asked about: one per queue.
    others: Vec<Job>,
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
            others: Vec::new(),
            looked: None,
        }
    }

    /// Looks for nodes after this time, at most [`LOOK`], and not at once: before, a job may have ended.
    #[must_use]
    pub fn looking_after(mut self, time: Duration) -> Waiter {
        self.looked = Instant::now().checked_sub(LOOK.saturating_sub(time));
        self
    }

    /// Looks for nodes for this job, too, at the next look.
    fn look_also_for(&mut self, job: Job) {
        // One job per queue is enough.
        if !job.state.is_final() && !self.others.iter().any(|other| other.queue == job.queue) {
            self.others.push(job);
        }
    }

    /// Waits until the store has changed since the marker was read. Prints a note if nothing will start the job, at the latest
    /// when time runs out. Returns false then.
    pub fn wait_for_change(&mut self, store: &mut Store, marker: i64, job: &Job) -> Result<bool> {
        loop {
            self.look_for_nodes(store, job);
            if !self.pause() {
                // The end of a wait that was too short for a look says why nothing started, too.
                self.looked = None;
                self.look_for_nodes(store, job);
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
        // It ended after it was looked for, so it waits for nothing.
        if job.state.is_final() {
            return;
        }
        if self.looked.is_some_and(|looked| looked.elapsed() < LOOK) {
            return;
        }
        self.looked = Some(Instant::now());
        let others = std::mem::take(&mut self.others);
        let others = others.iter().filter(|other| other.queue != job.queue);
        let jobs: Vec<&Job> = others.chain([job]).collect();
        // A role that may not read nodes or pauses goes without the note.
        if let Ok(nodes) = self.ask(store, Store::nodes_with_lives) {
            for job in &jobs {
                self.say_if_unserved(&nodes, job);
            }
        }
        let pauses = self.ask(store, |store| {
            let now = store.now()?;
            Ok((store.pauses(now)?, now))
        });
        if let Ok((mut pauses, now)) = pauses {
            for job in jobs {
                let pause = pauses.remove(job.queue.as_str());
                self.say_if_paused(pause.map(load::pause_view), job, now);
            }
        }
    }

    fn say_if_unserved(&mut self, nodes: &[(Node, bool)], job: &Job) {
        if is_served(nodes, job) {
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

    /// Rests for that time, or until the time limit.
    pub fn rest(&self, time: Duration) {
        let left = self
            .until
            .map(|until| until.saturating_duration_since(Instant::now()));
        thread::sleep(time.min(left.unwrap_or(time)).min(RETRY_MOST));
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

#[cfg(test)]
mod tests {
    use queuectl_core::{JobSpec, Timestamp};
    use queuectl_storage::Pause;
    use queuectl_testkit::TempStore;

    use super::*;

    /// A job can end between the look for it and the notes about it.
    #[test]
    fn an_ended_job_waits_for_no_queue() {
        let mut temp = TempStore::sqlite();
        let store = &mut temp.store;
        let job = JobSpec::line("true").validate(Timestamp(0)).unwrap();
        let id = store.place(&[job], Timestamp(0)).unwrap()[0].id;
        let mut job = store.job(&JobRef::Number(id)).unwrap();
        let pause = Pause {
            at: store.now().unwrap(),
            until: None,
            by: String::new(),
            reason: None,
        };
        store
            .pause_queues(std::slice::from_ref(&job.queue), &pause)
            .unwrap();
        let mut notes = |job: &Job| {
            let mut waiter = Waiter::new(None);
            waiter.look_for_nodes(store, job);
            (waiter.unserved.len(), waiter.paused.len())
        };
        assert_eq!(notes(&job), (1, 1), "the control: a job that waits");
        for state in [State::Cancelled, State::Completed, State::Dead] {
            job.state = state;
            assert_eq!(notes(&job), (0, 0), "{state}");
        }
    }
}
