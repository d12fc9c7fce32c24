//! What the supervisor shares with other threads: its inbox, and the runs that are alive.
//!
//! A plugin's output is taken in on the plugin's own thread, so that a plugin that prints fast waits for itself and
//! not for others. Everything else is a message.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use queuectl_core::{Advice, ExecutorName, Outcome, OutputStream};
use queuectl_plugin_api::abi::HANDLE_BYTES;

use crate::capture::Capture;
use crate::process::Waker;
use crate::spawn::SpawnRequest;
use crate::{PluginSettings, Report, Run, RunKey, StopReason};

/// Something for the supervisor to do.
pub(crate) enum Message {
    /// Start a run.
    Start(Box<Run>),
    /// Stop a run, at once if `kill`.
    Stop {
        key: RunKey,
        reason: StopReason,
        kill: bool,
    },
    /// Take over a run by its handle.
    Adopt(Box<Run>, Vec<u8>),
    /// Pass a signal on to a run.
    Signal(RunKey, i32),
    /// Suspend the processes of a run, or have them continue.
    Suspend(RunKey),
    Resume(RunKey),
    /// Give plugins these settings from now on.
    Settings(PluginSettings),
    /// The outcomes of these runs are durable.
    Recorded(Vec<RunKey>),
    Discard(ExecutorName, Vec<Vec<u8>>),
    /// The marks of the nodes that live.
    Alive(Vec<String>),
    /// Load these executors, so that they see to what dead nodes left behind.
    Reap(Vec<ExecutorName>),
    /// A plugin wants a process for its run, and is not being called.
    Spawn(u64, Box<SpawnRequest>),
    /// A plugin reports the end of its run, and is not being called.
    Finished(u64, Outcome, Advice),
    /// Kill what is left and end.
    ShutDown,
}

#[derive(Default)]
struct Inbox {
    messages: Vec<Message>,
    /// The supervisor waits or is about to: a message must wake it.
    asleep: bool,
}

/// What plugins may still do for a run.
struct Live {
    key: RunKey,
    job: String,
    capture: Arc<Mutex<Capture>>,
    spawned: bool,
    finished: bool,
    /// The supervisor is inside a call into the plugin for this run. It deals with the wishes itself when that returns.
    in_call: bool,
    wishes: Wishes,
}

/// What a plugin asks of the supervisor while this calls it.
#[derive(Default)]
pub(crate) struct Wishes {
    /// A process for its run.
    pub(crate) spawn: Option<SpawnRequest>,
    /// The end of its run.
    pub(crate) finished: Option<(Outcome, Advice)>,
}

/// The shared part of a host.
pub(crate) struct Shared {
    report: Box<dyn Fn(Report) + Send + Sync>,
    waker: Waker,
    inbox: Mutex<Inbox>,
    live: Mutex<HashMap<u64, Live>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing here is ever left half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn new(waker: Waker, report: Box<dyn Fn(Report) + Send + Sync>) -> Shared {
        Shared {
            report,
            waker,
            inbox: Mutex::default(),
            live: Mutex::default(),
        }
    }

    /// Leaves a message for the supervisor.
    pub(crate) fn post(&self, message: Message) {
        let mut inbox = lock(&self.inbox);
        inbox.messages.push(message);
        if std::mem::take(&mut inbox.asleep) {
            drop(inbox);
            self.waker.wake();
        }
    }

    /// Swaps the waiting messages with `batch`, which is empty.
    pub(crate) fn take(&self, batch: &mut Vec<Message>) {
        std::mem::swap(&mut lock(&self.inbox).messages, batch);
    }

    /// The supervisor is about to wait. Returns whether it may: not while messages are there.
    pub(crate) fn may_sleep(&self) -> bool {
        let mut inbox = lock(&self.inbox);
        inbox.asleep = inbox.messages.is_empty();
        inbox.asleep
    }

    /// The supervisor looks into its inbox by itself again.
    pub(crate) fn awake(&self) {
        lock(&self.inbox).asleep = false;
    }

    /// A run begins with a call into its plugin.
    pub(crate) fn begin(&self, run_id: u64, run: &Run, capture: Arc<Mutex<Capture>>) {
        lock(&self.live).insert(
            run_id,
            Live {
                key: run.key,
                job: run.public_id.clone(),
                capture,
                spawned: false,
                finished: false,
                in_call: true,
                wishes: Wishes::default(),
            },
        );
    }

    /// The supervisor is about to call the plugin for a run.
    pub(crate) fn call_begins(&self, run_id: u64) {
        if let Some(live) = lock(&self.live).get_mut(&run_id) {
            live.in_call = true;
        }
    }

    /// The call returned. What the plugin asks for from now on is a message again.
    pub(crate) fn call_ended(&self, run_id: u64) -> Wishes {
        match lock(&self.live).get_mut(&run_id) {
            Some(live) => {
                live.in_call = false;
                std::mem::take(&mut live.wishes)
            }
            None => Wishes::default(),
        }
    }

    /// A run is over: plugins cannot do anything for it any more.
    pub(crate) fn end(&self, run_id: u64) {
        lock(&self.live).remove(&run_id);
    }

    /// A plugin prints for its run.
    pub(crate) fn output(&self, run_id: u64, stream: OutputStream, bytes: &[u8]) {
        let capture = lock(&self.live)
            .get(&run_id)
            .map(|live| Arc::clone(&live.capture));
        if let Some(capture) = capture {
            lock(&capture).push(stream, bytes);
        }
    }

    /// A plugin wants a process for its run.
    pub(crate) fn spawn(&self, run_id: u64, request: SpawnRequest) -> Result<(), String> {
        match lock(&self.live).get_mut(&run_id) {
            None => return Err("there is no such run".to_owned()),
            Some(live) if live.finished => return Err("the run is finished".to_owned()),
            Some(live) if live.spawned => return Err("the run has a process already".to_owned()),
            Some(live) => {
                live.spawned = true;
                if live.in_call {
                    live.wishes.spawn = Some(request);
                    return Ok(());
                }
            }
        }
        self.post(Message::Spawn(run_id, Box::new(request)));
        Ok(())
    }

    /// Reports to the process that made the host.
    pub(crate) fn report(&self, report: Report) {
        (self.report)(report);
    }

    /// A plugin saves what it needs to take its run over. When this returns, the bytes are out of this process.
    pub(crate) fn save_handle(&self, run_id: u64, bytes: &[u8]) -> Result<(), &'static str> {
        if bytes.len() > HANDLE_BYTES {
            return Err("the handle is too long");
        }
        let Some(key) = lock(&self.live)
            .get(&run_id)
            .filter(|live| !live.finished)
            .map(|live| live.key)
        else {
            return Err("there is no such run");
        };
        self.report(Report::Handle {
            key,
            handle: bytes.to_vec(),
        });
        Ok(())
    }

    /// Which attempt a run is, while it is alive.
    pub(crate) fn key_of(&self, run_id: u64) -> Option<RunKey> {
        lock(&self.live).get(&run_id).map(|live| live.key)
    }

    /// The id of a run's job, for the log.
    pub(crate) fn job_of(&self, run_id: u64) -> Option<String> {
        lock(&self.live).get(&run_id).map(|live| live.job.clone())
    }

    /// A plugin reports the end of its run.
    pub(crate) fn finished(&self, run_id: u64, outcome: Outcome, advice: Advice) -> Result<(), &'static str> {
        match lock(&self.live).get_mut(&run_id) {
            None => return Err("there is no such run"),
            Some(live) if live.finished => return Err("the run was reported before"),
            Some(live) => {
                live.finished = true;
                if live.in_call {
                    live.wishes.finished = Some((outcome, advice));
                    return Ok(());
                }
            }
        }
        self.post(Message::Finished(run_id, outcome, advice));
        Ok(())
    }
}
