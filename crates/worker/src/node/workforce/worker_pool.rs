//! The worker processes of a node: starting them, talking to them, replacing those that die.
//!
//! Which job goes where is the dispatcher's business; here a worker is a process and two streams.

use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::mpsc::{Receiver, Sender};
use std::time::Duration;

use queuectl_core::ExecutorName;
use queuectl_core::settings::Leftovers;
use queuectl_executor::{PluginSettings, descriptors};

use super::machine::{Machine, WorkerProcess};
use crate::env::Instant;
use crate::node::inputs::Input;
use crate::protocol::{self, ToWorker};

/// A worker process that lived this long starts again without delay.
const HEALTHY: Duration = Duration::from_secs(10);
/// The first and the longest wait before a worker process that died at once is started again.
const RESTART_FIRST: Duration = Duration::from_millis(50);
const RESTART_MOST: Duration = Duration::from_secs(5);

/// The worker processes of a node.
pub struct WorkerPool {
    machine: Rc<dyn Machine>,
    /// The node's.
    mark: String,
    inputs: Sender<Input>,
    workers: Vec<Worker>,
    started: u64,
    /// Some job was allowed to leave processes behind.
    left_some: bool,
    greeting: Greeting,
}

/// What every worker process is told before anything else, and again when it changes.
pub struct Greeting {
    /// Jobs that it runs at a time.
    pub slots: u32,
    /// What executors are told of the user's settings.
    pub settings: PluginSettings,
    /// The marks of the nodes that live.
    pub alive: Vec<String>,
    /// The file that tells until when the node's lease is held.
    pub lease: Option<PathBuf>,
    /// The file that each locks while it lives.
    pub lock: Option<PathBuf>,
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
    process: Box<dyn WorkerProcess>,
    mark: String,
    /// Frames that go out together at the next flush.
    unsent: Vec<u8>,
}

impl WorkerPool {
    /// Starts `count` worker processes of the node with that mark.
    ///
    /// # Errors
    /// One of them could not be started.
    pub fn start(
        count: u32,
        machine: Rc<dyn Machine>,
        mark: String,
        greeting: Greeting,
        inputs: Sender<Input>,
    ) -> io::Result<WorkerPool> {
        let mut worker_pool = WorkerPool {
            machine,
            mark,
            inputs,
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
            process.process.kill();
        }
    }

    /// Sets the minimum interval between reads of what a worker says, because it has enough to do.
    pub fn set_pause(&self, worker: usize, pause: Duration) {
        if let Some(process) = self.workers.get(worker).and_then(|w| w.process.as_ref()) {
            process.process.set_pause(pause);
        }
    }

    /// Sends a message, with the next [`WorkerPool::flush`]. It is lost if the worker is gone, which its own input tells.
    ///
    /// # Errors
    /// The message is too large.
    pub fn send(&mut self, worker: usize, message: &ToWorker) -> io::Result<()> {
        if let ToWorker::Start(run) | ToWorker::Adopt(run, _) = message {
            self.left_some |= run.leftovers == Leftovers::Leave;
        }
        let Some(process) = self
            .workers
            .get_mut(worker)
            .and_then(|worker| worker.process.as_mut())
        else {
            return Ok(());
        };
        let sent = process.unsent.len();
        protocol::encode(message, &mut process.unsent).inspect_err(|_| process.unsent.truncate(sent))
    }

    /// Lets go what was sent, to each worker at once.
    pub fn flush(&mut self) {
        for process in self
            .workers
            .iter_mut()
            .filter_map(|worker| worker.process.as_mut())
        {
            if !process.unsent.is_empty() {
                process.process.send(std::mem::take(&mut process.unsent));
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

    /// Has a worker see to what dead nodes left behind that had jobs of these executors.
    pub fn reap(&mut self, executors: Vec<ExecutorName>) {
        let first = self.present().next();
        if let Some(worker) = first.filter(|_| !executors.is_empty()) {
            self.send_small(worker, &ToWorker::Reap(executors));
        }
    }

    fn send_all(&mut self, message: &ToWorker) {
        for worker in self.present().collect::<Vec<_>>() {
            self.send_small(worker, message);
        }
    }

    /// Settings, marks and names have limits of their own, far below that of a frame.
    fn send_small(&mut self, worker: usize, message: &ToWorker) {
        let sent = self.send(worker, message);
        debug_assert!(sent.is_ok(), "{sent:?}");
    }

    /// When a worker's process was started last.
    pub fn started_at(&self, worker: usize) -> Instant {
        self.workers[worker].started_at
    }

    /// Takes note that a worker's process ended, kills what it left behind, and plans its replacement. Returns how many
    /// processes it killed.
    pub fn gone(&mut self, worker: usize) -> usize {
        let Some(process) = self.workers[worker].process.take() else {
            return 0;
        };
        process.process.kill_rest();
        // What the worker started is now a child of this process, or still carries its mark.
        let known: Vec<u32> = self
            .workers
            .iter()
            .flat_map(|w| w.process.as_ref().map(|p| p.process.pid()))
            .collect();
        let killed = self.machine.kill_adopted(&known, &self.mark) + self.machine.kill_marked(&process.mark);
        let gone = &mut self.workers[worker];
        if gone.started_at.elapsed() > HEALTHY {
            gone.restart_wait = RESTART_FIRST;
        }
        gone.restart_at = Some(Instant::now() + gone.restart_wait);
        gone.restart_wait = (gone.restart_wait * 2).min(RESTART_MOST);
        killed
    }

    /// Starts the processes whose time has come. Returns for which workers, and their numbers.
    pub fn replace(&mut self) -> Vec<(usize, io::Result<u32>)> {
        let now = Instant::now();
        let is_due = |worker: &Worker| worker.restart_at.is_some_and(|at| at <= now);
        let due: Vec<usize> = (0..self.workers.len())
            .filter(|index| is_due(&self.workers[*index]))
            .collect();
        let mut replaced = Vec::new();
        for index in due {
            let spawned = self.spawn(index);
            let worker = &mut self.workers[index];
            let started = match spawned {
                Ok(process) => {
                    let pid = process.process.pid();
                    worker.process = Some(process);
                    worker.started_at = now;
                    worker.restart_at = None;
                    Ok(pid)
                }
                Err(error) => {
                    worker.restart_at = Some(now + worker.restart_wait);
                    worker.restart_wait = (worker.restart_wait * 2).min(RESTART_MOST);
                    Err(error)
                }
            };
            replaced.push((index, started));
        }
        replaced
    }

    /// When the next process is to be started.
    pub fn next_restart(&self) -> Option<Instant> {
        self.workers.iter().filter_map(|worker| worker.restart_at).min()
    }

    /// Ends all worker processes by ending their input. Their jobs, if any, get their grace. Returns when the
    /// processes are gone; those that hang are killed at the deadline.
    pub fn dismiss(&mut self, inbox: &Receiver<Input>, deadline: Instant) {
        self.flush();
        let mut left: Vec<Option<Process>> = Vec::new();
        for worker in &mut self.workers {
            worker.restart_at = None;
            left.push(worker.process.take());
        }
        left.iter_mut().flatten().for_each(|left| left.process.close());
        let mut gone: Vec<bool> = left.iter().map(Option::is_none).collect();
        while gone.contains(&false) {
            match inbox.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(Input::WorkerGone { worker, .. }) => gone[worker] = true,
                Ok(_) => {}
                Err(_) => {
                    let hanging = left.iter().zip(&gone);
                    let hanging = hanging.filter(|(_, gone)| !**gone).flat_map(|(left, _)| left);
                    hanging.for_each(|left| left.process.kill());
                    self.machine.kill_adopted(&[], &self.mark);
                    return;
                }
            }
        }
        // Workers that leave by themselves have seen to their jobs; what is left then may be meant to stay.
        if self.left_some {
            left.iter().flatten().for_each(|left| left.process.let_go());
        } else {
            self.machine.kill_adopted(&[], &self.mark);
        }
    }

    fn spawn(&mut self, index: usize) -> io::Result<Process> {
        self.started += 1;
        // The trailing dot keeps the mark of worker 1 from being a prefix of that of worker 10.
        let mark = format!("{}.{}.", self.mark, self.started);
        let process = self.machine.start(index, &mark, self.inputs.clone())?;
        let mut frames = Vec::new();
        for message in self.greeting.messages() {
            protocol::encode(&message, &mut frames)?;
        }
        process.send(frames);
        Ok(Process {
            process,
            mark,
            unsent: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::testing::{Done, FakeMachine};
    use std::sync::mpsc::channel;

    fn pool(count: u32) -> (WorkerPool, Rc<FakeMachine>, Receiver<Input>) {
        let (machine, (inputs, inbox)) = (Rc::new(FakeMachine::default()), channel());
        let greeting = Greeting {
            slots: 1,
            settings: PluginSettings::default(),
            alive: Vec::new(),
            lease: None,
            lock: None,
        };
        let on = Rc::clone(&machine) as Rc<dyn Machine>;
        let pool = WorkerPool::start(count, on, "store.node".to_owned(), greeting, inputs).unwrap();
        machine.done();
        (pool, machine, inbox)
    }

    #[test]
    fn a_worker_that_died_is_replaced_after_a_wait() {
        let (mut pool, machine, _inbox) = pool(2);
        pool.gone(1);
        assert_eq!(machine.done(), [Done::KilledMarked("store.node.2.".to_owned())]);
        assert_eq!(pool.present().collect::<Vec<_>>(), [0]);
        pool.send(1, &ToWorker::Ping).unwrap();
        pool.flush();
        assert!(pool.replace().is_empty(), "not yet");
        pool.workers[1].restart_at = Some(Instant::now());
        assert!(matches!(pool.replace()[..], [(1, Ok(2))]));
        assert_eq!(machine.done(), [Done::Started(1)]);
        assert_eq!(
            pool.workers[1].restart_wait,
            RESTART_FIRST * 2,
            "longer, next time"
        );
        assert_eq!((pool.present().count(), pool.next_restart()), (2, None));
    }

    #[test]
    fn messages_go_out_with_the_next_flush() {
        let (mut pool, machine, _inbox) = pool(2);
        pool.send(1, &ToWorker::Ping).unwrap();
        pool.send(1, &ToWorker::Ping).unwrap();
        assert_eq!(machine.done(), []);
        pool.flush();
        let ping = Done::Sent(1, "ping".to_owned());
        assert_eq!(machine.done(), [ping.clone(), ping]);
    }

    #[test]
    fn workers_that_are_dismissed_leave_and_nothing_of_theirs_is_waited_for_longer() {
        let (mut pool, machine, inbox) = pool(2);
        pool.gone(0);
        machine.done();
        pool.dismiss(&inbox, Instant::now() + Duration::from_secs(60));
        assert_eq!(machine.done(), [Done::Closed(1)]);
        assert_eq!((pool.present().count(), pool.next_restart()), (0, None));
    }
}
