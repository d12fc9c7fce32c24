//! Storing the jobs of a request: one document, or one a line.
//!
//! Lines are stored while they come, in batches that are stored completely or not at all, as `enqueue --from` does: of what goes
//! wrong, the answer says how many jobs are stored and from which line on nothing is.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use jiff::ZonedDateTime;
use queuectl_core::JobSpec;
use queuectl_core::limits::ENQUEUE_BATCH;
use queuectl_frontend::placed::view;
use serde::Serialize;

use crate::incoming::Incoming;
use crate::intake::{Refusal, Stored};
use crate::problem::{Problem, Progress};
use crate::state::Server;
use crate::stream;

/// Jobs of one request.
const JOBS: u64 = 1_000_000;
/// Bytes of a line, which is a job.
const LINE_BYTES: usize = 20 * 1024 * 1024;
/// Bytes of a batch, since jobs can be large.
const BATCH_BYTES: usize = 16 * 1024 * 1024;

/// The jobs of a request with many.
#[derive(Serialize, Default)]
struct Many {
    /// Jobs that are stored, or were there already.
    stored: u64,
    /// Those that were there already.
    existing: u64,
    /// Their ids, in the order of the lines.
    ids: Vec<String>,
}

/// `queuectl enqueue`.
pub async fn enqueue(State(server): State<Arc<Server>>, request: Request) -> Result<Response, Problem> {
    if is_lines(request.headers()) {
        let _room = server.room.take(LINE_BYTES + BATCH_BYTES)?;
        let stored = lines(&server, request.into_body()).await?;
        return Ok((StatusCode::CREATED, Json(stored)).into_response());
    }
    let (bytes, _room) = stream::bytes(&server.room, request).await?;
    let spec = spec(&bytes)?;
    let stored = server.intake.store(vec![spec], bytes.len()).await;
    let stored = stored.map_err(|refusal| refusal.problem)?;
    let Stored { id, placed } = stored.into_iter().next().ok_or_else(Problem::internal)?;
    let stored = view(&id, &placed);
    let status = match stored.existing {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    Ok((status, Json(stored)).into_response())
}

fn is_lines(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| {
        kind.trim()
            .to_ascii_lowercase()
            .starts_with("application/x-ndjson")
    })
}

fn spec(bytes: &[u8]) -> Result<JobSpec, Problem> {
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::usage("the job is not valid UTF-8"))?;
    JobSpec::from_json(text, ZonedDateTime::now).map_err(Problem::usage)
}

/// Jobs that wait to be stored.
#[derive(Default)]
struct Batch {
    specs: Vec<JobSpec>,
    /// The line of each.
    lines: Vec<u64>,
    bytes: usize,
}

async fn lines(server: &Server, body: Body) -> Result<Many, Problem> {
    let (mut many, mut batch, mut rest) = (Many::default(), Batch::default(), Vec::new());
    let (mut line, mut stored_to) = (0, 0);
    // How much of the rest has no end of a line.
    let mut searched = 0;
    let mut incoming = Incoming::new(body);
    loop {
        let chunk: Option<Bytes> = match incoming.next(rest.len()).await {
            Ok(chunk) => chunk,
            Err(problem) => return Err(with_progress(problem, &many, stored_to)),
        };
        let is_over = chunk.is_none();
        rest.extend_from_slice(&chunk.unwrap_or_default());
        let mut from = 0;
        while let Some(end) = end_of_line(&rest, from, searched, is_over) {
            line += 1;
            let text = rest[from..end].trim_ascii();
            from = (end + 1).min(rest.len());
            if !text.is_empty() {
                let spec = spec(text).map_err(|problem| at_line(problem, line, &many, stored_to))?;
                batch.specs.push(spec);
                batch.lines.push(line);
                batch.bytes += text.len();
                incoming.has(text.len());
            }
            if batch.specs.len() >= ENQUEUE_BATCH || batch.bytes >= BATCH_BYTES {
                store(server, &mut batch, &mut many, stored_to).await?;
                stored_to = line;
            }
        }
        rest.drain(..from);
        searched = rest.len();
        if rest.len() > LINE_BYTES {
            let problem = Problem::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                "a job has at most 20 MiB",
            );
            return Err(at_line(problem, line + 1, &many, stored_to));
        }
        if is_over {
            store(server, &mut batch, &mut many, stored_to).await?;
            return Ok(many);
        }
    }
}

/// Returns where the line ends that begins at `from`. There is no end before `searched`; the last line may end with the text.
fn end_of_line(text: &[u8], from: usize, searched: usize, is_over: bool) -> Option<usize> {
    let behind = searched.max(from);
    let found = memchr::memchr(b'\n', &text[behind..]).map(|at| behind + at);
    found.or_else(|| (is_over && from < text.len()).then_some(text.len()))
}

async fn store(server: &Server, batch: &mut Batch, many: &mut Many, stored_to: u64) -> Result<(), Problem> {
    let Batch { specs, lines, bytes } = std::mem::take(batch);
    if specs.is_empty() {
        return Ok(());
    }
    if many.stored + specs.len() as u64 > JOBS {
        let problem = Problem::usage(format!(
            "a request has at most {JOBS} jobs; send the rest in another"
        ));
        return Err(at_line(problem, lines[0], many, stored_to));
    }
    let stored = server
        .intake
        .store(specs, bytes)
        .await
        .map_err(|Refusal { problem, index }| {
            let line = index.and_then(|index| lines.get(index)).copied();
            match line {
                Some(line) => at_line(problem, line, many, stored_to),
                None => with_progress(problem, many, stored_to),
            }
        })?;
    for stored in stored {
        many.stored += 1;
        many.existing += u64::from(stored.placed.existing.is_some());
        many.ids.push(stored.id);
    }
    Ok(())
}

fn at_line(mut problem: Problem, line: u64, many: &Many, stored_to: u64) -> Problem {
    problem.detail = format!("line {line}: {}", problem.detail);
    with_progress(problem, many, stored_to)
}

fn with_progress(mut problem: Problem, many: &Many, stored_to: u64) -> Problem {
    problem.progress = Some(Progress {
        stored: many.stored,
        line: (problem.code != "unsure").then_some(stored_to + 1),
    });
    problem
}
