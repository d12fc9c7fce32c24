//! What is said when something cannot be done, as problem+json (RFC 9457).

use std::time::Duration;

use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use queuectl_frontend::kind::{Kind, kind};
use queuectl_storage::StoreError;
use serde::Serialize;

/// Seconds after which to ask again what could not be done for now.
const RETRY_SECONDS: u64 = 1;

/// Why something was not done.
#[derive(Debug, Clone)]
pub struct Problem {
    /// The status of the answer.
    pub status: StatusCode,
    /// A stable word for programs.
    pub code: &'static str,
    /// What happened and what to do, in words.
    pub detail: String,
    /// What was done all the same, of many jobs.
    pub progress: Option<Progress>,
    /// Seconds after which to ask again.
    pub retry_after: Option<u64>,
}

/// How far a request with many jobs came.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Progress {
    /// Jobs that are stored, or were there already.
    pub stored: u64,
    /// The first line of which nothing is stored; none if that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'a str,
    status: u16,
    code: &'static str,
    detail: &'a str,
    #[serde(flatten)]
    progress: Option<Progress>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        let is_for_now = status == StatusCode::SERVICE_UNAVAILABLE;
        Problem {
            status,
            code,
            detail: detail.into(),
            progress: None,
            retry_after: is_for_now.then_some(RETRY_SECONDS),
        }
    }

    /// What was asked for cannot be understood.
    pub fn usage(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "usage", detail)
    }

    /// There is too much to do right now.
    pub fn busy() -> Problem {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "the server has too many requests to answer; ask again in a moment",
        )
    }

    /// It is not known whether jobs are stored.
    pub fn unsure() -> Problem {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "unsure",
            "the server failed while it stored the jobs; look whether they are there before you send them again",
        )
    }

    /// A bug.
    pub fn internal() -> Problem {
        Problem::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the server failed to answer, which is a bug in queuectl; its log has more",
        )
    }

    /// Too many wrong tokens came from the same address.
    pub fn guesses(wait: Duration) -> Problem {
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        let detail =
            format!("too many wrong tokens came from this address; send a token again in {seconds} s");
        Problem {
            retry_after: Some(seconds),
            ..Problem::new(StatusCode::TOO_MANY_REQUESTS, "guesses", detail)
        }
    }

    /// The server is about to end.
    pub fn stopping() -> Problem {
        Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping",
            "the server is stopping",
        )
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        let (status, code) = match kind(&error) {
            Kind::Usage => (StatusCode::BAD_REQUEST, "usage"),
            Kind::NotFound => (StatusCode::NOT_FOUND, "not_found"),
            Kind::Conflict => (StatusCode::CONFLICT, "conflict"),
            Kind::Unusable => (StatusCode::SERVICE_UNAVAILABLE, "unusable"),
            Kind::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
            Kind::Unsure => (StatusCode::INTERNAL_SERVER_ERROR, "unsure"),
            Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Problem::new(status, code, error.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = Document {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            progress: self.progress,
        };
        let body = serde_json::to_vec(&document).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static(
                    "Bearer realm=\"queuectl\", Basic realm=\"queuectl\", charset=\"UTF-8\"",
                ),
            );
        }
        response
    }
}
