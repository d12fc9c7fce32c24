//! Bodies: reading them within limits of size and time, and sending messages as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::sse::Event;
use futures_core::Stream;
use http::StatusCode;
use http::header::CONTENT_LENGTH;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::problem::Problem;

/// Bytes of a body that is read as a whole.
pub const BODY_BYTES: usize = 20 * 1024 * 1024;
/// How long a client has to send a body that is read as a whole.
const BODY_WITHIN: Duration = Duration::from_secs(60);

/// Bytes of all bodies that are in memory at the same time.
const ROOM_BYTES: usize = 512 * 1024 * 1024;
/// Room is given in pieces of this size.
const PIECE_BYTES: usize = 1024;

/// Room in memory for bodies.
pub struct Room(Arc<Semaphore>);

impl Room {
    pub fn new() -> Room {
        Room(Arc::new(Semaphore::new(ROOM_BYTES / PIECE_BYTES)))
    }

    /// Takes room for a body, until what is returned is dropped.
    pub fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let pieces = u32::try_from(bytes.div_ceil(PIECE_BYTES)).unwrap_or(u32::MAX);
        let taken = Arc::clone(&self.0).try_acquire_many_owned(pieces.max(1));
        taken.map_err(|_| Problem::busy())
    }
}

/// Reads a body as a whole, which has room until what is returned beside it is dropped.
pub async fn bytes(room: &Room, request: Request) -> Result<(Bytes, OwnedSemaphorePermit), Problem> {
    let length = request.headers().get(CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
    let room = room.take(length.unwrap_or(BODY_BYTES).min(BODY_BYTES))?;
    Ok((read(request).await?, room))
}

async fn read(request: Request) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_WITHIN, Bytes::from_request(request, &())).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(refused)) if refused.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            "a request of one document has at most 20 MiB; send many jobs as application/x-ndjson",
        )),
        Ok(Err(refused)) => Err(Problem::usage(refused.body_text())),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "slow",
            "the request's body did not come within 60 s",
        )),
    }
}

/// Reads a document; nothing at all is an empty one.
pub async fn body<T: DeserializeOwned + Default>(room: &Room, request: Request) -> Result<T, Problem> {
    let (bytes, _room) = bytes(room, request).await?;
    match bytes.trim_ascii().is_empty() {
        true => Ok(T::default()),
        false => serde_json::from_slice(&bytes).map_err(|error| Problem::usage(error.to_string())),
    }
}

/// Messages as they come.
pub struct Messages(pub mpsc::Receiver<Result<Event, Infallible>>);

impl Stream for Messages {
    type Item = Result<Event, Infallible>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
