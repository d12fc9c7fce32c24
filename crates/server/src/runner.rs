//! One thread that carries out changes of many jobs, one after the other, so that no request waits for them and they never take
//! the threads that answer.
//!
//! Such a change is stored as an operation before it begins, with the jobs that it means. So this is what `queuectl op:resume` does, and
//! that goes on with what a server left behind that was stopped.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use queuectl_storage::{Location, Store, StoreError};
use tokio::sync::oneshot;

use crate::problem::Problem;
use crate::stores::open;

/// Operations that wait.
const WAITING: usize = 64;

struct Run {
    operation: i64,
    by: String,
    done: oneshot::Sender<()>,
}

/// Where operations are carried out.
pub struct Runner(SyncSender<Run>);

impl Runner {
    /// Starts the thread.
    pub fn start(location: &Location) -> io::Result<Runner> {
        let (sender, receiver) = sync_channel(WAITING);
        let location = location.clone();
        thread::Builder::new()
            .name("runner".to_owned())
            .spawn(move || work(&location, &receiver))?;
        Ok(Runner(sender))
    }

    /// Carries out an operation in the name of an operator. Returns what is dropped or told when it ends.
    pub fn run(&self, operation: i64, by: String) -> Result<oneshot::Receiver<()>, Problem> {
        let (done, ended) = oneshot::channel();
        match self.0.try_send(Run { operation, by, done }) {
            Ok(()) => Ok(ended),
            Err(TrySendError::Full(_)) => Err(Problem::usage(format!(
                "too many changes wait to be carried out; `queuectl op:resume {operation}` carries out this one"
            ))),
            Err(TrySendError::Disconnected(_)) => Err(Problem::stopping()),
        }
    }
}

fn work(location: &Location, runs: &Receiver<Run>) {
    let mut store = None;
    while let Ok(Run { operation, by, done }) = runs.recv() {
        // What panics must not take the thread with it, nor leave a store that is half way through something.
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let store = open(&mut store, location, &by)?;
            store.act_as(by.clone());
            let ran = go_on(store, operation, &by);
            store.leave_operation();
            ran
        }));
        match ran {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(operation, %error, "an operation was cut off"),
            Err(_) => store = None,
        }
        let _ = done.send(());
    }
}

fn go_on(store: &mut Store, operation: i64, by: &str) -> Result<(), StoreError> {
    let frozen = store.reopen_operation(operation)?;
    let now = store.now()?;
    match frozen.cause.as_deref().map(str::parse) {
        None => store.go_on(&frozen, by, now, |_| {})?,
        Some(Ok(cause)) => queuectl_dlq::go_on(store, &frozen, cause, |_| {})?,
        Some(Err(problem)) => {
            return Err(StoreError::Operation {
                id: operation,
                problem,
            });
        }
    }
    let now = store.now()?;
    store.end_operation(now).map(drop)
}
