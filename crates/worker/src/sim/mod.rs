//! The simulator's machine: worker processes that are entries of a table, and sweeps over that table. Only in builds
//! with the feature `sim`, and for each thread on its own.
//!
//! A simulated worker process takes its jobs from the same frames, and keeps the same books of them, as a real one; what
//! is missing is the executor. When a job ends, and how, is for the simulator to say. Of everything that starts or ends
//! to run there is a log, as jobs would write it themselves.
//!
//! [`SimNode`] is the real dispatcher on this machine. `env` and `failpoints` stand in the place of the crate's own, which
//! `lib.rs` chooses: nothing else in the crate knows of the simulator.

pub(crate) mod env;
pub(crate) mod failpoints;
mod machine;
mod node;

use std::cell::RefCell;
use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};
use std::time::Duration;

use queuectl_core::{Advice, Clock, Outcome, OutcomeKind, Output, Timestamp};
use queuectl_executor::{Finished, Run, RunKey, StopReason};
use queuectl_storage::sim;

use self::env::Instant;
pub use self::node::SimNode;
pub use crate::node::events::{NodeEvent, Subscriber};
use crate::node::inputs::Input;
use crate::process::{Jobs, Stop, Stopping};
use crate::protocol::{self, FromWorker, ToWorker};

/// What the log of executions says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Execution {
    /// The attempt.
    pub key: RunKey,
    /// Its number.
    pub attempt: u32,
    /// Where.
    pub machine: u32,
    /// Whether it began; else it is over.
    pub began: bool,
}

/// How a job ends that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It did what it should.
    Succeeded,
    /// It failed.
    Failed,
    /// It failed, and would again.
    FailedForGood,
    /// It failed with that exit status.
    Exited(i32),
    /// It failed because what it needs is busy for that many ms, as its executor says.
    SaysBusy(u16),
    /// It took too long.
    TimedOut,
    /// The executor could not run it.
    NotRun,
    /// By being stopped, if it was told to; else it succeeds.
    Stopped,
}

/// A worker process, as the simulator sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct View {
    /// Its number.
    pub pid: u32,
    /// Its machine.
    pub machine: u32,
    /// Jobs that run there, or that it left running when it died.
    pub runs: usize,
    /// Whether it died.
    pub dead: bool,
}

struct Process {
    pid: u32,
    worker: usize,
    mark: String,
    machine: u32,
    frames: Receiver<Vec<u8>>,
    inputs: Sender<Input>,
    jobs: Jobs,
    running: Vec<Running>,
    dead: bool,
    /// When it leaves that has lost its dispatcher.
    leaves_at: Option<Instant>,
}

/// How long the jobs of a process that leaves may take.
const GRACE: Duration = Duration::from_secs(5);

struct Running {
    run: Run,
    started_at: Timestamp,
    stop: Option<StopReason>,
}

#[derive(Default)]
struct Table {
    last_pid: u32,
    machine: u32,
    processes: Vec<Process>,
    log: Vec<Execution>,
    /// Until when the worker processes of a node may run jobs, by its mark.
    deadlines: Vec<(String, Instant)>,
}

thread_local! {
    static TABLE: RefCell<Table> = RefCell::default();
}

fn with<T>(body: impl FnOnce(&mut Table) -> T) -> T {
    TABLE.with_borrow_mut(body)
}

/// Forgets everything.
pub fn reset() {
    with(|table| *table = Table::default());
}

/// The lease of the node with that mark lasts until then, less what its worker processes leave of it.
pub(crate) fn set_deadline(mark: &str, at: Instant) {
    with(|table| {
        table.deadlines.retain(|(whose, _)| whose != mark);
        table.deadlines.push((mark.to_owned(), at));
    });
}

/// The worker processes of a machine whose node's lease is over kill what they run, and end.
pub fn mind_leases(machine: u32) {
    with(|table| {
        for place in 0..table.processes.len() {
            let process = &table.processes[place];
            let minds = process.machine == machine && !process.dead && !process.running.is_empty();
            if minds && table.is_over(place) {
                table.clear(place);
                table.processes[place].die();
            }
        }
        table.bury();
    });
}

/// Whatever runs from now on runs on that machine.
pub fn set_machine(machine: u32) {
    with(|table| table.machine = machine);
}

/// The worker processes there are, and the dead that left something running.
pub fn processes() -> Vec<View> {
    let view = |process: &Process| View {
        pid: process.pid,
        machine: process.machine,
        runs: process.running.len(),
        dead: process.dead,
    };
    with(|table| table.processes.iter().map(view).collect())
}

/// What began and ended to run since this was asked last.
pub fn executions() -> Vec<Execution> {
    with(|table| std::mem::take(&mut table.log))
}

/// A worker process reads all that it was sent. Without its dispatcher it leaves, when its jobs have had their grace.
pub fn read(pid: u32) {
    with(|table| {
        let Some(place) = table.place(pid) else {
            return;
        };
        loop {
            match table.processes[place].frames.try_recv() {
                Ok(bytes) => table.take_frames(place, &bytes),
                Err(TryRecvError::Empty) => return,
                Err(TryRecvError::Disconnected) => {
                    let process = &mut table.processes[place];
                    process.jobs.close();
                    let leaves_at = *process.leaves_at.get_or_insert(Instant::now() + GRACE);
                    if process.running.is_empty() || leaves_at <= Instant::now() {
                        table.clear(place);
                        table.processes.remove(place);
                    }
                    return;
                }
            }
        }
    });
}

/// The `nth` job of a process ends. If the process died, its end is not reported.
pub fn finish(pid: u32, nth: usize, end: End) {
    with(|table| {
        let Some(place) = table.processes.iter().position(|process| process.pid == pid) else {
            return;
        };
        let process = &mut table.processes[place];
        if process.running.is_empty() {
            return;
        }
        let nth = nth % process.running.len();
        let running = process.running.remove(nth);
        let (key, dead) = (running.run.key, process.dead);
        table.note(place, &running.run, false);
        if dead {
            table.bury();
            return;
        }
        let process = &mut table.processes[place];
        process.tell(FromWorker::Finished(report(running, end)));
        if let Some(next) = process.jobs.ended(key) {
            table.begin(place, next);
        }
    });
}

/// A worker process is killed. What it had started runs on until somebody kills it.
pub fn die(pid: u32) {
    with(|table| {
        if let Some(place) = table.place(pid) {
            table.processes[place].die();
            table.bury();
        }
    });
}

fn report(running: Running, end: End) -> Finished {
    let kind = match (end, running.stop) {
        (End::Succeeded, _) | (End::Stopped, None) => OutcomeKind::Succeeded,
        (End::Failed | End::FailedForGood | End::Exited(_) | End::SaysBusy(_), _) => OutcomeKind::Failed,
        (End::TimedOut, _) => OutcomeKind::TimedOut,
        (End::NotRun, _) => OutcomeKind::SystemFailure,
        (End::Stopped, Some(StopReason::Cancelled)) => OutcomeKind::Cancelled,
        (End::Stopped, Some(StopReason::Returned)) => OutcomeKind::Returned,
    };
    let exit_code = match end {
        End::Exited(status) => Some(status),
        _ => None,
    };
    let busy = match end {
        End::SaysBusy(ms) => Some(Duration::from_millis(ms.into())),
        _ => None,
    };
    Finished {
        key: running.run.key,
        outcome: Outcome {
            exit_code,
            ..Outcome::new(kind, "")
        },
        output: Output::default(),
        started_at: running.started_at,
        finished_at: sim::SystemClock.now(),
        advice: Advice {
            wait: busy,
            is_final: end == End::FailedForGood,
            is_busy: busy.is_some(),
        },
        confirm: false,
        shortage: false,
    }
}

impl Process {
    fn tell(&self, message: FromWorker) {
        let told = Input::Told {
            worker: self.worker,
            messages: vec![message],
        };
        let _ = self.inputs.send(told);
    }

    fn die(&mut self) {
        self.dead = true;
        let _ = self.inputs.send(Input::WorkerGone {
            worker: self.worker,
            status: Err(io::Error::other("killed")),
            call: None,
        });
    }

    /// Gives a job back if it had not started.
    fn take_back(&self, key: RunKey) {
        if self.jobs.take_waiting(key) {
            self.tell(FromWorker::NotStarted(key));
        }
    }
}

impl Table {
    /// Where a living process is.
    fn place(&self, pid: u32) -> Option<usize> {
        let is_it = |process: &Process| process.pid == pid && !process.dead;
        self.processes.iter().position(is_it)
    }

    fn note(&mut self, place: usize, run: &Run, began: bool) {
        self.log.push(Execution {
            key: run.key,
            attempt: run.attempt,
            machine: self.processes[place].machine,
            began,
        });
    }

    /// Whether the lease of a process's node is over.
    fn is_over(&self, place: usize) -> bool {
        let own = &self.processes[place].mark;
        let mut deadlines = self.deadlines.iter();
        deadlines.any(|(node, at)| own.starts_with(node) && *at <= Instant::now())
    }

    /// As a real one does: none begins when the lease is over.
    fn begin(&mut self, place: usize, run: Run) {
        let mut next = Some(run);
        while let Some(run) = next {
            if !self.is_over(place) {
                return self.begin_now(place, run);
            }
            let process = &self.processes[place];
            process.tell(FromWorker::NotStarted(run.key));
            next = process.jobs.ended(run.key);
        }
    }

    fn begin_now(&mut self, place: usize, run: Run) {
        self.note(place, &run, true);
        self.processes[place].jobs.begun(run.key);
        self.processes[place].running.push(Running {
            run,
            started_at: sim::SystemClock.now(),
            stop: None,
        });
    }

    /// Everything that runs there is over.
    fn clear(&mut self, place: usize) {
        for running in std::mem::take(&mut self.processes[place].running) {
            self.note(place, &running.run, false);
        }
    }

    /// Forgets the dead of whom nothing is left.
    fn bury(&mut self) {
        self.processes
            .retain(|process| !(process.dead && process.running.is_empty()));
    }

    fn take_frames(&mut self, place: usize, mut bytes: &[u8]) {
        while let Ok(Some(message)) = protocol::read::<ToWorker>(&mut bytes) {
            let process = &mut self.processes[place];
            match message {
                ToWorker::Slots(slots) => process.jobs.set_slots(slots),
                ToWorker::Start(run) => {
                    if let Some(run) = process.jobs.add(run) {
                        self.begin(place, run);
                    }
                }
                ToWorker::Recall(keys) => keys.into_iter().for_each(|key| process.take_back(key)),
                ToWorker::Stop(key, reason) | ToWorker::Kill(key, reason) => {
                    let stop = Stop { reason, kill: false };
                    match process.jobs.stop(key, stop) {
                        Stopping::TakenBack => process.tell(FromWorker::NotStarted(key)),
                        // A simulated process has one thread.
                        Stopping::Follows => {}
                        Stopping::AtHost => {
                            let running = process.running.iter_mut().find(|one| one.run.key == key);
                            if let Some(running) = running {
                                // Cancelling wins over giving back.
                                if running.stop != Some(StopReason::Cancelled) {
                                    running.stop = Some(reason);
                                }
                            }
                        }
                    }
                }
                ToWorker::Ping => process.tell(FromWorker::Pong),
                // For executors, of which there are none.
                ToWorker::Adopt(..)
                | ToWorker::Signal(..)
                | ToWorker::Suspend(_)
                | ToWorker::Resume(_)
                | ToWorker::Settings(_)
                | ToWorker::Recorded(_)
                | ToWorker::Discard(..)
                | ToWorker::Alive(_)
                | ToWorker::Reap(_)
                | ToWorker::LeaseFile(_)
                | ToWorker::LockFile(_)
                | ToWorker::OpenFiles(_) => {}
            }
        }
    }
}
