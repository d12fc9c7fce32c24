//! Wake-ups of a node by `NOTIFY`. A connection of its own waits for them and comes back by itself when it is lost.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::libpq::Listener;
use crate::location::server::Server;
use crate::types::nodes::{Wake, WakeSource};

/// Longest silence before the node has a look by itself.
const SILENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether anybody still waits for a wake-up.
const LOOK: Duration = Duration::from_secs(5);
/// The first and the longest pause between two tries to connect again.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// Waits for the wake-ups of a store's nodes.
pub struct Notifications {
    conninfo: String,
    channel: String,
    listener: Option<Listener>,
    /// Set when the last waiter is gone.
    done: Arc<AtomicBool>,
}

impl Notifications {
    /// Listens to that channel from now on, if the server can be reached.
    pub fn new(server: &Server, channel: String) -> Notifications {
        let conninfo = server.conninfo();
        let listener = Listener::open(&conninfo, &channel);
        Notifications {
            conninfo,
            channel,
            listener,
            done: Arc::default(),
        }
    }
}

impl WakeSource for Notifications {
    fn end_with(&mut self, done: &Arc<AtomicBool>) {
        self.done = Arc::clone(done);
    }

    /// Blocks until the node is woken, or should have a look because it may have missed that, or is done.
    fn wait(&mut self) -> io::Result<Wake> {
        let done = Arc::clone(&self.done);
        let is_done = || done.load(Ordering::Relaxed);
        let until = Instant::now() + SILENCE;
        while let Some(listener) = &mut self.listener {
            match listener.wait(LOOK) {
                Some(heard) if !heard.is_empty() => {
                    let jobs_alone = heard.iter().all(|said| said == Wake::Jobs.word());
                    return Ok(if jobs_alone { Wake::Jobs } else { Wake::Control });
                }
                Some(_) if is_done() || Instant::now() >= until => return Ok(Wake::Control),
                Some(_) => {}
                None => self.listener = None,
            }
        }
        let mut pause = PAUSE_FIRST;
        while self.listener.is_none() && !is_done() {
            sleep(pause);
            pause = (pause * 2).min(PAUSE_MOST);
            self.listener = Listener::open(&self.conninfo, &self.channel);
        }
        Ok(Wake::Control)
    }
}
