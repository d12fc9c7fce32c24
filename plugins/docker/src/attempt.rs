//! One run, from its request or from its handle to its outcome.
//!
//! The container outlives this process if it must: its name is saved before it is made. It is removed elsewhere, once
//! the outcome is durable.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bollard::Docker;
use bollard::models::ContainerStateStatusEnum as Status;
use bollard::query_parameters::{AttachContainerOptionsBuilder, CreateContainerOptionsBuilder};
use queuectl_plugin_api::{Outcome, RunHandle, StopSignal};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::engine::{Engine, Patience, Problem, call};
use crate::follow::{Follower, Output};
use crate::identity::{Containers, Identity};
use crate::numbers::Numbers;
use crate::spec::Spec;
use crate::{auth, follow, image, removal, stopping};

/// How long a worker process that takes a run over tries to reach the engine.
const REACH: Duration = Duration::from_secs(60);
/// What a handle has after the container's name until the engine was asked to start the container.
const NEW: &str = " new";
/// What it has there once standard input was handed over.
const FED: &str = " fed";
/// What it has there while the engine is lost, or was so while there was input on its way.
const LOST: &str = " lost";

const NOT_STARTED: &str = "the container could not be started";

/// A run on its way.
pub struct Attempt {
    pub engine: Engine,
    pub identity: Identity,
    pub spec: Spec,
    pub numbers: Arc<Numbers>,
    pub containers: Arc<Containers>,
    pub run: RunHandle,
    /// Whether the host reports when the outcome is durable; otherwise the container is not needed after its end.
    pub recorded: bool,
    /// Whether the engine was asked to start the container. If it then goes away, only a container that runs or has
    /// ended shows that it was.
    pub asked: AtomicBool,
    /// What the handle says, once the container is started.
    pub told: Told,
}

/// What the handle says of a container that was started.
#[derive(Default)]
pub struct Told {
    fed: AtomicBool,
    lost: AtomicBool,
}

/// Where standard input goes.
type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// What came of starting a container.
enum Launched {
    /// It runs, with its streams.
    Running(Streams),
    /// It cannot be started, which is the job's own doing.
    Failed(Outcome),
    /// The engine has no init for it.
    NoInit,
}

/// The streams of a container that were attached before it was started.
#[derive(Default)]
struct Streams {
    output: Option<Output>,
    /// Gets this text.
    input: Option<(Input, String)>,
}

impl Attempt {
    /// Makes and starts a container, and follows it to its end.
    pub async fn start(self, stop: StopSignal) -> Outcome {
        let result = self.try_start(stop).await;
        self.outcome(result).await
    }

    /// Finds the container of a run whose worker process died, and follows it to its end.
    pub async fn take_over(self, handle: String, stop: StopSignal) -> Outcome {
        let result = self.try_take_over(&handle, false, stop).await;
        self.outcome(result).await
    }

    async fn outcome(&self, result: Result<Outcome, Problem>) -> Outcome {
        if !self.recorded
            && let Ok(docker) = self.engine.connect().await
        {
            let _ = removal::remove(&docker, &self.identity.name()).await;
        }
        result.unwrap_or_else(|problem| Outcome::system_failure(self.engine.explain(&problem)))
    }

    async fn try_start(&self, mut stop: StopSignal) -> Result<Outcome, Problem> {
        let mut early = stop.clone();
        let docker = tokio::select! {
            docker = self.prepare() => docker?,
            _ = early.requested() => return Ok(Outcome::failed("stopped before its container was made")),
        };
        let name = self.identity.name();
        self.save(&name, NEW)?;
        self.containers.add(self.run.id(), &name);
        // From here on it is not abandoned half way, or it would be unknown whether there is a container.
        match self.make(&docker, &name).await {
            Ok(launched) => self.finish(&docker, &name, launched, &mut stop).await,
            Err(Problem::Away(_)) => {
                let stage = if self.asked.load(Ordering::Relaxed) {
                    ""
                } else {
                    NEW
                };
                self.try_take_over(stage, true, stop).await
            }
            Err(problem) => Err(problem),
        }
    }

    /// Saves the handle: the name, and how far its container has come.
    fn save(&self, name: &str, stage: &str) -> Result<(), Problem> {
        let saved = self.run.save_handle(format!("{name}{stage}").as_bytes());
        saved.map_err(|error| Problem::Other(error.to_string()))
    }

    /// Saves what has become known of a container that was started. A worker that takes the run over is the more careful the
    /// less it is told, or has the engine's word.
    fn tell(&self, name: &str) {
        let part = |told: &AtomicBool, part| if told.load(Ordering::Relaxed) { part } else { "" };
        let (fed, lost) = (part(&self.told.fed, FED), part(&self.told.lost, LOST));
        let _ = self.save(name, &format!("{fed}{lost}"));
    }

    /// Everything that takes long and leaves nothing.
    async fn prepare(&self) -> Result<Docker, Problem> {
        let docker = self.engine.connect().await?;
        let removed = removal::remove_earlier(&docker, &self.identity).await?;
        self.numbers.add_removed(removed);
        let credentials = self.spec.auth.as_deref().map(auth::find).transpose();
        let credentials = credentials.map_err(Problem::Other)?;
        let tell = |image: &str| self.run.event("pulling", image);
        let spec = &self.spec;
        image::provide(&docker, &spec.image, &spec.pull, credentials.as_ref(), tell).await?;
        Ok(docker)
    }

    /// Makes and starts the container; without an init if the engine has none and the job does not insist.
    async fn make(&self, docker: &Docker, name: &str) -> Result<Launched, Problem> {
        let launched = self
            .make_once(docker, name, self.spec.init != Some(false))
            .await?;
        self.or_without_init(docker, name, launched).await
    }

    async fn or_without_init(
        &self,
        docker: &Docker,
        name: &str,
        launched: Launched,
    ) -> Result<Launched, Problem> {
        match launched {
            Launched::NoInit => {
                let why =
                    "the container engine has no init; a signal may not end the container's first process";
                self.run.event("warned", why);
                removal::remove(docker, name).await?;
                self.make_once(docker, name, false).await
            }
            launched => Ok(launched),
        }
    }

    async fn make_once(&self, docker: &Docker, name: &str, init: bool) -> Result<Launched, Problem> {
        match self.create(docker, name, init).await? {
            Some(launched) => Ok(launched),
            None => self.launch(docker, name).await,
        }
    }

    /// Makes the container. If it cannot be made as the job wants it, says what comes of that.
    async fn create(&self, docker: &Docker, name: &str, init: bool) -> Result<Option<Launched>, Problem> {
        let mut body = self.spec.body.clone();
        body.labels = Some(self.identity.labels());
        let host = body.host_config.get_or_insert_default();
        host.init = Some(init);
        if !self.engine.has_local_logs(docker).await? {
            host.log_config = None;
        }
        let options = CreateContainerOptionsBuilder::new().name(name).build();
        match call(docker.create_container(Some(options), body)).await {
            Ok(made) => {
                for warning in made.warnings {
                    self.run.event("warned", &warning);
                }
                Ok(None)
            }
            Err(problem) if self.may_do_without_init(&problem) => Ok(Some(Launched::NoInit)),
            // A missing image or a name that is taken is not the job's doing.
            Err(Problem::Refused(status, message))
                if (400..500).contains(&status) && ![404, 409].contains(&status) =>
            {
                Ok(Some(Launched::Failed(Outcome::failed(format!(
                    "the engine makes no such container: {message}"
                )))))
            }
            Err(problem) => Err(problem),
        }
    }

    fn may_do_without_init(&self, problem: &Problem) -> bool {
        self.spec.init.is_none() && problem.is_without_init()
    }

    /// Starts a container that was made.
    async fn launch(&self, docker: &Docker, name: &str) -> Result<Launched, Problem> {
        // Before the start, so that nothing of the input comes late and nothing of the output is missed.
        let streams = self.attach(docker, name).await?;
        self.save(name, "")?;
        self.asked.store(true, Ordering::Relaxed);
        match call(docker.start_container(name, None)).await {
            Ok(()) => {}
            Err(problem) if self.may_do_without_init(&problem) => return Ok(Launched::NoInit),
            Err(Problem::Refused(400..=499, why)) => return self.not_started(docker, name, &why).await,
            // Podman calls it its own error, in these words.
            Err(Problem::Refused(_, why)) if why.contains("command that was not found") => {
                let failed = Outcome::failed(format!("{NOT_STARTED}: {why}"));
                return Ok(Launched::Failed(failed.with_exit_code(127)));
            }
            Err(problem) => return Err(problem),
        }
        self.numbers.add_started();
        self.run.event("started", name);
        Ok(Launched::Running(streams))
    }

    /// The outcome of a container that was launched.
    async fn finish(
        &self,
        docker: &Docker,
        name: &str,
        launched: Launched,
        stop: &mut StopSignal,
    ) -> Result<Outcome, Problem> {
        match launched {
            Launched::Running(streams) => self.follow(docker, name, streams, false, stop).await,
            Launched::Failed(outcome) => Ok(outcome),
            Launched::NoInit => Err(Problem::Other("the container engine has no init".to_owned())),
        }
    }

    /// The engine refused to start the container: a command that is not there, a network that does not exist.
    async fn not_started(&self, docker: &Docker, name: &str, why: &str) -> Result<Launched, Problem> {
        let failed = Outcome::failed(format!("{NOT_STARTED}: {why}"));
        let code = follow::state(docker, name).await?.exit_code.unwrap_or(0);
        Ok(Launched::Failed(match i32::try_from(code) {
            Ok(code @ (126 | 127)) => failed.with_exit_code(code),
            _ => failed,
        }))
    }

    async fn attach(&self, docker: &Docker, name: &str) -> Result<Streams, Problem> {
        let options = AttachContainerOptionsBuilder::new()
            .stream(true)
            .stdin(self.spec.stdin.is_some())
            .stdout(true)
            .stderr(true)
            .build();
        let attached = call(docker.attach_container(name, Some(options))).await?;
        Ok(Streams {
            output: Some(attached.output),
            input: self.spec.stdin.clone().map(|text| (attached.input, text)),
        })
    }

    /// Hands over standard input, and notes that it was. Does not return: the end of the input is not that of the run.
    async fn feed(&self, name: &str, input: Option<(Input, String)>) -> Infallible {
        if let Some((mut input, text)) = input {
            // A container need not read all of it.
            let _ = input.write_all(text.as_bytes()).await;
            let _ = input.shutdown().await;
            self.told.fed.store(true, Ordering::Relaxed);
            self.tell(name);
        }
        std::future::pending().await
    }

    async fn follow(
        &self,
        docker: &Docker,
        name: &str,
        streams: Streams,
        engine_was_lost: bool,
        stop: &mut StopSignal,
    ) -> Result<Outcome, Problem> {
        let _running = self.numbers.running();
        let note = |lost| {
            self.told.lost.store(lost, Ordering::Relaxed);
            self.tell(name);
        };
        let follower = Follower {
            docker,
            container: name,
            run: &self.run,
            engine_was_lost,
            misses_nothing: self.spec.stdin.is_none(),
            note: &note,
        };
        let ended = tokio::select! {
            ended = follower.follow(streams.output) => ended?,
            problem = stopping::obey(docker, name, stop) => return Err(problem),
            never = self.feed(name, streams.input) => match never {},
        };
        Ok(ended.outcome(self.spec.memory()))
    }

    /// `engine_was_lost`: this process lost the engine itself.
    async fn try_take_over(
        &self,
        handle: &str,
        engine_was_lost: bool,
        mut stop: StopSignal,
    ) -> Result<Outcome, Problem> {
        let name = self.identity.name();
        self.containers.add(self.run.id(), &name);
        let mut kill = stop.clone();
        let (docker, was_away) = tokio::select! {
            reached = self.reach() => reached?,
            () = kill.killed() => return Ok(Outcome::failed("killed while the container engine was away")),
        };
        let state = match follow::state(&docker, &name).await {
            Err(problem) if problem.is_missing() && handle.ends_with(NEW) => {
                match self.make(&docker, &name).await {
                    // What the other process had asked for was on its way.
                    Err(Problem::Refused(409, _)) => follow::state(&docker, &name).await?,
                    launched => return self.finish(&docker, &name, launched?, &mut stop).await,
                }
            }
            Err(problem) if problem.is_missing() => return Err(follow::gone(&name)),
            state => state?,
        };
        if state.status == Some(Status::CREATED) && !handle.ends_with(NEW) {
            // An engine that is killed forgets what it had just started. To start it again could be to run it twice.
            removal::remove(&docker, &name).await?;
            return Err(Problem::Other(
                "the container may or may not have started, so it was removed".to_owned(),
            ));
        }
        if state.status == Some(Status::CREATED) {
            let launched = self.launch(&docker, &name).await?;
            let launched = self.or_without_init(&docker, &name, launched).await?;
            return self.finish(&docker, &name, launched, &mut stop).await;
        }
        if self.spec.stdin.is_some() && !handle.contains(FED) {
            // It may have taken the middle of its input for the end.
            removal::remove(&docker, &name).await?;
            return Err(Problem::Other(
                "the worker process died before the container had all of its standard input".to_owned(),
            ));
        }
        let engine_was_lost = engine_was_lost || was_away || handle.contains(LOST);
        self.told.fed.store(handle.contains(FED), Ordering::Relaxed);
        self.told.lost.store(engine_was_lost, Ordering::Relaxed);
        self.tell(&name);
        self.follow(&docker, &name, Streams::default(), engine_was_lost, &mut stop)
            .await
    }

    /// A client of an engine that may be away for a moment, and whether it was.
    async fn reach(&self) -> Result<(Docker, bool), Problem> {
        let mut patience = Patience::new(REACH);
        let mut was_away = false;
        loop {
            match self.engine.connect().await {
                Err(Problem::Away(cause)) => {
                    was_away = true;
                    if !patience.wait().await {
                        return Err(Problem::Away(cause));
                    }
                }
                answer => return answer.map(|docker| (docker, was_away)),
            }
        }
    }
}
