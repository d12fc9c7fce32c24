//! For plugins whose work is asynchronous: one tokio runtime, one task per run.
//!
//! A run's task ends with its [`Outcome`], which is reported. A task that panics is a system failure; one that is
//! killed is dropped where it waits. What the work is, is up to the plugin. Feature `tasks`.

use std::collections::HashMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::{Error, Handled, Outcome, Run, RunHandle, StopMode};

/// The runs of a plugin, each as a task.
pub struct Tasks {
    /// None once it is shut down.
    runtime: Mutex<Option<Runtime>>,
    stops: Arc<Mutex<HashMap<u64, watch::Sender<Option<StopMode>>>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing is left half done under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells a task that its run must stop.
#[derive(Debug, Clone)]
pub struct StopSignal(watch::Receiver<Option<StopMode>>);

impl StopSignal {
    /// Waits until the run must stop.
    pub async fn requested(&mut self) -> StopMode {
        loop {
            if let Some(mode) = *self.0.borrow_and_update() {
                return mode;
            }
            if self.0.changed().await.is_err() {
                // The host is gone and can no longer ask.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until the run must end at once.
    pub async fn killed(&mut self) {
        let kill = |mode: &Option<StopMode>| *mode == Some(StopMode::Kill);
        if self.0.wait_for(kill).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Tasks {
    /// Starts the runtime with this number of threads.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn new(threads: usize) -> Result<Tasks, Error> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(threads).enable_all().build();
        let runtime = runtime.map_err(|error| Error::new(format!("cannot start the runtime: {error}")))?;
        Ok(Tasks {
            runtime: Mutex::new(Some(runtime)),
            stops: Arc::default(),
        })
    }

    /// Runs `work` for a run, which ends with the outcome that `work` ends with. When the run is killed, `work` is
    /// dropped; when it must stop gracefully, only the signal says so.
    pub fn start<F>(&self, run: Run, work: impl FnOnce(RunHandle, StopSignal) -> F)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        self.launch(run, true, work);
    }

    /// The same for work that keeps something outside of this process ([`crate::Executor::KEEPS`]) and so must see to
    /// its end itself: it is never dropped, the signal says also when the run is killed. It then ends soon.
    pub fn start_to_end<F>(&self, run: Run, work: impl FnOnce(RunHandle, StopSignal) -> F)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        self.launch(run, false, work);
    }

    fn launch<F>(&self, run: Run, droppable: bool, work: impl FnOnce(RunHandle, StopSignal) -> F)
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let (sender, receiver) = watch::channel(None);
        let id = run.handle().id();
        lock(&self.stops).insert(id, sender);
        let stops = Arc::clone(&self.stops);
        let work = work(run.handle(), StopSignal(receiver.clone()));
        let task = async move {
            let mut stop = StopSignal(receiver);
            let mut work = tokio::spawn(work);
            let outcome = tokio::select! {
                ended = &mut work => ended.unwrap_or_else(|error| {
                    Outcome::system_failure(format!("the executor plugin failed: {}", panic_text(error)))
                }),
                () = stop.killed(), if droppable => {
                    work.abort();
                    // Ended for good before it is reported: nothing of the run goes on behind its back.
                    let _ = work.await;
                    Outcome::failed("killed")
                }
            };
            lock(&stops).remove(&id);
            run.finish(outcome);
        };
        // Dropped with the runtime, which is when a run that is not reported is one.
        drop(self.spawn(task));
    }

    /// Passes a stop on to the run's task. [`Handled::ByHost`] if it has none.
    pub fn stop(&self, run: &RunHandle, mode: StopMode) -> Handled {
        match lock(&self.stops).get(&run.id()) {
            Some(sender) => {
                // A kill is never softened.
                sender.send_if_modified(|now| {
                    let harder = *now != Some(StopMode::Kill) && *now != Some(mode);
                    if harder {
                        *now = Some(mode);
                    }
                    harder
                });
                Handled::ByPlugin
            }
            None => Handled::ByHost,
        }
    }

    /// Runs something that belongs to no run. None once the runtime was shut down.
    pub fn spawn<F>(&self, work: F) -> Option<JoinHandle<F::Output>>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        lock(&self.runtime).as_ref().map(|runtime| runtime.spawn(work))
    }

    /// Waits for something, on the calling thread. Not for `start`: it must return promptly.
    ///
    /// # Errors
    /// The runtime was shut down.
    pub fn block_on<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        let handle = lock(&self.runtime)
            .as_ref()
            .map(|runtime| runtime.handle().clone());
        handle
            .map(|handle| handle.block_on(work))
            .ok_or_else(|| Error::new("the executor is shut down"))
    }

    /// Runs that are under way.
    pub fn running(&self) -> usize {
        lock(&self.stops).len()
    }

    /// Ends the runtime; runs that are still under way are reported as system failures.
    pub fn shut_down(&self) {
        if let Some(runtime) = lock(&self.runtime).take() {
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        }
    }
}

impl Drop for Tasks {
    fn drop(&mut self) {
        self.shut_down();
    }
}

fn panic_text(error: tokio::task::JoinError) -> String {
    let Ok(panic) = error.try_into_panic() else {
        return "its task was cancelled".to_owned();
    };
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or(panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without message").to_owned()
}
