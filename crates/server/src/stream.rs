//! Bodies: reading them within limits of size and time, and sending messages as they come.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::response::sse::Event;
use futures_core::Stream;
use http::StatusCode;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::problem::Problem;

/// How long a client has to send a body that is read as a whole.
const BODY_WITHIN: Duration = Duration::from_secs(60);

/// Reads a body as a whole.
pub async fn bytes(request: Request) -> Result<Bytes, Problem> {
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
pub async fn body<T: DeserializeOwned + Default>(request: Request) -> Result<T, Problem> {
    let bytes = bytes(request).await?;
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
