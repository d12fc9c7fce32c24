//! Waiting for changes of the store, with a time limit: what `wait`, `logs -f` and others have in common. It says, once, if nothing will
//! start a job, and outlives a database server that goes away for a while. What is waited for, its callers know.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use queuectl_core::{Job, QueueName, State, Timestamp, show_short};
use queuectl_frontend::load;
use queuectl_storage::{Node, Store, StoreError};
use queuectl_views::PauseView;

use crate::output::{diagnostics, pause};

/// Longest interval between looks for a change of the store, which are cheap.
const POLL: Duration = Duration::from_millis(100);
/// The first interval: what ends at once is seen at once. Each one is twice as long as the one before.
const FIRST_POLL: Duration = Duration::from_millis(5);
/// Interval between looks whether a node serves the queue.
const LOOK: Duration = Duration::from_secs(2);
/// Time after which a note says that no node serves the queue: a node that is just starting is there by then.
pub const PATIENCE: Duration = Duration::from_secs(1);
/// Time to wait for a database server that went away: longer than a restart or a fail-over takes.
const OUTAGE: Duration = Duration::from_secs(60);
/// Longest pause between attempts to reach it.
const RETRY_MOST: Duration = Duration::from_secs(2);

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
    pub fn look_also_for(&mut self, job: Job) {
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
    use queuectl_core::{JobRef, JobSpec};
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
