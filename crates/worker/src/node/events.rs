//! What can happen to a dispatcher. Every source has a thread that does nothing but pass events on; the dispatcher
//! handles them one after the other.

use std::io;
use std::process::ExitStatus;
use std::sync::mpsc::Sender;
use std::thread;

use queuectl_storage::{Wake, WakeListener};

use super::recorder::Recorded;
use crate::os;
use crate::protocol::FromWorker;

/// An event.
pub enum Event {
    /// Another process changed the store.
    Wake(Wake),
    /// The node's lease came to another stage.
    Lease,
    /// Outcomes were recorded beside the turns, or could not be.
    Recorded(Recorded),
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
    },
}

/// Starts passing on signals.
pub fn pass_signals(events: &Sender<Event>) -> io::Result<()> {
    let signals = events.clone();
    os::on_stop_signal(move || {
        let _ = signals.send(Event::StopSignal);
    })
}

/// Starts passing on wake-ups.
pub fn pass_wake_ups(events: &Sender<Event>, mut listener: WakeListener) -> io::Result<()> {
    let wakes = events.clone();
    thread::Builder::new().name("wake-ups".into()).spawn(move || {
        // Without wake-ups the poll interval remains.
        while let Ok(wake) = listener.wait()
            && wakes.send(Event::Wake(wake)).is_ok()
        {}
    })?;
    Ok(())
}
