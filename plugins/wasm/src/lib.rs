//! The `wasm` executor: runs WebAssembly programs inside the worker process, in a sandbox.
//!
//! A run is a task on a few threads; it holds no thread while it sleeps, and hands its thread on while it computes. What
//! a program may have is said by its job and given by [`guest`]; nothing else of the machine can be reached. It starts no
//! processes, and opens no connections.

mod allowance;
mod compile;
mod disk;
mod ending;
mod engine;
mod guest;
mod modules;
mod output;
mod payload;
mod settings;
mod size;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use queuectl_plugin_api::{
    Description, Error, Executor, Handled, Host, Outcome, Request, Run, RunHandle, Settings, StartError,
    StopMode, Tasks, export_executor,
};
use tokio::sync::Semaphore;

use crate::disk::Disk;
use crate::engine::Engines;
use crate::guest::State;
use crate::modules::{Modules, Source, blocking};
use crate::payload::Plan;
use crate::settings::Chosen;

/// Programs that are set up at the same time in one worker process; further runs wait for their turn.
const AT_A_TIME: usize = 256;

struct Wasm {
    chosen: Chosen,
    tasks: Tasks,
    shared: Arc<Shared>,
}

struct Shared {
    engines: Arc<Engines>,
    modules: Arc<Modules>,
    turns: Semaphore,
    runs: AtomicU64,
}

impl Executor for Wasm {
    const DESCRIPTION: Description = Description {
        name: "wasm",
        version: env!("CARGO_PKG_VERSION"),
        about: env!("CARGO_PKG_DESCRIPTION"),
        capabilities: &[
            "payload",
            "env",
            "cwd",
            "stdin",
            "wasi-preview-1",
            "wasi-preview-2",
        ],
        schema: payload::SCHEMA,
        settings_schema: settings::SCHEMA,
    };

    fn create(host: Host, settings: &Settings) -> Result<Self, Error> {
        let chosen: Chosen = settings.typed()?;
        let disk = chosen.cache_folder()?.and_then(Disk::new);
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let engines = Arc::new(Engines::default());
        Ok(Wasm {
            chosen,
            tasks: Tasks::new(processors)?,
            shared: Arc::new(Shared {
                modules: Arc::new(Modules::new(Arc::clone(&engines), disk, host, processors)),
                engines,
                turns: Semaphore::new(AT_A_TIME),
                runs: AtomicU64::new(0),
            }),
        })
    }

    fn start(&self, run: Run) -> Result<(), StartError> {
        let plan = Plan::new(run.request(), &self.chosen)?;
        // As for processes, these come last, so that a job cannot hide who it is.
        let about = vec![
            ("QUEUECTL_JOB_ID", run.job_id().to_owned()),
            ("QUEUECTL_ATTEMPT", run.attempt().to_string()),
            ("QUEUECTL_FENCE", run.fence().to_string()),
            ("QUEUECTL_QUEUE", run.queue().to_owned()),
        ];
        let shared = Arc::clone(&self.shared);
        self.tasks.start(run, async move |handle, mut stop| {
            tokio::select! {
                // A program has no way to hear of a request to stop, so its grace would be waited for in vain.
                _ = stop.requested() => Outcome::failed("stopped"),
                outcome = shared.run(plan, about, handle) => outcome,
            }
        });
        Ok(())
    }

    fn stop(&self, run: RunHandle, mode: StopMode) -> Handled {
        self.tasks.stop(&run, mode)
    }

    fn fingerprint(&self) -> Result<(), Error> {
        self.shared.engines.get(false).map(|_| ())
    }

    fn validate(&self, request: &Request) -> Result<(), Error> {
        Plan::new(request, &self.chosen).map(|_| ())
    }

    fn stats(&self) -> BTreeMap<String, u64> {
        let mut stats = self.shared.modules.stats();
        stats.insert("runs".to_owned(), self.shared.runs.load(Ordering::Relaxed));
        stats.insert("running".to_owned(), self.tasks.running() as u64);
        stats
    }

    fn shutdown(&self) {
        self.tasks.shut_down();
        self.shared.engines.shut_down();
    }
}

impl Shared {
    /// One run from its turn to its end. Dropping this future ends it where it is.
    async fn run(&self, plan: Plan, about: Vec<(&'static str, String)>, handle: RunHandle) -> Outcome {
        self.runs.fetch_add(1, Ordering::Relaxed);
        let _turn = self.turns.acquire().await;
        match self.set_up_and_run(plan, about, &handle).await {
            Ok(outcome) | Err(outcome) => outcome,
        }
    }

    async fn set_up_and_run(
        &self,
        plan: Plan,
        about: Vec<(&'static str, String)>,
        handle: &RunHandle,
    ) -> Result<Outcome, Outcome> {
        let (program, source) = self.modules.get(&plan.module, plan.fuel.is_some()).await?;
        // The usual way is not worth a line in the log.
        if source != Source::Memory {
            handle.event("module", source.name());
        }
        let (plan, to) = (Arc::new(plan), handle.clone());
        let planned = Arc::clone(&plan);
        let state = blocking(move || State::new(&planned, &about, &to)).await?;
        let _ticking = self
            .engines
            .tick()
            .map_err(|error| Outcome::system_failure(error.to_string()))?;
        let ended = tokio::time::timeout(
            plan.deadline.unwrap_or(Duration::MAX),
            guest::run(&program, state, &plan, handle),
        );
        let deadline = || plan.deadline.unwrap_or_default().as_secs_f64();
        Ok(ended
            .await
            .unwrap_or_else(|_| Outcome::failed(format!("deadline: it ran longer than {} s", deadline()))))
    }
}

export_executor!(Wasm);
