//! A run from the first request to its outcome: sending, following redirects, passing the body on, judging.
//!
//! Dropping the future aborts the request, wherever it stands. What reached the server by then stays done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use http::header::{HeaderValue, USER_AGENT};
use http::{Response, StatusCode, response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use queuectl_plugin_api::{Outcome, Run, RunHandle};
use tokio::time::{Instant as Deadline, timeout_at};

use crate::answer::{Search, is_busy, retry_after, status_text};
use crate::connect::Client;
use crate::failure;
use crate::hop::{Hop, IDEMPOTENCY_KEY};
use crate::payload::Plan;

const AGENT: &str = concat!("queuectl/", env!("CARGO_PKG_VERSION"));

/// Longest text of a job that a message repeats, in characters.
const SHOWN: usize = 100;

/// Numbers about the work of an instance.
#[derive(Debug, Default)]
pub struct Counters {
    /// Requests sent; a redirect is one more.
    pub requests: AtomicU64,
    /// Bytes of answers that were passed on.
    pub bytes: AtomicU64,
    /// Runs that failed.
    pub failures: AtomicU64,
}

/// What a run needs.
pub struct Exchange {
    client: Client,
    counters: Arc<Counters>,
    max_output: u64,
    plan: Plan,
    key: String,
}

/// The body, as far as it was read.
struct Body {
    bytes: u64,
    cut: bool,
    found: bool,
}

/// By what a server can recognise that it had this attempt before. The fence and not the number of the attempt, because
/// which restarts when a dead job is retried: servers would repeat their old answer.
fn idempotency_key(run: &Run) -> String {
    let (job, fence) = (run.job_number(), run.fence());
    match run.mark().split_once('.') {
        Some((store, _)) => format!("queuectl-{store}-{job}-{fence}"),
        None => format!("queuectl-{job}-{fence}"),
    }
}

impl Exchange {
    pub fn new(client: Client, counters: Arc<Counters>, max_output: u64, plan: Plan, run: &Run) -> Exchange {
        Exchange {
            client,
            counters,
            max_output,
            plan,
            key: idempotency_key(run),
        }
    }

    /// Does it all; the end of the run.
    pub async fn run(self, run: RunHandle) -> Outcome {
        let outcome = self.outcome(&run).await;
        outcome.unwrap_or_else(|failure| {
            self.counters.failures.fetch_add(1, Ordering::Relaxed);
            failure
        })
    }

    async fn outcome(&self, run: &RunHandle) -> Result<Outcome, Outcome> {
        let begun = Instant::now();
        let deadline = Deadline::now() + self.plan.timeout;
        let late = |what: &str| {
            let limit = self.plan.timeout.as_secs_f64();
            Outcome::failed(format!("{what} within {limit} s"))
        };
        let answer = timeout_at(deadline, self.answer());
        let (host, answer) = answer.await.unwrap_or_else(|_| Err(late("no answer")))?;
        let (head, body) = answer.into_parts();
        let wait = retry_after(&head.headers, SystemTime::now());
        let body = timeout_at(deadline, self.pass_on(&host, body, run));
        let body = body.await.unwrap_or_else(|_| {
            Err(late(&format!(
                "{}, but its body did not end",
                status_text(head.status)
            )))
        });
        let judged = body.and_then(|body| {
            run.event("answered", &summary(&head, &body, begun));
            self.judge(head.status, wait, &body)
        });
        judged.map_err(|failure| match wait {
            Some(wait) if is_busy(head.status) && !self.expects(head.status.as_u16()) => {
                failure.as_busy(wait)
            }
            Some(wait) => failure.with_retry_after(wait),
            None => failure,
        })
    }

    /// Sends the request, and what redirects make of it. The host that answered and its answer.
    async fn answer(&self) -> Result<(String, Response<Incoming>), Outcome> {
        let mut hop = self.first();
        let mut followed = 0;
        loop {
            let request = hop.request().map_err(Outcome::failed)?;
            self.counters.requests.fetch_add(1, Ordering::Relaxed);
            let answer = self.client.request(request).await;
            let answer = answer.map_err(|error| failure::unanswered(&hop.host(), &error, followed > 0))?;
            if self.plan.redirects == 0 || self.expects(answer.status().as_u16()) {
                return Ok((hop.host(), answer));
            }
            hop = match hop.next(answer.status(), answer.headers()) {
                Ok(Some(next)) => next,
                Ok(None) => return Ok((hop.host(), answer)),
                Err(why) => return Err(Outcome::failed(why)),
            };
            if followed == self.plan.redirects {
                let text = format!("more than {followed} redirects, the last to {}", hop.host());
                return Err(Outcome::failed(text));
            }
            followed += 1;
        }
    }

    fn first(&self) -> Hop {
        let mut headers = self.plan.headers.clone();
        let agent = HeaderValue::from_static(AGENT);
        headers.entry(USER_AGENT).or_insert(agent);
        // A mark that is no header value is none of ours.
        if let Ok(key) = HeaderValue::from_str(&self.key) {
            headers.entry(IDEMPOTENCY_KEY).or_insert(key);
        }
        Hop {
            method: self.plan.method.clone(),
            url: self.plan.url.clone(),
            headers,
            body: self.plan.body.clone(),
        }
    }

    fn expects(&self, status: u16) -> bool {
        let mut expected = self.plan.expect_status.iter();
        expected.any(|range| range.contains(&status))
    }

    /// Makes the body the job's output as it comes. Beyond the limit nothing is read; nothing is kept here.
    async fn pass_on(&self, host: &str, mut body: Incoming, run: &RunHandle) -> Result<Body, Outcome> {
        let mut search = Search::new(self.plan.expect_body.as_deref().unwrap_or_default());
        let (mut bytes, mut cut) = (0, false);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| {
                Outcome::failed(format!(
                    "the answer of {host} was cut short: {}",
                    failure::text(&error)
                ))
            })?;
            let Ok(data) = frame.into_data() else {
                continue;
            };
            let room = usize::try_from(self.max_output - bytes).unwrap_or(usize::MAX);
            cut = data.len() > room;
            let piece = &data[..data.len().min(room)];
            search.push(piece);
            run.output(piece);
            bytes += piece.len() as u64;
            self.counters
                .bytes
                .fetch_add(piece.len() as u64, Ordering::Relaxed);
            if cut {
                break;
            }
        }
        let found = search.found;
        Ok(Body { bytes, cut, found })
    }

    fn judge(&self, status: StatusCode, wait: Option<Duration>, body: &Body) -> Result<Outcome, Outcome> {
        let text = status_text(status);
        if !self.expects(status.as_u16()) {
            let wait = match wait {
                Some(wait) => format!("; retry after {} s", wait.as_secs_f64().ceil()),
                None => String::new(),
            };
            return Err(Outcome::failed(format!("{text}{wait}")));
        }
        if !body.found {
            let missing: String = self
                .plan
                .expect_body
                .iter()
                .flat_map(|text| text.chars())
                .take(SHOWN)
                .collect();
            let part = if body.cut {
                format!("the first {} bytes of its body have", body.bytes)
            } else {
                "its body has".to_owned()
            };
            return Err(Outcome::failed(format!(
                "{text}, but {part} no '{}'",
                missing.escape_debug()
            )));
        }
        Ok(Outcome::succeeded())
    }
}

/// `HTTP 200 OK, 512 bytes, 12 ms`.
fn summary(head: &response::Parts, body: &Body, begun: Instant) -> String {
    let status = status_text(head.status);
    let cut = if body.cut { " (the rest was not read)" } else { "" };
    format!(
        "{status}, {} bytes{cut}, {} ms",
        body.bytes,
        begun.elapsed().as_millis()
    )
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{IpAddr, Ipv4Addr, TcpListener};

    use super::*;
    use crate::address::Rule;

    /// A server for two requests: the first is sent on to that place.
    fn redirecting(to: impl Fn(u16) -> String) -> (u16, std::thread::JoinHandle<usize>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let place = to(port);
        let thread = std::thread::spawn(move || {
            for served in 0.. {
                let (mut stream, _) = listener.accept().unwrap();
                let mut seen = [0; 1024];
                let read = stream.read(&mut seen).unwrap();
                if seen[..read].starts_with(b"GET /end") {
                    return served;
                }
                let head = if seen[..read].starts_with(b"GET /there") {
                    "HTTP/1.1 204 No Content\r\n\r\n".to_owned()
                } else {
                    format!(
                        "HTTP/1.1 302 Found\r\nlocation: {place}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                    )
                };
                stream.write_all(head.as_bytes()).unwrap();
            }
            unreachable!()
        });
        (port, thread)
    }

    /// What comes of a request to the server, and how many it saw.
    fn follow(to: impl Fn(u16) -> String) -> (Result<u16, String>, usize) {
        let (port, server) = redirecting(to);
        let request = format!(r#"{{"payload":{{"url":"http://127.0.0.1:{port}/"}}}}"#);
        let rule = Rule::Only(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let exchange = Exchange {
            client: crate::connect::client(rule).unwrap(),
            counters: Arc::default(),
            max_output: 0,
            plan: Plan::new(&serde_json::from_str(&request).unwrap(), rule).unwrap(),
            key: "key".to_owned(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let answer = runtime.block_on(exchange.answer());
        let answer = answer
            .map(|(_, answer)| answer.status().as_u16())
            .map_err(|outcome| format!("{outcome:?}"));
        let mut end = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        end.write_all(b"GET /end").unwrap();
        (answer, server.join().unwrap())
    }

    #[test]
    fn a_redirect_cannot_lead_to_a_refused_address() {
        let (answer, requests) = follow(|port| format!("http://127.0.0.2:{port}/there"));
        let text = answer.unwrap_err();
        assert!(text.contains("127.0.0.2, which is refused"), "{text}");
        assert_eq!(requests, 1);
        let (answer, requests) = follow(|port| format!("http://[::ffff:127.0.0.1]:{port}/there"));
        assert!(answer.unwrap_err().contains("which is refused"));
        assert_eq!(requests, 1);
        let (answer, requests) = follow(|port| format!("http://127.0.0.1:{port}/there"));
        assert_eq!((answer, requests), (Ok(204), 2), "the control");
    }
}
