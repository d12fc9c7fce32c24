//! Answers of the dashboard: pages with what browsers have to heed, ways to the next page, and files.

use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_FRAME_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use queuectl_core::Timestamp;
use queuectl_pages::{Frame, Html, Section, problem, render};
use serde::de::DeserializeOwned;

use crate::api::Named;
use crate::problem::Problem;
use crate::state::Server;
use crate::stream::bytes;

/// What a page may load and where its forms may be sent: nothing but what comes from this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
/// Bytes of a form.
const FORM_BYTES: usize = 64 * 1024;

/// A page, or why there is none.
pub type Answer = Result<Page, Failed>;

/// A page.
pub struct Page(pub Html);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let mut response = Body::from(self.0.into_string()).into_response();
        let headers = response.headers_mut();
        for (name, value) in [
            (CONTENT_TYPE, "text/html; charset=utf-8"),
            (CONTENT_SECURITY_POLICY, POLICY),
            // For browsers that do not know `frame-ancestors`.
            (X_FRAME_OPTIONS, "DENY"),
            // Not `no-referrer`: then browsers do not say either where a form comes from.
            (REFERRER_POLICY, "same-origin"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

/// What went wrong, as a page.
pub struct Failed(pub Problem);

impl<E: Into<Problem>> From<E> for Failed {
    fn from(error: E) -> Failed {
        Failed(error.into())
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let Failed(found) = self;
        let frame = Frame {
            place: String::new(),
            readonly: false,
            now: now(),
            done: None,
        };
        let title = found.status.canonical_reason().unwrap_or("Error");
        let page = render(&frame, Section::Overview, title, &problem(&found.detail));
        let retry = Problem { ..found }.into_response();
        let mut response = Page(page).into_response();
        *response.status_mut() = retry.status();
        for (name, value) in retry.headers() {
            response.headers_mut().entry(name).or_insert(value.clone());
        }
        response
    }
}

/// Says that there is no such page.
pub fn lost() -> Response {
    let detail = "there is no such page; the API is below /api/v1";
    Failed(Problem::new(StatusCode::NOT_FOUND, "not_found", detail)).into_response()
}

/// The clock of this machine, for pages that ask the store nothing.
fn now() -> Timestamp {
    let now = jiff::Timestamp::now();
    Timestamp(now.as_millisecond())
}

/// Returns what is around a page that was read at this time.
pub fn frame(server: &Server, now: Timestamp, did: Option<&str>) -> Frame {
    Frame {
        place: server.place.clone(),
        readonly: server.readonly,
        now,
        done: did.and_then(done),
    }
}

/// What was just done, by the word in the address. Other texts are not shown: anybody can make an address.
fn done(word: &str) -> Option<&'static str> {
    Some(match word {
        "cancel" => "Cancelled; a job that runs is being stopped.",
        "retry" => "It will run again.",
        "hold" => "Held.",
        "release" => "Released.",
        "start" => "The next free node starts it.",
        "purge" => "Purged.",
        "pause" => "Paused; running jobs go on.",
        "resume" => "It goes on.",
        "resumed" => "It was not paused.",
        "run" => "A job was made for it.",
        "undo" => "Undone, as far as nothing has changed since.",
        _ => return None,
    })
}

/// Sends the browser to another page.
pub struct To(pub String);

impl IntoResponse for To {
    fn into_response(self) -> Response {
        let mut response = StatusCode::SEE_OTHER.into_response();
        // Names in addresses are encoded, so this is one.
        if let Ok(place) = HeaderValue::from_str(&self.0) {
            response.headers_mut().insert(LOCATION, place);
        }
        response
    }
}

/// Reads a form.
pub async fn form<T: DeserializeOwned>(server: &Server, request: Request) -> Result<T, Problem> {
    let (bytes, _room) = bytes(&server.room, request).await?;
    if bytes.len() > FORM_BYTES {
        let detail = "a form has at most 64 KiB";
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail));
    }
    serde_urlencoded::from_bytes(&bytes).map_err(|error| Problem::usage(error.to_string()))
}

/// The style sheet and the script, which browsers may keep: another version has another name.
pub async fn asset(Named(file): Named<String>) -> Response {
    let Some(asset) = queuectl_pages::asset(&file) else {
        return lost();
    };
    let mut response = asset.bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=31536000, immutable"),
    );
    response
}
