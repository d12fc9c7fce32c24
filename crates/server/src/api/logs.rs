//! What jobs printed: as a document, as text, or as a stream of server-sent events that goes on where it was broken off.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::response::sse::Event;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, LINK};
use http::{HeaderMap, HeaderValue, StatusCode};
use queuectl_core::{JobRef, OutputStream};
use queuectl_frontend::escape::BytesWriter;
use queuectl_frontend::output::{Chunk, Reading, Tap, TapError};
use queuectl_views::{ChunkView, OutputView};
use serde::{Deserialize, Serialize};

use super::{Named, accepts, named};
use crate::follow::{Heard, Told, follow};
use crate::problem::Problem;
use crate::state::Server;

/// Bytes of one answer.
const MOST: u64 = 1024 * 1024;
/// The least that can be asked for: a character has to fit.
const LEAST: u64 = 16;
/// Which output.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Only this attempt.
    attempt: Option<u32>,
    /// Only what came from there.
    stream: Option<OutputStream>,
    /// What an answer before this one gave as `next`.
    after: Option<String>,
    /// Most bytes of the answer.
    limit: Option<u64>,
    /// Of text: the bytes as they are.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    raw: bool,
}

impl Asked {
    /// Returns the header that says how the same is asked for from that place on.
    fn link(&self, next: String) -> Option<HeaderValue> {
        let next = Asked {
            after: Some(next),
            ..self.clone()
        };
        let query = serde_urlencoded::to_string(next).ok()?;
        HeaderValue::from_str(&format!("<?{query}>; rel=\"next\"")).ok()
    }

    fn has(&self, stream: OutputStream) -> bool {
        stream == OutputStream::Unknown || self.stream.is_none_or(|only| only == stream)
    }

    fn limit(&self) -> Result<u64, Problem> {
        let limit = self.limit.unwrap_or(MOST);
        match (LEAST..=MOST).contains(&limit) {
            true => Ok(limit),
            false => Err(Problem::usage(format!("limit is from {LEAST} to {MOST}"))),
        }
    }
}

impl From<TapError> for Problem {
    fn from(error: TapError) -> Problem {
        match error {
            TapError::Store(error) => error.into(),
            TapError::NoAttempt(number) => Problem::new(
                StatusCode::NOT_FOUND,
                "not_found",
                format!("the job has no attempt {number}"),
            ),
            TapError::File(path, error) => Problem::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                format!("cannot read {}: {error}", path.display()),
            ),
        }
    }
}

/// `queuectl logs`. A client that accepts `text/event-stream` gets it as it comes, until the job has ended.
pub async fn logs(
    State(server): State<Arc<Server>>,
    Named(job): Named<String>,
    headers: HeaderMap,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, Problem> {
    let Query(asked) = asked.map_err(|error| Problem::usage(error.body_text()))?;
    let job: JobRef = named(&job)?;
    let limit = asked.limit()?;
    if asked.stream == Some(OutputStream::Unknown) {
        return Err(Problem::usage("stream is stdout or stderr"));
    }
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let after = last.or(asked.after.as_deref());
    let heard: Option<Heard> = after.map(named).transpose()?;
    let after = heard.map(|heard| heard.place);
    let attempt = asked.attempt;
    if accepts(&headers, "text/event-stream") {
        let tap = server.stores.try_ask(move |store| {
            let job = store.job(&job)?;
            Ok(Tap::open(store, &job, attempt, after)?)
        });
        return follow(&server, tap.await?, heard, move |told| asked.message(told)).await;
    }
    let reading = server.stores.try_ask(move |store| {
        let job = store.job(&job)?;
        Ok(Tap::open(store, &job, attempt, after)?.read(store, limit)?)
    });
    let reading = reading.await?;
    match accepts(&headers, "text/plain") {
        true => text(reading, &asked),
        false => Ok(Json(document(reading, &asked)).into_response()),
    }
}

fn document(reading: Reading, asked: &Asked) -> OutputView {
    let chunks = reading.chunks.into_iter().filter(|chunk| asked.has(chunk.stream));
    OutputView {
        id: reading.job.public_id(),
        number: reading.job.id,
        attempt: reading.attempt,
        chunks: chunks.map(view).collect(),
        next: reading.next.to_string(),
        more: reading.more,
        ended: reading.is_last,
    }
}

fn view(chunk: Chunk) -> ChunkView {
    ChunkView {
        offset: chunk.offset,
        stream: chunk.stream,
        at: chunk.at,
        text: String::from_utf8_lossy(&chunk.bytes).into_owned(),
        omitted_bytes: chunk.omitted,
    }
}

/// The output as `queuectl logs` prints it into a file, with where to go on in a header.
fn text(reading: Reading, asked: &Asked) -> Result<Response, Problem> {
    let mut writer = BytesWriter::new(Vec::new(), asked.raw);
    for chunk in reading.chunks.iter().filter(|chunk| asked.has(chunk.stream)) {
        let gap = match chunk.omitted {
            0 => Ok(()),
            _ if asked.raw => Ok(()),
            bytes => writer.write(format!("\n… {bytes} bytes left out …\n").as_bytes()),
        };
        // Memory takes everything.
        gap.and_then(|()| writer.write(&chunk.bytes))
            .map_err(|_| Problem::internal())?;
    }
    writer.finish().map_err(|_| Problem::internal())?;
    let mut response = writer.into_inner().into_response();
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static(match asked.raw {
            true => "application/octet-stream",
            false => "text/plain; charset=utf-8",
        }),
    );
    if (reading.more || !reading.is_last)
        && let Some(next) = asked.link(reading.next.to_string())
    {
        headers.insert(LINK, next);
    }
    Ok(response)
}

/// Where a job ended that is followed.
#[derive(Serialize)]
struct Over {
    state: queuectl_core::State,
}

impl Asked {
    /// What a client of the API is told; none of what it does not want.
    fn message(&self, told: Told) -> Option<Event> {
        let (name, data) = match told {
            Told::Chunk(chunk) if !self.has(chunk.stream) => return None,
            Told::Chunk(chunk) => ("output", serde_json::to_string(&view(chunk))),
            Told::Ended(attempt) => ("attempt", serde_json::to_string(&attempt)),
            Told::Over(state) => ("end", serde_json::to_string(&Over { state })),
        };
        Some(Event::default().event(name).data(data.ok()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_is_asked_for_in_the_same_way() {
        let all = Asked {
            attempt: Some(2),
            stream: Some(OutputStream::Stderr),
            after: Some("1:1".to_owned()),
            limit: Some(16),
            raw: true,
        };
        for (asked, link) in [
            (Asked::default(), "<?after=3%3A17>; rel=\"next\""),
            (
                all,
                "<?attempt=2&stream=stderr&after=3%3A17&limit=16&raw=true>; rel=\"next\"",
            ),
        ] {
            assert_eq!(asked.link("3:17".to_owned()).unwrap(), link);
        }
    }
}
