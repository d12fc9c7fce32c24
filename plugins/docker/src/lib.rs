//! The `docker` executor: every attempt of a job is a container of a Docker or Podman engine, driven through its API.
//!
//! A container outlives the worker process that started it: another process takes it over by its name, which follows
//! from the job and the attempt. It is removed once the outcome is durable. Which of them a job may ask for is up to
//! `spec` and `settings`, what happens to one to `attempt`; images are not built and never removed.

mod attempt;
mod auth;
mod engine;
mod follow;
mod identity;
mod image;
mod numbers;
mod payload;
mod removal;
mod settings;
mod spec;
mod stopping;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use queuectl_plugin_api::{
    Description, Error, Executor, Handled, Host, Level, Request, Run, RunHandle, Settings, StartError,
    StopMode, Tasks, export_executor,
};
use tokio::sync::watch;

use attempt::{Attempt, Told};
use engine::{Engine, Problem};
use identity::{Containers, Identity};
use numbers::Numbers;
use settings::Policy;
use spec::Spec;

/// Threads for talking to the engine; the work is waiting.
const THREADS: usize = 2;
/// Longest that the end of this executor waits for removals that are under way. A node gives its worker processes 5 s.
const LAST_REMOVALS: Duration = Duration::from_secs(4);
/// Longest that a signal is tried to be passed on.
const SIGNALLING: Duration = Duration::from_secs(10);

struct Docker {
    host: Host,
    tasks: Tasks,
    engine: Engine,
    policy: Policy,
    numbers: Arc<Numbers>,
    /// Those of runs whose outcome is not known to be durable.
    containers: Arc<Containers>,
    /// The marks of the nodes that live, as last told.
    alive: watch::Sender<Vec<String>>,
    /// How many removals are under way that belong to no run.
    removals: watch::Sender<usize>,
}

impl Docker {
    fn attempt(&self, run: &Run) -> Result<Attempt, StartError> {
        let spec = Spec::new(run.request(), &self.policy).map_err(StartError::Final)?;
        let mut attempt = Attempt {
            engine: self.engine.clone(),
            identity: Identity::of(run),
            spec,
            numbers: Arc::clone(&self.numbers),
            containers: Arc::clone(&self.containers),
            run: run.handle(),
            recorded: self.host.records(),
            asked: AtomicBool::new(false),
            told: Told::default(),
        };
        let own = [
            ("QUEUECTL_JOB_ID", run.job_id().to_owned()),
            ("QUEUECTL_ATTEMPT", run.attempt().to_string()),
            ("QUEUECTL_FENCE", run.fence().to_string()),
            ("QUEUECTL_QUEUE", run.queue().to_owned()),
        ];
        let env = attempt.spec.body.env.get_or_insert_default();
        let is_own = |entry: &String| own.iter().any(|(name, _)| entry.split('=').next() == Some(name));
        env.retain(|entry| !is_own(entry));
        env.extend(own.map(|(name, value)| format!("{name}={value}")));
        Ok(attempt)
    }

    /// Removes the container of a run, if there is one.
    fn discard(&self, run: u64) {
        let Some(name) = self.containers.take(run) else {
            return;
        };
        let engine = self.engine.clone();
        self.remove_with(async move {
            removal::remove(&engine.connect().await?, &name).await?;
            Ok(1)
        });
    }

    /// Runs a removal on the side; [`Executor::shutdown`] waits for it. It is not worth more than a line in the log if
    /// it fails: the next attempt or the next node that looks sees to the container.
    fn remove_with(&self, work: impl Future<Output = Result<u64, Problem>> + Send + 'static) {
        let removals = self.removals.clone();
        let (host, engine, numbers) = (self.host.clone(), self.engine.clone(), Arc::clone(&self.numbers));
        removals.send_modify(|count| *count += 1);
        let task = self.tasks.spawn(async move {
            match work.await {
                Ok(removed) => numbers.add_removed(removed),
                Err(problem) => {
                    let why = engine.explain(&problem);
                    host.log(
                        Level::Warn,
                        &format!("containers may be left behind for now: {why}"),
                    );
                }
            }
            removals.send_modify(|count| *count -= 1);
        });
        drop(task);
    }
}

impl Executor for Docker {
    const DESCRIPTION: Description = Description {
        name: "docker",
        version: env!("CARGO_PKG_VERSION"),
        about: env!("CARGO_PKG_DESCRIPTION"),
        capabilities: &[
            "command",
            "argv",
            "env",
            "stdin",
            "payload",
            "signals",
            "survives-worker",
        ],
        schema: payload::SCHEMA,
        settings_schema: settings::SCHEMA,
    };
    const KEEPS: bool = true;

    fn create(host: Host, settings: &Settings) -> Result<Self, Error> {
        let (engine, policy) = settings::read(settings)?;
        Ok(Docker {
            host,
            tasks: Tasks::new(THREADS)?,
            engine,
            policy,
            numbers: Arc::default(),
            containers: Arc::default(),
            alive: watch::Sender::new(Vec::new()),
            removals: watch::Sender::new(0),
        })
    }

    fn start(&self, run: Run) -> Result<(), StartError> {
        let attempt = self.attempt(&run)?;
        self.tasks.start_to_end(run, |_, stop| attempt.start(stop));
        Ok(())
    }

    fn reattach(&self, run: Run, handle: &[u8]) -> Result<(), StartError> {
        // Also if it is refused, because the settings have changed: it is removed then.
        self.containers.add(run.handle().id(), &Identity::of(&run).name());
        let attempt = self.attempt(&run)?;
        let handle = String::from_utf8_lossy(handle).into_owned();
        self.tasks
            .start_to_end(run, |_, stop| attempt.take_over(handle, stop));
        Ok(())
    }

    fn stop(&self, run: RunHandle, mode: StopMode) -> Handled {
        self.tasks.stop(&run, mode)
    }

    fn signal(&self, run: RunHandle, signal: i32) -> Handled {
        let Some(name) = self.containers.find(run.id()) else {
            return Handled::ByHost;
        };
        let (host, engine) = (self.host.clone(), self.engine.clone());
        let told = async move {
            let docker = engine.connect().await?;
            stopping::tell(&docker, &name, &signal.to_string(), SIGNALLING).await
        };
        let engine = self.engine.clone();
        drop(self.tasks.spawn(async move {
            if let Err(problem) = told.await {
                let why = engine.explain(&problem);
                host.log(Level::Warn, &format!("a signal could not be passed on: {why}"));
            }
        }));
        Handled::ByPlugin
    }

    fn fingerprint(&self) -> Result<(), Error> {
        let ping = async { engine::call(self.engine.connect().await?.ping()).await };
        let answer = self.tasks.block_on(ping)?;
        answer
            .map(drop)
            .map_err(|problem| Error::new(self.engine.explain(&problem)))
    }

    fn validate(&self, request: &Request) -> Result<(), Error> {
        Spec::new(request, &self.policy).map(drop).map_err(Error::new)
    }

    fn recorded(&self, run: RunHandle) {
        self.discard(run.id());
    }

    fn discard(&self, handle: &[u8]) {
        let handle = String::from_utf8_lossy(handle).into_owned();
        let Some(name) = identity::name_in(&handle).map(str::to_owned) else {
            return;
        };
        let engine = self.engine.clone();
        self.remove_with(async move {
            removal::remove(&engine.connect().await?, &name).await?;
            Ok(1)
        });
    }

    fn reap(&self, store: &str, alive: &[String]) {
        self.alive.send_replace(alive.to_vec());
        let (engine, alive, store) = (self.engine.clone(), self.alive.subscribe(), store.to_owned());
        self.remove_with(async move { removal::reap(&engine, &store, &alive).await });
    }

    fn stats(&self) -> BTreeMap<String, u64> {
        self.numbers.all()
    }

    fn shutdown(&self) {
        let mut removals = self.removals.subscribe();
        let none_left = async {
            let _ = tokio::time::timeout(LAST_REMOVALS, removals.wait_for(|count| *count == 0)).await;
        };
        // Without a runtime nothing is under way.
        let _ = self.tasks.block_on(none_left);
        self.tasks.shut_down();
    }
}

export_executor!(Docker);
