//! One thread that carries out changes of many jobs, one after the other, so that no request waits for them and they never take
//! the threads that answer.
//!
//! Most of them are stored as operations before they begin, with the jobs that they mean. So this is what `queuectl op:resume` and
//! `op:undo` do, and those go on with what a server left behind that was stopped.

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

type Act = Box<dyn FnOnce(&mut Store, &str) -> Result<(), StoreError> + Send>;

struct Run {
    act: Act,
    by: String,
    done: oneshot::Sender<Result<(), StoreError>>,
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

    /// Changes many jobs in the name of an operator. Returns what is told when that ends. If too many wait, `command` is named, which
    /// does the same.
    pub fn run(
        &self,
        by: String,
        command: &str,
        act: impl FnOnce(&mut Store, &str) -> Result<(), StoreError> + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<(), StoreError>>, Problem> {
        let (done, ended) = oneshot::channel();
        let act = Box::new(act);
        match self.0.try_send(Run { act, by, done }) {
            Ok(()) => Ok(ended),
            Err(TrySendError::Full(_)) => Err(Problem::usage(format!(
                "too many changes wait to be carried out; `{command}` carries out this one"
            ))),
            Err(TrySendError::Disconnected(_)) => Err(Problem::stopping()),
        }
    }
}

fn work(location: &Location, runs: &Receiver<Run>) {
    let mut store = None;
    while let Ok(Run { act, by, done }) = runs.recv() {
        // What panics must not take the thread with it, nor leave a store that is half way through something.
        let ran = catch_unwind(AssertUnwindSafe(|| {
            let store = open(&mut store, location, &by)?;
            store.act_as(by.clone());
            let ran = act(store, &by);
            store.leave_operation();
            ran
        }));
        match ran {
            Ok(ran) => {
                if let Err(error) = &ran {
                    tracing::warn!(%error, "a change of many jobs was cut off");
                }
                let _ = done.send(ran);
            }
            Err(_) => store = None,
        }
    }
}

/// Goes on with an operation that was stored.
pub fn go_on(store: &mut Store, operation: i64, by: &str) -> Result<(), StoreError> {
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
