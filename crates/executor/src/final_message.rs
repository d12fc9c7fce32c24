//! Ends a process in which something hangs: a message, then the exit, whatever state the process is in.
//!
//! A plugin may hang in its library's constructors while it holds the dynamic loader's lock. Exit handlers wait for that lock,
//! and so does the first thread-local value of each kind in a thread. The reader of the message may hang, too. So the threads
//! start before any plugin is loaded, no exit handler runs, and the message has a time limit.

use std::io;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::os;

/// Maximum time for the message.
const LIMIT: Duration = Duration::from_secs(2);

/// What the thread for the message waits for. Not a channel: the first wait on one makes a thread-local value.
enum State<T> {
    Waiting,
    Ready(T),
    Cancelled,
}

struct Slot<T> {
    state: Mutex<State<T>>,
    changed: Condvar,
}

impl<T> Slot<T> {
    fn set(&self, state: State<T>) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
        self.changed.notify_all();
    }

    fn wait(&self) -> Option<T> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |state: &mut State<T>| matches!(state, State::Waiting);
        let mut state = self
            .changed
            .wait_while(state, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Cancelled) {
            State::Ready(message) => Some(message),
            State::Waiting | State::Cancelled => None,
        }
    }
}

/// A process that is prepared to end.
pub struct FinalMessage<T> {
    status: u8,
    slot: Arc<Slot<T>>,
}

impl<T: Send + 'static> FinalMessage<T> {
    /// Prepares to end this process with that status, after a message has gone through `tell`.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn prepare(status: u8, tell: impl FnOnce(T) + Send + 'static) -> io::Result<FinalMessage<T>> {
        let slot = Arc::new(Slot {
            state: Mutex::new(State::Waiting),
            changed: Condvar::new(),
        });
        let waiting = Arc::clone(&slot);
        start_thread("final message", move || {
            if let Some(message) = waiting.wait() {
                tell(message);
                os::exit_at_once(status);
            }
        })?;
        Ok(FinalMessage { status, slot })
    }

    /// Sends the message and ends this process, after two seconds even if the message did not get through.
    pub fn send_and_exit(self, message: T) -> ! {
        self.slot.set(State::Ready(message));
        std::thread::sleep(LIMIT);
        os::exit_at_once(self.status)
    }
}

impl<T> Drop for FinalMessage<T> {
    fn drop(&mut self) {
        self.slot.set(State::Cancelled);
    }
}

/// Starts a thread. When this returns, it runs: starting one takes the loader's lock, too.
///
/// # Errors
/// No thread could be started.
pub fn start_thread(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let (tell, ready) = sync_channel(1);
    let thread = std::thread::Builder::new().name(name.to_owned());
    thread.spawn(move || {
        let _ = tell.send(());
        run();
    })?;
    ready.recv().map_err(io::Error::other)
}
