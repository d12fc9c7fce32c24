//! What the unit tests of a node's parts have in common. No process is started here.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::mpsc::Sender;
use std::time::Duration;

use queuectl_core::{NodeId, Settings};
use queuectl_storage::Claimed;
use queuectl_testkit::TempStore;

use super::context::Context;
use super::events::Events;
use super::inputs::Input;
use super::shutdown::Phase;
use super::workforce::machine::{Machine, WorkerProcess};
use crate::protocol::{self, ToWorker};

/// The claim of a job.
pub fn claimed(id: i64) -> Claimed {
    Claimed {
        id,
        name: None,
        queue: "q".into(),
        priority: 0,
        attempt: 1,
        fence: 1,
        system_failures: 0,
        max_retries: None,
        backoff_base: None,
        timeout_ms: None,
        limits: None,
        executor: "shell".into(),
        unique_key: None,
        unique_ms: None,
        payload: "{}".into(),
        sum: None,
        parents: None,
        groups: None,
    }
}

/// A working node's context at an empty store.
pub fn context() -> (TempStore, Context) {
    let mut temp = TempStore::sqlite();
    let context = Context {
        node: NodeId(1),
        settings: Settings::default(),
        clock: temp.store.clock().unwrap(),
        outputs: temp.store.outputs().unwrap(),
        phase: Phase::Working,
        events: Events::to(Vec::new()),
    };
    (temp, context)
}

/// What was done with the processes of a [`FakeMachine`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    Started(usize),
    /// A message to a worker, as its name and what it is about.
    Sent(usize, String),
    Killed(usize),
    Closed(usize),
    KilledMarked(String),
}

/// A machine on which nothing runs. It notes what it is asked to do.
#[derive(Default)]
pub struct FakeMachine {
    done: Rc<RefCell<Vec<Done>>>,
}

struct FakeProcess {
    worker: usize,
    done: Rc<RefCell<Vec<Done>>>,
    inputs: Sender<Input>,
}

impl FakeMachine {
    /// What was done since this was asked last, without greetings.
    pub fn done(&self) -> Vec<Done> {
        std::mem::take(&mut self.done.borrow_mut())
    }
}

impl Machine for FakeMachine {
    fn start(&self, index: usize, _: &str, inputs: Sender<Input>) -> io::Result<Box<dyn WorkerProcess>> {
        self.done.borrow_mut().push(Done::Started(index));
        Ok(Box::new(FakeProcess {
            worker: index,
            done: Rc::clone(&self.done),
            inputs,
        }))
    }

    fn kill_marked(&self, prefix: &str) -> usize {
        self.done.borrow_mut().push(Done::KilledMarked(prefix.to_owned()));
        0
    }

    fn kill_adopted(&self, _: &[u32], _: &str) -> usize {
        0
    }
}

impl WorkerProcess for FakeProcess {
    fn pid(&self) -> u32 {
        self.worker as u32 + 1
    }

    fn send(&self, frames: Vec<u8>) {
        let mut from = frames.as_slice();
        while let Ok(Some(message)) = protocol::read::<ToWorker>(&mut from) {
            let text = match message {
                ToWorker::Start(run) => format!("start {}", run.key.job),
                ToWorker::Adopt(run, _) => format!("adopt {}", run.key.job),
                ToWorker::Stop(key, _) => format!("stop {}", key.job),
                ToWorker::Kill(key, _) => format!("kill {}", key.job),
                ToWorker::Signal(key, signal) => format!("signal {} {signal}", key.job),
                ToWorker::Suspend(key) => format!("suspend {}", key.job),
                ToWorker::Resume(key) => format!("resume {}", key.job),
                ToWorker::Recall(keys) => format!("recall {} jobs", keys.len()),
                ToWorker::Recorded(keys) => format!("recorded {} jobs", keys.len()),
                ToWorker::Discard(..) => "discard".to_owned(),
                ToWorker::Ping => "ping".to_owned(),
                // How it is greeted.
                _ => continue,
            };
            self.done.borrow_mut().push(Done::Sent(self.worker, text));
        }
    }

    fn set_pause(&self, _: Duration) {}

    fn close(&mut self) {
        self.done.borrow_mut().push(Done::Closed(self.worker));
        let status = Err(io::Error::other("closed"));
        let _ = self.inputs.send(Input::WorkerGone {
            worker: self.worker,
            status,
            call: None,
        });
    }

    fn kill(&self) {
        self.done.borrow_mut().push(Done::Killed(self.worker));
    }

    fn kill_rest(&self) {}

    fn let_go(&self) {}
}
