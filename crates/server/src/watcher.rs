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

/// Longest pause between two looks, and the first one after a client began to wait: what ends at once is seen at once.
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
    /// Whether some have come since the last look.
    is_new: bool,
}

impl Waiting {
    fn add(&mut self, asked: Asked) {
        self.is_new = true;
        match asked {
            Asked::Job(job, sender) => self.jobs.entry(job).or_default().push(sender),
            Asked::All(sender) => self.all.push(sender),
        }
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
    let mut waiting = Waiting::default();
    let mut marker = None;
    loop {
        // No client waits, so nothing has to be looked for.
        let Ok(first) = asked.recv() else { return };
        waiting.add(first);
        let mut pause = FIRST_PAUSE;
        while !waiting.is_empty() {
            match rest(asked, &mut waiting, pause) {
                Some(true) => pause = FIRST_PAUSE,
                Some(false) => pause = (pause * 2).min(PAUSE),
                None => return,
            }
            waiting.forget_those_who_left();
            let start = Instant::now();
            match look(&mut store, (location, operator), &waiting, &mut marker) {
                Ok(()) => waiting.is_new = false,
                Err(error) => {
                    tracing::debug!(%error, "cannot look for changes");
                    store = None;
                    pause = FAILED_PAUSE;
                }
            }
            pause = pause.max(start.elapsed() * SHARE);
        }
    }
}

/// Rests for a while, and takes those who come meanwhile. Returns whether some came; none at the end.
fn rest(asked: &Receiver<Asked>, waiting: &mut Waiting, pause: Duration) -> Option<bool> {
    let until = Instant::now() + pause;
    let mut came = false;
    loop {
        match asked.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(one) => {
                waiting.add(one);
                came = true;
            }
            Err(RecvTimeoutError::Timeout) => return Some(came),
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

/// Looks whether something changed, and tells those whom it concerns.
fn look(
    store: &mut Option<Store>,
    (location, operator): (&Location, &str),
    waiting: &Waiting,
    marker: &mut Option<i64>,
) -> Result<(), StoreError> {
    // The number that one connection has for changes says nothing to another.
    if store.is_none() {
        *marker = None;
    }
    let store = open(store, location, operator)?;
    let newest = Some(store.change_marker()?);
    if *marker == newest && !waiting.is_new {
        return Ok(());
    }
    let jobs: Vec<JobId> = waiting.jobs.keys().copied().collect();
    waiting.tell(&store.standings(&jobs)?);
    *marker = newest;
    Ok(())
}
