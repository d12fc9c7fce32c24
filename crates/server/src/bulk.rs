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
use http::{HeaderMap, HeaderValue, StatusCode};
use jiff::ZonedDateTime;
use queuectl_core::JobSpec;
use queuectl_core::limits::{ANSWER_KEY_BYTES, ENQUEUE_BATCH};
use queuectl_storage::RequestKey;
use queuectl_views::EnqueuedView;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::caller;
use crate::incoming::Incoming;
use crate::intake::Refusal;
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
    /// Those that a request with the same key had stored before.
    #[serde(skip)]
    repeated: u64,
    /// Batches so far.
    #[serde(skip)]
    parts: i32,
}

/// `queuectl enqueue`.
pub async fn enqueue(State(server): State<Arc<Server>>, request: Request) -> Result<Response, Problem> {
    let key = OnceKey::of(request.headers())?;
    if is_lines(request.headers()) {
        let _room = server.room.take(LINE_BYTES + BATCH_BYTES)?;
        let many = lines(&server, request.into_body(), key).await?;
        let is_repeated = many.repeated > 0 && many.repeated == many.stored;
        return Ok(answer(StatusCode::CREATED, &many, is_repeated));
    }
    let (bytes, _room) = stream::bytes(&server.room, request).await?;
    let spec = spec(&bytes)?;
    let key = key.map(|key| key.part(1, Sha256::digest(&bytes).into()));
    let done = server.intake.store(vec![spec], bytes.len(), key).await;
    let done = done.map_err(|refusal| refusal.problem)?;
    let stored = done.jobs.first().ok_or_else(Problem::internal)?;
    let status = match stored.existing {
        true => StatusCode::OK,
        false => StatusCode::CREATED,
    };
    let view = EnqueuedView {
        id: &stored.id,
        existing: stored.existing,
        replaced: stored.replaced.as_deref(),
    };
    Ok(answer(status, &view, done.was_before))
}

fn answer(status: StatusCode, body: &impl Serialize, is_repeated: bool) -> Response {
    let mut response = (status, Json(body)).into_response();
    if is_repeated {
        let headers = response.headers_mut();
        headers.insert("idempotency-replayed", HeaderValue::from_static("true"));
    }
    response
}

/// The key of a request, which is not done twice.
#[derive(Clone)]
struct OnceKey {
    scope: String,
    key: String,
}

impl OnceKey {
    fn of(headers: &HeaderMap) -> Result<Option<OnceKey>, Problem> {
        let mut keys = headers.get_all("idempotency-key").iter();
        let Some(key) = keys.next() else {
            return Ok(None);
        };
        let key = key
            .to_str()
            .ok()
            .filter(|key| (1..=ANSWER_KEY_BYTES).contains(&key.len()));
        let Some(key) = key.filter(|_| keys.next().is_none()) else {
            return Err(Problem::usage(format!(
                "Idempotency-Key: expected one key of 1 to {ANSWER_KEY_BYTES} printable ASCII characters"
            )));
        };
        let caller = caller::current();
        let token = caller.as_ref().and_then(|caller| caller.token.as_ref());
        // A name can be given again, to a token of somebody else.
        let scope = token.map(|token| format!("{} {}", token.name, token.created_at.0));
        Ok(Some(OnceKey {
            scope: scope.unwrap_or_default(),
            key: key.to_owned(),
        }))
    }

    fn part(&self, part: i32, hash: [u8; 32]) -> RequestKey {
        RequestKey {
            scope: self.scope.clone(),
            key: self.key.clone(),
            part,
            hash,
        }
    }
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
    /// Of their text, line by line.
    hash: Sha256,
}

async fn lines(server: &Server, body: Body, key: Option<OnceKey>) -> Result<Many, Problem> {
    let key = key.as_ref();
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
                if key.is_some() {
                    batch.hash.update(text);
                    batch.hash.update(b"\n");
                }
            }
            if batch.specs.len() >= ENQUEUE_BATCH || batch.bytes >= BATCH_BYTES {
                store(server, &mut batch, &mut many, stored_to, key).await?;
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
            store(server, &mut batch, &mut many, stored_to, key).await?;
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

async fn store(
    server: &Server,
    batch: &mut Batch,
    many: &mut Many,
    stored_to: u64,
    key: Option<&OnceKey>,
) -> Result<(), Problem> {
    let Batch {
        specs,
        lines,
        bytes,
        hash,
    } = std::mem::take(batch);
    if specs.is_empty() {
        return Ok(());
    }
    if many.stored + specs.len() as u64 > JOBS {
        let problem = Problem::usage(format!(
            "a request has at most {JOBS} jobs; send the rest in another"
        ));
        return Err(at_line(problem, lines[0], many, stored_to));
    }
    many.parts += 1;
    let key = key.map(|key| key.part(many.parts, hash.finalize().into()));
    let done = server
        .intake
        .store(specs, bytes, key)
        .await
        .map_err(|Refusal { problem, index }| {
            let line = index.and_then(|index| lines.get(index)).copied();
            match line {
                Some(line) => at_line(problem, line, many, stored_to),
                None => with_progress(problem, many, stored_to),
            }
        })?;
    for stored in done.jobs {
        many.stored += 1;
        many.existing += u64::from(stored.existing);
        many.repeated += u64::from(done.was_before);
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
