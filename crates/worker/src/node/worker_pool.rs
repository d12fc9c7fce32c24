//! The worker processes of a node: starting them, talking to them, replacing those that die.
//!
//! Which job goes where is the dispatcher's business; here a worker is a process and two streams.

use std::ffi::OsString;
use std::io::{self, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use queuectl_core::ExecutorName;
use queuectl_core::settings::Leftovers;
use queuectl_executor::{PluginSettings, descriptors, inherit};

use super::events::Event;
use super::worker_log;
use crate::env::{self, Instant, Tree};
use crate::os;
use crate::process::COOKIE;
use crate::protocol::{self, ToWorker};

/// A worker process that lived this long starts again without delay.
const HEALTHY: Duration = Duration::from_secs(10);
/// The first and the longest wait before a worker process that died at once is started again.
const RESTART_FIRST: Duration = Duration::from_millis(50);
const RESTART_MOST: Duration = Duration::from_secs(5);
/// Most messages of a worker that are passed on at once.
const MESSAGES: usize = 1024;

/// How worker processes are started.
pub struct Launch {
    /// The arguments with which this binary becomes one.
    pub args: Vec<OsString>,
    /// What they must not learn from their environment.
    pub hidden: Vec<(&'static str, Option<OsString>)>,
    /// The file that they lock while they live.
    pub lock: Option<PathBuf>,
    /// Takes what they write to standard error.
    pub pass_on: fn(&[u8]),
}

pub struct WorkerPool {
    launch: Launch,
    cookie: String,
    events: Sender<Event>,
    workers: Vec<Worker>,
    started: u64,
    /// Some job was allowed to leave processes behind.
    left_some: bool,
    greeting: Greeting,
}

/// What every worker process is told before anything else, and again when it changes.
struct Greeting {
    slots: u32,
    settings: PluginSettings,
    alive: Vec<String>,
    /// The file that tells until when the node's lease is held.
    lease: Option<PathBuf>,
    /// The file that each locks while it lives.
    lock: Option<PathBuf>,
}

impl Greeting {
    fn messages(&self) -> Vec<ToWorker> {
        let mut messages = vec![
            ToWorker::Slots(self.slots),
            ToWorker::OpenFiles(descriptors::of_jobs().unwrap_or_default()),
            ToWorker::Settings(self.settings.clone()),
            ToWorker::Alive(self.alive.clone()),
        ];
        let lock = self.lock.as_ref();
        messages.extend(lock.map(|file| ToWorker::LockFile(file.clone().into())));
        let lease = self.lease.as_ref();
        messages.extend(lease.map(|file| ToWorker::LeaseFile(file.clone().into())));
        messages
    }
}

struct Worker {
    process: Option<Process>,
    started_at: Instant,
    restart_wait: Duration,
    restart_at: Option<Instant>,
}

struct Process {
    pid: u32,
    tree: Arc<Tree>,
    cookie: String,
    frames: Sender<Vec<u8>>,
    pause: Arc<Pause>,
    /// Frames that go out together at the next flush.
    unsent: Vec<u8>,
}

/// How long a worker that has enough to do is not listened to between two looks. What it tells meanwhile waits in its
/// pipe, and a pipe that is read now and then costs far fewer changes between processes than one that is read at each
/// word. In microseconds; 0: it is listened to.
#[derive(Default)]
struct Pause(AtomicU64);

impl Pause {
    fn set(&self, pause: Duration) {
        let us = u64::try_from(pause.as_micros()).unwrap_or(u64::MAX);
        self.0.store(us, Ordering::Relaxed);
    }

    fn take(&self) {
        let us = self.0.load(Ordering::Relaxed);
        if us > 0 {
            thread::sleep(Duration::from_micros(us));
        }
    }
}

impl WorkerPool {
    /// Starts `count` worker processes. `cookie` is the node's mark.
    pub fn start(
        count: u32,
        launch: Launch,
        cookie: String,
        slots: u32,
        settings: PluginSettings,
        events: Sender<Event>,
    ) -> io::Result<WorkerPool> {
        let greeting = Greeting {
            slots,
            settings,
            alive: vec![cookie.clone()],
            lease: None,
            lock: launch.lock.clone(),
        };
        let mut worker_pool = WorkerPool {
            launch,
            cookie,
            events,
            workers: Vec::new(),
            started: 0,
            left_some: false,
            greeting,
        };
        for index in 0..count as usize {
            let process = Some(worker_pool.spawn(index)?);
            worker_pool.workers.push(Worker {
                process,
                started_at: Instant::now(),
                restart_wait: RESTART_FIRST,
                restart_at: None,
            });
        }
        Ok(worker_pool)
    }

    /// The workers that have a process, counted from 0.
    pub fn present(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.workers.len()).filter(|index| self.workers[*index].process.is_some())
    }

    /// Kills a worker process, with all in its group. That it is gone comes as an event.
    pub fn kill(&self, worker: usize) {
        if let Some(process) = self.workers.get(worker).and_then(|w| w.process.as_ref()) {
            process.tree.kill();
        }
    }

    /// How long a worker may go on unheard, for it has enough to do.
    pub fn set_pause(&self, worker: usize, pause: Duration) {
        if let Some(process) = self.workers.get(worker).and_then(|w| w.process.as_ref()) {
            process.pause.set(pause);
        }
    }

    /// Sends a message, with the next [`WorkerPool::flush`]. A worker that is gone is reported by its own event, so a failure
    /// here needs no answer.
    pub fn send(&mut self, worker: usize, message: &ToWorker) {
        if let ToWorker::Start(run) | ToWorker::Adopt(run, _) = message {
            self.left_some |= run.leftovers == Leftovers::Leave;
        }
        let Some(process) = self
            .workers
            .get_mut(worker)
            .and_then(|worker| worker.process.as_mut())
        else {
            return;
        };
        let sent = process.unsent.len();
        if let Err(error) = protocol::encode(message, &mut process.unsent) {
            process.unsent.truncate(sent);
            tracing::error!(worker = worker + 1, %error, "cannot send to the worker");
        }
    }

    /// Lets go what was sent, to each worker at once.
    pub fn flush(&mut self) {
        for process in self
            .workers
            .iter_mut()
            .filter_map(|worker| worker.process.as_mut())
        {
            if !process.unsent.is_empty() {
                let _ = process.frames.send(std::mem::take(&mut process.unsent));
            }
        }
    }

    /// From now on executors are told these settings.
    pub fn set_settings(&mut self, settings: PluginSettings) {
        if settings != self.greeting.settings {
            self.greeting.settings = settings.clone();
            self.send_all(&ToWorker::Settings(settings));
        }
    }

    /// These are the marks of the nodes that live.
    pub fn set_alive(&mut self, alive: Vec<String>) {
        if alive != self.greeting.alive {
            self.greeting.alive.clone_from(&alive);
            self.send_all(&ToWorker::Alive(alive));
        }
    }

    /// That file tells until when jobs may run.
    pub fn set_lease_file(&mut self, file: PathBuf) {
        self.send_all(&ToWorker::LeaseFile(file.clone().into()));
        self.greeting.lease = Some(file);
    }

    /// Has a worker see to what dead nodes left behind that had jobs of these executors.
    pub fn reap(&mut self, executors: Vec<ExecutorName>) {
        let first = self.present().next();
        if let Some(worker) = first.filter(|_| !executors.is_empty()) {
            self.send(worker, &ToWorker::Reap(executors));
        }
    }

    fn send_all(&mut self, message: &ToWorker) {
        for worker in self.present().collect::<Vec<_>>() {
            self.send(worker, message);
        }
    }

    /// When a worker's process was started last.
    pub fn started_at(&self, worker: usize) -> Instant {
        self.workers[worker].started_at
    }

    /// Takes note that a worker's process ended, kills what it left behind, and plans its replacement.
    pub fn gone(&mut self, worker: usize) {
        let Some(process) = self.workers[worker].process.take() else {
            return;
        };
        process.tree.kill_rest();
        // What the worker started is now a child of this process, or still carries its mark.
        let known: Vec<u32> = self
            .workers
            .iter()
            .flat_map(|w| w.process.as_ref().map(|p| p.pid))
            .collect();
        let killed = env::kill_adopted(&known, &self.cookie) + env::kill_marked(&process.cookie);
        if killed > 0 {
            tracing::info!(
                worker = worker + 1,
                processes = killed,
                "killed what the worker left behind"
            );
        }
        let gone = &mut self.workers[worker];
        if gone.started_at.elapsed() > HEALTHY {
            gone.restart_wait = RESTART_FIRST;
        }
        gone.restart_at = Some(Instant::now() + gone.restart_wait);
        gone.restart_wait = (gone.restart_wait * 2).min(RESTART_MOST);
    }

    /// Starts the processes whose time has come. Returns whether any was started.
    pub fn replace(&mut self) -> bool {
        let now = Instant::now();
        let due: Vec<usize> = (0..self.workers.len())
            .filter(|index| self.workers[*index].restart_at.is_some_and(|at| at <= now))
            .collect();
        for index in &due {
            let spawned = self.spawn(*index);
            let worker = &mut self.workers[*index];
            match spawned {
                Ok(process) => {
                    tracing::info!(
                        worker = index + 1,
                        pid = process.pid,
                        "worker process started again"
                    );
                    worker.process = Some(process);
                    worker.started_at = now;
                    worker.restart_at = None;
                }
                Err(error) => {
                    tracing::error!(worker = index + 1, %error, "cannot start a worker process");
                    worker.restart_at = Some(now + worker.restart_wait);
                    worker.restart_wait = (worker.restart_wait * 2).min(RESTART_MOST);
                }
            }
        }
        !due.is_empty()
    }

    /// When the next process is to be started.
    pub fn next_restart(&self) -> Option<Instant> {
        self.workers.iter().filter_map(|worker| worker.restart_at).min()
    }

    /// Ends all worker processes by ending their input. Their jobs, if any, get their grace. Returns when the
    /// processes are gone; those that hang are killed at the deadline.
    pub fn dismiss(&mut self, inbox: &Receiver<Event>, deadline: Instant) {
        self.flush();
        let mut left = Vec::new();
        for worker in &mut self.workers {
            worker.restart_at = None;
            // Dropping the sender ends the writer thread, which closes the stream.
            left.push(worker.process.take().map(|process| process.tree));
        }
        let trees: Vec<Arc<Tree>> = left.iter().flatten().cloned().collect();
        #[cfg(feature = "sim")]
        crate::sim::leave(&self.cookie, &mut left);
        while left.iter().any(Option::is_some) {
            match inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Event::WorkerGone { worker, .. }) => left[worker] = None,
                Ok(_) => {}
                Err(_) => {
                    left.iter().flatten().for_each(|tree| tree.kill());
                    env::kill_adopted(&[], &self.cookie);
                    return;
                }
            }
        }
        // Workers that leave by themselves have seen to their jobs; what is left then may be meant to stay.
        if self.left_some {
            trees.iter().for_each(|tree| tree.let_go());
        } else {
            env::kill_adopted(&[], &self.cookie);
        }
    }

    fn spawn(&mut self, index: usize) -> io::Result<Process> {
        self.started += 1;
        // The trailing dot keeps the mark of worker 1 from being a prefix of that of worker 10.
        let cookie = format!("{}.{}.", self.cookie, self.started);
        let (frames, outbox) = mpsc::channel();
        let (events, pause) = (self.events.clone(), Arc::<Pause>::default());
        #[cfg(feature = "sim")]
        let (pid, tree) = crate::sim::start(index, &cookie, outbox, events);
        #[cfg(not(feature = "sim"))]
        let (pid, tree) = self.launch(index, &cookie, outbox, events, Arc::clone(&pause))?;
        for message in self.greeting.messages() {
            let mut frame = Vec::new();
            protocol::encode(&message, &mut frame)?;
            let _ = frames.send(frame);
        }
        Ok(Process {
            pid,
            tree,
            cookie,
            frames,
            pause,
            unsent: Vec::new(),
        })
    }

    /// Starts the process itself, and the threads at its streams. Returns its number, and it with its group.
    #[cfg(not(feature = "sim"))]
    fn launch(
        &self,
        index: usize,
        cookie: &str,
        outbox: Receiver<Vec<u8>>,
        events: Sender<Event>,
        pause: Arc<Pause>,
    ) -> io::Result<(u32, Arc<Tree>)> {
        let mut command = os::own_program()?;
        command
            .args(&self.launch.args)
            .env(COOKIE, cookie)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        for (name, value) in &self.launch.hidden {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        inherit::isolate(&mut command);
        let mut child = command.spawn()?;
        let pid = child.id();
        let tree = Arc::new(Tree::of(&child).inspect_err(|_| {
            let _ = child.kill();
        })?);
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            return Err(io::Error::other("the worker process has no streams"));
        };
        let write = move || write_frames(stdin, &outbox);
        thread::Builder::new()
            .name(format!("to worker {}", index + 1))
            .spawn(write)?;
        let from = BufReader::with_capacity(64 * 1024, stdout);
        let hold = Arc::clone(&tree);
        let log = worker_log::pass_on(index, stderr, self.launch.pass_on)?;
        let mut child = child;
        let read = move || {
            let status = read_frames(index, &mut child, &hold, from, &pause, &events);
            // Its last lines come before what the node says about its end.
            log.wait();
            let _ = events.send(Event::WorkerGone {
                worker: index,
                status,
            });
        };
        thread::Builder::new()
            .name(format!("from worker {}", index + 1))
            .spawn(read)?;
        Ok((pid, tree))
    }
}

/// Frames that pile up while one is written go out together.
fn write_frames(mut to: ChildStdin, outbox: &Receiver<Vec<u8>>) {
    while let Ok(mut bytes) = outbox.recv() {
        while bytes.len() < 64 * 1024
            && let Ok(more) = outbox.try_recv()
        {
            bytes.extend_from_slice(&more);
        }
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
}

/// Passes on what a worker tells, until its end. Returns how it ended.
fn read_frames(
    worker: usize,
    child: &mut Child,
    tree: &Tree,
    mut from: BufReader<ChildStdout>,
    pause: &Pause,
    events: &Sender<Event>,
) -> io::Result<ExitStatus> {
    let mut end = None;
    while end.is_none() {
        if from.buffer().is_empty() {
            pause.take();
        }
        let mut messages = Vec::new();
        loop {
            match protocol::read(&mut from) {
                Ok(Some(message)) => messages.push(message),
                Ok(None) => end = Some(Ok(())),
                Err(error) => end = Some(Err(error)),
            }
            if end.is_some() || messages.len() >= MESSAGES || !protocol::is_there(from.buffer()) {
                break;
            }
        }
        if !messages.is_empty() {
            // Without a dispatcher nobody wants to know, and the process ends by itself.
            let _ = events.send(Event::Told { worker, messages });
        }
    }
    if let Some(Err(error)) = end {
        tracing::error!(worker = worker + 1, %error, "the worker process talks nonsense; killing it");
        tree.kill();
        let _ = child.kill();
    }
    child.wait()
}
