//! Threads that read and change the store for requests, each with a connection of its own. A request that finds all of them busy, and
//! others waiting before it, is refused, so that memory and waiting have a limit.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use queuectl_storage::{Location, OpenMode, Store, StoreError};
use tokio::sync::oneshot;

use crate::caller;
use crate::problem::Problem;

/// Connections to the store.
const THREADS: usize = 4;
/// Requests that wait for one.
const WAITING: usize = 1024;

type Work = Box<dyn FnOnce(Result<&mut Store, StoreError>) + Send>;

/// Where work on the store is done.
pub struct Stores {
    sender: SyncSender<Work>,
    operator: String,
}

impl Stores {
    /// Starts the threads. Changes are made in the name of `operator`.
    pub fn start(location: &Location, operator: &str) -> io::Result<Stores> {
        let (sender, receiver) = sync_channel(WAITING);
        let receiver = Arc::new(Mutex::new(receiver));
        for _ in 0..THREADS {
            let (location, operator) = (location.clone(), operator.to_owned());
            let receiver = Arc::clone(&receiver);
            thread::Builder::new()
                .name("store".to_owned())
                .spawn(move || work(&location, &operator, &receiver))?;
        }
        Ok(Stores {
            sender,
            operator: operator.to_owned(),
        })
    }

    /// Returns in whose name the current task makes changes.
    pub fn operator(&self) -> String {
        let caller = caller::current().and_then(|caller| caller.operator());
        caller.unwrap_or_else(|| self.operator.clone())
    }

    /// Does something with a store, and returns what came of it.
    pub async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Problem> {
        self.try_ask(|store| ask(store).map_err(Problem::from)).await
    }

    /// The same for what can be wrong in other ways, too.
    pub async fn try_ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&mut Store) -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let (answer, answered) = oneshot::channel();
        let by = self.operator();
        let work: Work = Box::new(move |store| {
            // A client that has gone away while this waited may send it again.
            if answer.is_closed() {
                return;
            }
            let done = store.map_err(Problem::from).and_then(|store| {
                store.act_as(by);
                ask(store)
            });
            // Nor does it want an answer, if it has gone away since.
            let _ = answer.send(done);
        });
        match self.sender.try_send(work) {
            Ok(()) => answered.await.map_err(|_| Problem::internal())?,
            Err(TrySendError::Full(_)) => Err(Problem::busy()),
            Err(TrySendError::Disconnected(_)) => Err(Problem::stopping()),
        }
    }
}

/// Does one piece of work after the other. A store that cannot be opened is tried again for the next.
fn work(location: &Location, operator: &str, receiver: &Mutex<Receiver<Work>>) {
    let mut store = None;
    loop {
        let next = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        // What panics must not take the thread with it, nor leave a store that is half way through something.
        let done = catch_unwind(AssertUnwindSafe(|| match open(&mut store, location, operator) {
            Ok(store) => work(Ok(store)),
            Err(error) => work(Err(error)),
        }));
        if done.is_err() {
            store = None;
        }
    }
}

/// Returns the store, and opens it if that has not been done.
pub fn open<'a>(
    store: &'a mut Option<Store>,
    location: &Location,
    operator: &str,
) -> Result<&'a mut Store, StoreError> {
    match store {
        Some(store) => Ok(store),
        None => {
            let mut opened = Store::open(location, OpenMode::MustExist)?;
            opened.act_as(operator.to_owned());
            Ok(store.insert(opened))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Waker};

    use queuectl_testkit::TempStore;

    use super::*;

    /// Hands over what is to be done, and returns what waits for it.
    fn begin<T>(
        asking: impl Future<Output = Result<T, Problem>>,
    ) -> Pin<Box<impl Future<Output = Result<T, Problem>>>> {
        let mut asking = Box::pin(asking);
        let poll = asking.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(poll.is_pending());
        asking
    }

    #[tokio::test]
    async fn nothing_is_done_for_a_client_that_has_gone() {
        let temp = TempStore::sqlite();
        let stores = Stores::start(&temp.location, "test").unwrap();
        let busy = || {
            let barrier = Arc::new(Barrier::new(THREADS + 1));
            let wait = |_| {
                let barrier = Arc::clone(&barrier);
                begin(stores.ask(move |_| {
                    barrier.wait();
                    Ok(())
                }))
            };
            let all: Vec<_> = (0..THREADS).map(wait).collect();
            (barrier, all)
        };
        let done = Arc::new(AtomicUsize::new(0));
        let count = || {
            let done = Arc::clone(&done);
            begin(stores.ask(move |_| Ok(done.fetch_add(1, Ordering::SeqCst))))
        };
        let (barrier, all) = busy();
        let (gone, stays) = (count(), count());
        drop(gone);
        barrier.wait();
        for one in all {
            one.await.unwrap();
        }
        stays.await.unwrap();
        // Once all threads do something else, the other has had its turn, too.
        let (barrier, all) = busy();
        barrier.wait();
        drop(all);
        assert_eq!(done.load(Ordering::SeqCst), 1);
    }
}
