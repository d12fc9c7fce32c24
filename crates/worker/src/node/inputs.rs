//! What can happen to a dispatcher. Every source has a thread that does nothing but pass events on; the dispatcher
//! handles them one after the other.

use std::io;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use queuectl_storage::{Wake, WakeListener};

use super::recorder::Reply;
use crate::os;
use crate::protocol::FromWorker;

/// An event.
pub enum Input {
    /// Another process changed the store.
    Wake(Wake),
    /// The node's lease came to another stage.
    Lease,
    /// Outcomes were recorded beside the cycles, or could not be.
    Recorded(Reply),
    /// The user asked the node to stop.
    StopSignal,
    /// What a worker process told, in that order.
    Told {
        /// The worker process, counted from 0.
        worker: usize,
        /// All that was there.
        messages: Vec<FromWorker>,
    },
    /// A worker process ended.
    WorkerGone {
        /// The worker process, counted from 0.
        worker: usize,
        /// How it ended, if that could be learned.
        status: io::Result<ExitStatus>,
        /// The call into a plugin that was in progress, in words, if that is known.
        call: Option<String>,
    },
}

/// Passes on signals to whichever run of the node there is: a node that enters again listens to them as before, with one
/// thread and the descriptors of one.
pub struct Signals(Arc<Mutex<Sender<Input>>>);

impl Signals {
    /// Starts passing on signals.
    pub fn listen(events: &Sender<Input>) -> io::Result<Signals> {
        let to = Arc::new(Mutex::new(events.clone()));
        let signals = Signals(Arc::clone(&to));
        os::on_stop_signal(move || {
            let to = to.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = to.send(Input::StopSignal);
        })?;
        Ok(signals)
    }

    /// From now on they go there, and so does one that came too late for the run before.
    pub fn pass_to(&self, events: &Sender<Input>, before: &Receiver<Input>) {
        let mut to = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        to.clone_from(events);
        if before.try_iter().any(|event| matches!(event, Input::StopSignal)) {
            let _ = to.send(Input::StopSignal);
        }
    }
}

/// Wake-ups are passed on until this is dropped.
pub struct WakeUps(Arc<AtomicBool>);

impl Drop for WakeUps {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Starts passing on wake-ups.
pub fn pass_wake_ups(events: &Sender<Input>, mut listener: WakeListener) -> io::Result<WakeUps> {
    let wakes = events.clone();
    let wake_ups = WakeUps(Arc::default());
    listener.end_with(&wake_ups.0);
    thread::Builder::new().name("wake-ups".into()).spawn(move || {
        // Without wake-ups the poll interval remains.
        while let Ok(wake) = listener.wait()
            && wakes.send(Input::Wake(wake)).is_ok()
        {}
    })?;
    Ok(wake_ups)
}
