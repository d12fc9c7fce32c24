//! The end of a process in which something hangs: a message, then the exit, whatever state the process is in.
//!
//! A plugin may hang in its library's constructors, with the dynamic loader's lock held. Exit handlers wait for that lock,
//! and so does the first thread-local value of each kind that a thread has. And who should read the message may read
//! nothing. So the threads are there before any plugin is loaded, no handler is run, and the message has a time limit.

use std::io;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::os;

/// Longest that the message may take.
const LIMIT: Duration = Duration::from_secs(2);

/// What the thread for the message waits for. Not a channel: the first wait on one makes a thread-local value.
enum Words<T> {
    NotYet,
    Said(T),
    Never,
}

struct Shared<T> {
    words: Mutex<Words<T>>,
    changed: Condvar,
}

impl<T> Shared<T> {
    fn set(&self, words: Words<T>) {
        *self.words.lock().unwrap_or_else(PoisonError::into_inner) = words;
        self.changed.notify_all();
    }

    fn wait(&self) -> Option<T> {
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |words: &mut Words<T>| matches!(words, Words::NotYet);
        let mut words = self
            .changed
            .wait_while(words, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *words, Words::Never) {
            Words::Said(words) => Some(words),
            Words::NotYet | Words::Never => None,
        }
    }
}

/// A process that is prepared to end.
pub struct LastWords<T> {
    status: u8,
    shared: Arc<Shared<T>>,
}

impl<T: Send + 'static> LastWords<T> {
    /// Prepares to end this process with that status, after a message has gone through `tell`.
    ///
    /// # Errors
    /// No thread could be started.
    pub fn prepare(status: u8, tell: impl FnOnce(T) + Send + 'static) -> io::Result<LastWords<T>> {
        let shared = Arc::new(Shared {
            words: Mutex::new(Words::NotYet),
            changed: Condvar::new(),
        });
        let words = Arc::clone(&shared);
        start_thread("last words", move || {
            if let Some(words) = words.wait() {
                tell(words);
                os::exit_at_once(status);
            }
        })?;
        Ok(LastWords { status, shared })
    }

    /// Tells the message and ends this process, after two seconds even if the message did not get through.
    pub fn say(self, words: T) -> ! {
        self.shared.set(Words::Said(words));
        std::thread::sleep(LIMIT);
        os::exit_at_once(self.status)
    }
}

impl<T> Drop for LastWords<T> {
    fn drop(&mut self) {
        self.shared.set(Words::Never);
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
