//! One thread that looks for changes for all clients that wait, so that a thousand of them cost the store as much as one.
//!
//! It rests while no client waits. Otherwise it asks for the number that changes with the store, at the intervals of `queuectl wait`;
//! only if that has changed does it look at the jobs that are waited for, at all of them in one query.

use std::collections::HashMap;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use queuectl_core::{JobId, State};
use queuectl_storage::{Location, Store, StoreError};
use tokio::sync::watch;

use crate::stores::open;

/// Longest pause between two looks, and the first one after a client began to wait where none did: what ends at once is seen at once.
/// Others that come meanwhile wait for the next look.
const PAUSE: Duration = Duration::from_millis(100);
const FIRST_PAUSE: Duration = Duration::from_millis(5);
/// Pause after a look that failed.
const FAILED_PAUSE: Duration = Duration::from_secs(1);
/// How many times as long as a look it rests after it.
const SHARE: u32 = 4;

/// How a job stands: its state and the fencing token of its newest claim; none if it is gone.
pub type Standing = Option<(State, i64)>;

enum Asked {
    /// To be told how a job stands whenever that changes.
    Job(JobId, watch::Sender<Standing>),
    /// To be told that anything changed.
    All(watch::Sender<u64>),
}

/// Where to wait.
pub struct Watcher(Sender<Asked>);

impl Watcher {
    /// Starts the thread, which ends when the watcher is dropped.
    pub fn start(location: &Location, operator: &str) -> io::Result<Watcher> {
        let (sender, receiver) = channel();
        let (location, operator) = (location.clone(), operator.to_owned());
        thread::Builder::new()
            .name("watcher".to_owned())
            .spawn(move || work(&location, &operator, &receiver))?;
        Ok(Watcher(sender))
    }

    /// Returns what is told how a job stands, from the next look on, if that differs from `known`.
    pub fn job(&self, job: JobId, known: Standing) -> watch::Receiver<Standing> {
        let (sender, receiver) = watch::channel(known);
        // A thread that is gone tells nothing; those who wait have limits of their own.
        let _ = self.0.send(Asked::Job(job, sender));
        receiver
    }

    /// Returns what is told of every change of the store from now on.
    pub fn all(&self) -> watch::Receiver<u64> {
        let (sender, receiver) = watch::channel(0);
        let _ = self.0.send(Asked::All(sender));
        receiver
    }
}

/// Those who wait.
#[derive(Default)]
struct Waiting {
    jobs: HashMap<JobId, Vec<watch::Sender<Standing>>>,
    all: Vec<watch::Sender<u64>>,
}

impl Waiting {
    fn add(&mut self, asked: Asked) {
        match asked {
            Asked::Job(job, sender) => self.jobs.entry(job).or_default().push(sender),
            Asked::All(sender) => self.all.push(sender),
        }
    }

    /// Takes in those who wait elsewhere.
    fn join(&mut self, others: Waiting) {
        for (job, mut senders) in others.jobs {
            self.jobs.entry(job).or_default().append(&mut senders);
        }
        self.all.extend(others.all);
    }

    fn forget_those_who_left(&mut self) {
        self.jobs.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
        self.all.retain(|sender| !sender.is_closed());
    }

    fn is_empty(&self) -> bool {
        self.jobs.is_empty() && self.all.is_empty()
    }

    fn tell(&self, standings: &HashMap<JobId, (State, i64)>) {
        for (job, senders) in &self.jobs {
            let standing = standings.get(job).copied();
            for sender in senders {
                sender.send_if_modified(|known| std::mem::replace(known, standing) != standing);
            }
        }
        for sender in &self.all {
            sender.send_modify(|changes| *changes += 1);
        }
    }
}

fn work(location: &Location, operator: &str, asked: &Receiver<Asked>) {
    let mut store = None;
    let (mut waiting, mut new) = (Waiting::default(), Waiting::default());
    let mut marker = None;
    loop {
        // No client waits, so nothing has to be looked for.
        let Ok(first) = asked.recv() else { return };
        new.add(first);
        let mut pause = FIRST_PAUSE;
        while !(waiting.is_empty() && new.is_empty()) {
            if !rest(asked, &mut new, pause) {
                return;
            }
            pause = (pause * 2).min(PAUSE);
            waiting.forget_those_who_left();
            new.forget_those_who_left();
            let start = Instant::now();
            let looked = look(
                &mut store,
                (location, operator),
                &mut waiting,
                &mut new,
                &mut marker,
            );
            if let Err(error) = looked {
                tracing::debug!(%error, "cannot look for changes");
                store = None;
                pause = FAILED_PAUSE;
            }
            pause = pause.max(start.elapsed() * SHARE);
        }
    }
}

/// Rests for a while, and takes those who come meanwhile. Returns false at the end.
fn rest(asked: &Receiver<Asked>, new: &mut Waiting, pause: Duration) -> bool {
    let until = Instant::now() + pause;
    loop {
        match asked.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(one) => new.add(one),
            Err(RecvTimeoutError::Timeout) => return true,
            Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
}

/// Looks whether something changed, and tells those whom it concerns: if nothing has, only those who are new, since what they know may
/// be older than the last look.
fn look(
    store: &mut Option<Store>,
    (location, operator): (&Location, &str),
    waiting: &mut Waiting,
    new: &mut Waiting,
    marker: &mut Option<i64>,
) -> Result<(), StoreError> {
    // The number that one connection has for changes says nothing to another.
    if store.is_none() {
        *marker = None;
    }
    let store = open(store, location, operator)?;
    let newest = Some(store.change_marker()?);
    let has_changed = *marker != newest;
    if !has_changed && new.is_empty() {
        return Ok(());
    }
    let others = waiting.jobs.keys().filter(|_| has_changed);
    let jobs: Vec<JobId> = new.jobs.keys().chain(others).copied().collect();
    let standings = store.standings(&jobs)?;
    new.tell(&standings);
    if has_changed {
        waiting.tell(&standings);
    }
    waiting.join(std::mem::take(new));
    *marker = newest;
    Ok(())
}

#[cfg(test)]
mod tests {
    use queuectl_core::Timestamp;
    use queuectl_storage::NewOperation;
    use queuectl_testkit::TempStore;

    use super::*;

    #[test]
    fn those_who_are_new_are_told_and_wake_no_other() {
        let temp = TempStore::sqlite();
        let (mut store, mut marker) = (None, None);
        let (mut waiting, mut new) = (Waiting::default(), Waiting::default());
        let mut look = |asked: Option<Asked>| {
            asked.into_iter().for_each(|asked| new.add(asked));
            let place = (&temp.location, "test");
            super::look(&mut store, place, &mut waiting, &mut new, &mut marker).unwrap();
        };
        let (sender, mut first) = watch::channel(0);
        look(Some(Asked::All(sender)));
        assert_eq!(*first.borrow_and_update(), 1);
        let (all, mut second) = watch::channel(0);
        look(Some(Asked::All(all)));
        assert_eq!(*second.borrow_and_update(), 1);
        // What is known of a job may be old.
        let known = Some((State::Pending, 0));
        let (job, third) = watch::channel(known);
        look(Some(Asked::Job(JobId(1), job)));
        assert_eq!(*third.borrow(), None, "there is no such job");
        look(None);
        assert!(!first.has_changed().unwrap() && !second.has_changed().unwrap());
        // The control: something has changed.
        let mut other = temp.another();
        let written = NewOperation {
            kind: "cancel".to_owned(),
            ..NewOperation::default()
        };
        other.open_operation(written, Timestamp(1)).unwrap();
        look(None);
        assert_eq!((*first.borrow(), *second.borrow()), (2, 2));
    }
}
