//! A job that is followed: what it prints, sent as it comes until the job has ended.
//!
//! A client that was cut off says how far it was, and goes on there. The store is asked only when the job has changed, which one
//! thread sees for all clients; meanwhile only the file of a running job is looked at.

use std::convert::Infallible;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use queuectl_core::State;
use queuectl_frontend::output::{Chunk, Place, PlaceError, Reading, Tap};
use queuectl_storage::Store;
use queuectl_views::AttemptView;
use tokio::sync::{mpsc, watch};
use tokio::task::spawn_blocking;

use crate::connections::told;
use crate::problem::Problem;
use crate::state::Server;
use crate::stream::Messages;
use crate::watcher::Standing;

/// Bytes of output that are read at a time.
const READ: u64 = 16 * 1024;
/// Messages that wait for a slow client. The stream stops reading then, and nothing is lost.
const AHEAD: usize = 4;
/// Pause between two looks at the file of a running job, as in `queuectl logs -f`.
const LOOK: Duration = Duration::from_millis(100);

/// What a client that follows a job is told.
pub enum Told {
    /// What was printed.
    Chunk(Chunk),
    /// An attempt ended.
    Ended(AttemptView),
    /// The job ended.
    Over(State),
}

/// How far a client was, as the id of a message or the `next` of a document says.
#[derive(Clone, Copy)]
pub struct Heard {
    /// What it has of the output.
    pub place: Place,
    /// Whether it was told how the job ended.
    pub has_end: bool,
}

/// What stands behind the place in the id of the last message.
const END: &str = ":end";

impl FromStr for Heard {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Heard, PlaceError> {
        let place = text.strip_suffix(END);
        Ok(Heard {
            place: place.unwrap_or(text).parse()?,
            has_end: place.is_some(),
        })
    }
}

/// Begins a stream of what a job prints, in messages that `message` makes. A client that comes back to a job that has ended, and
/// of which it has everything, is told not to come again.
pub async fn follow(
    server: &Arc<Server>,
    tap: Tap,
    heard: Option<Heard>,
    message: impl FnMut(Told) -> Option<Event> + Send + 'static,
) -> Result<Response, Problem> {
    let mut tap = tap;
    let first = server.stores.try_ask(move |store| {
        let reading = tap.read(store, READ)?;
        Ok((tap, reading))
    });
    let (tap, reading) = first.await?;
    let has_end = heard.is_some_and(|heard| heard.has_end);
    if has_end && reading.is_last && reading.chunks.is_empty() && reading.ended.is_none() {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let (sender, receiver) = mpsc::channel(AHEAD);
    let follower = Follower {
        server: Arc::clone(server),
        message,
        sender,
    };
    tokio::spawn(follower.run(tap, reading));
    Ok(Sse::new(Messages(receiver))
        .keep_alive(KeepAlive::default())
        .into_response())
}

/// Sends what a job prints until the job has ended, or the client or the server goes away.
struct Follower<M> {
    server: Arc<Server>,
    message: M,
    sender: mpsc::Sender<Result<Event, Infallible>>,
}

/// The client is gone, or cannot be told more. It may come back, and says how far it was.
struct Gone;

impl<M: FnMut(Told) -> Option<Event>> Follower<M> {
    async fn run(mut self, tap: Tap, reading: Reading) {
        let _ = self.follow(tap, reading).await;
    }

    async fn follow(&mut self, mut tap: Tap, mut reading: Reading) -> Result<(), Gone> {
        loop {
            let job = &reading.job;
            let seen = self.server.watcher.job(job.id, Some((job.state, job.fence)));
            let state = job.state;
            self.chunks(reading.chunks, reading.fence).await?;
            if let Some(attempt) = &reading.ended {
                let id = reading.next.to_string();
                self.tell(Told::Ended(AttemptView::from(attempt)), &id).await?;
            }
            if reading.is_last {
                let id = format!("{}{END}", reading.next);
                return self.tell(Told::Over(state), &id).await;
            }
            if !reading.more {
                tap = self.until_changed(tap, seen).await?;
            }
            let read = self.server.stores.try_ask(move |store: &mut Store| {
                let reading = tap.read(store, READ)?;
                Ok((tap, reading))
            });
            (tap, reading) = read.await.map_err(|_| Gone)?;
        }
    }

    /// Sends what the file of a running attempt has more, until the job has changed.
    async fn until_changed(
        &mut self,
        mut tap: Tap,
        mut seen: watch::Receiver<Standing>,
    ) -> Result<Tap, Gone> {
        let mut stopped = self.server.stopped.clone();
        loop {
            tokio::select! {
                changed = seen.changed() => return changed.map(|()| tap).map_err(|_| Gone),
                () = tokio::time::sleep(LOOK) => {}
                () = self.sender.closed() => return Err(Gone),
                () = told(&mut stopped) => return Err(Gone),
            }
            let read = spawn_blocking(move || {
                let read = tap.read_on(READ);
                (tap, read)
            });
            let (back, read) = read.await.map_err(|_| Gone)?;
            tap = back;
            let (chunks, place) = read.map_err(|_| Gone)?;
            self.chunks(chunks, place.fence).await?;
        }
    }

    /// Sends what an attempt printed.
    async fn chunks(&mut self, chunks: Vec<Chunk>, fence: i64) -> Result<(), Gone> {
        for chunk in chunks {
            let offset = chunk.offset + chunk.bytes.len() as u64;
            let id = Place { fence, offset }.to_string();
            self.tell(Told::Chunk(chunk), &id).await?;
        }
        Ok(())
    }

    async fn tell(&mut self, told: Told, id: &str) -> Result<(), Gone> {
        let Some(event) = (self.message)(told) else {
            return Ok(());
        };
        let event = event.id(id);
        self.sender.send(Ok(event)).await.map_err(|_| Gone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_says_whether_it_knows_the_end() {
        for (text, has_end) in [("3:17", false), ("3:17:end", true)] {
            let heard: Heard = text.parse().unwrap();
            let place = Place { fence: 3, offset: 17 };
            assert_eq!((heard.place, heard.has_end), (place, has_end), "{text}");
        }
        for wrong in ["", ":end", "3:end", "3:17:", "3:17:END", "3:17:end:end"] {
            assert!(wrong.parse::<Heard>().is_err(), "{wrong}");
        }
    }
}
