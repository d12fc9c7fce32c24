//! Wake-ups of a node by `NOTIFY`. A connection of its own waits for them and comes back by itself when it is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::libpq::Ears;
use super::server::Server;
use crate::verbs::nodes::Wake;

/// Longest silence before the node has a look by itself.
const SILENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether anybody still waits for a wake-up.
const LOOK: Duration = Duration::from_secs(5);
/// The first and the longest pause between two tries to connect again.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_MOST: Duration = Duration::from_secs(5);

/// Waits for the wake-ups of a store's nodes.
pub struct Listener {
    conninfo: String,
    channel: String,
    ears: Option<Ears>,
    /// Whether nobody waits any more.
    pub(crate) done: Arc<AtomicBool>,
}

impl Listener {
    /// Listens to that channel from now on, if the server can be reached.
    pub fn new(server: &Server, channel: String) -> Listener {
        let conninfo = server.conninfo();
        let ears = Ears::open(&conninfo, &channel);
        Listener {
            conninfo,
            channel,
            ears,
            done: Arc::default(),
        }
    }

    /// Blocks until the node is woken, or should have a look because it may have missed that, or is done.
    pub fn wait(&mut self) -> Wake {
        let done = Arc::clone(&self.done);
        let is_done = || done.load(Ordering::Relaxed);
        let until = Instant::now() + SILENCE;
        while let Some(ears) = &mut self.ears {
            match ears.wait(LOOK) {
                Some(heard) if !heard.is_empty() => {
                    let jobs_alone = heard.iter().all(|said| said == Wake::Jobs.word());
                    return if jobs_alone { Wake::Jobs } else { Wake::Asked };
                }
                Some(_) if is_done() || Instant::now() >= until => return Wake::Asked,
                Some(_) => {}
                None => self.ears = None,
            }
        }
        let mut pause = PAUSE_FIRST;
        while self.ears.is_none() && !is_done() {
            sleep(pause);
            pause = (pause * 2).min(PAUSE_MOST);
            self.ears = Ears::open(&self.conninfo, &self.channel);
        }
        Wake::Asked
    }
}
