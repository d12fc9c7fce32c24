//! Which requests are not let in, whatever they ask for: those to a name that is not ours, and changes that another site's page
//! sends.
//!
//! A page on the web can have a browser send requests to this machine. It can read no answer, since none says it may, unless it
//! makes its own name mean this machine; then the request has that name. And it cannot change anything: a browser says which site a
//! request comes from, and only programs ask without saying so, for which JSON is required, which no form sends. Nor can it keep the
//! server busy with reads: only links may lead here from another site.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::hosts::Hosts;
use crate::problem::Problem;
use crate::state::Server;

/// Lets a request in, or says why not.
pub async fn guard(State(server): State<Arc<Server>>, request: Request, next: Next) -> Response {
    match check(&server.hosts, request.method(), request.headers()) {
        Ok(()) => {
            let mut response = next.run(request).await;
            let headers = response.headers_mut();
            headers.insert(
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            );
            headers
                .entry(header::CACHE_CONTROL)
                .or_insert(HeaderValue::from_static("no-store"));
            response
        }
        Err(problem) => problem.into_response(),
    }
}

fn check(hosts: &Hosts, method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let refused = |status, detail: &str| Err(Problem::new(status, "refused", detail));
    let text = |value: Option<&HeaderValue>| value.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut named = headers.get_all(HOST).iter();
    let host = text(named.next());
    let Some(host) = host.filter(|_| named.next().is_none()) else {
        return refused(StatusCode::BAD_REQUEST, "a request has to name one host");
    };
    if !hosts.has(&host) {
        return refused(
            StatusCode::MISDIRECTED_REQUEST,
            "this server is not known by that name; `queuectl serve --host NAME` adds one",
        );
    }
    let site = text(headers.get("sec-fetch-site"));
    if method.is_safe() {
        // A link may lead here; but what a page fetches or frames, it cannot read, and only keeps the server busy with.
        let is_link = text(headers.get("sec-fetch-mode")).as_deref() == Some("navigate")
            && text(headers.get("sec-fetch-dest")).is_none_or(|kind| kind == "document");
        return match site.as_deref() == Some("cross-site") && !is_link {
            true => refused(StatusCode::FORBIDDEN, "another site's page asked for this"),
            false => Ok(()),
        };
    }
    let is_own = site.as_deref() == Some("same-origin") || headers.contains_key(ORIGIN);
    if site.is_some_and(|site| !["same-origin", "none"].contains(&site.as_str())) {
        return refused(StatusCode::FORBIDDEN, "changes are not taken from other sites");
    }
    if let Some(origin) = headers.get(ORIGIN) {
        let origin = text(Some(origin)).unwrap_or_default();
        let from = origin
            .split_once("://")
            .map(|(_, host)| host.to_ascii_lowercase());
        if from != Some(host.to_ascii_lowercase()) {
            return refused(StatusCode::FORBIDDEN, "changes are not taken from other sites");
        }
    }
    let is_empty = headers
        .get(header::CONTENT_LENGTH)
        .is_some_and(|length| length == "0")
        || !headers.contains_key(header::CONTENT_LENGTH) && !headers.contains_key(header::TRANSFER_ENCODING);
    let kind = text(headers.get(CONTENT_TYPE)).unwrap_or_default();
    let kind = kind
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    // A form of the dashboard, which the browser says is ours.
    if is_own && kind == "application/x-www-form-urlencoded" {
        return Ok(());
    }
    // Without a body a browser asks first, or names its site: DELETE it has to ask for, POST names its origin.
    match is_empty || ["application/json", "application/x-ndjson"].contains(&kind.as_str()) {
        true => Ok(()),
        false => refused(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "send application/json, or application/x-ndjson for many jobs",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(method: Method, headers: &[(&'static str, &str)]) -> u16 {
        let hosts = Hosts::new(
            &["127.0.0.1:8765".parse().unwrap()],
            &["queue.example".to_owned()],
        );
        let headers = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        match check(&hosts, &method, &headers) {
            Ok(()) => 200,
            Err(problem) => problem.status.as_u16(),
        }
    }

    #[test]
    fn requests_to_other_names_are_refused() {
        for host in [
            "localhost",
            "localhost:8765",
            "127.0.0.1:1",
            "[::1]:80",
            "Queue.Example",
        ] {
            assert_eq!(status(Method::GET, &[("host", host)]), 200, "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:8765",
            "",
        ] {
            assert_eq!(status(Method::GET, &[("host", host)]), 421, "{host}");
        }
        assert_eq!(status(Method::GET, &[]), 400);
    }

    #[test]
    fn only_links_lead_here_from_other_sites() {
        let with = |more: &[(&'static str, &'static str)]| {
            status(Method::GET, &[&[("host", "localhost:8765")][..], more].concat())
        };
        let (foreign, link) = (("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"));
        assert_eq!(with(&[foreign]), 403);
        for mode in ["no-cors", "cors", "same-origin", "websocket", ""] {
            assert_eq!(with(&[foreign, ("sec-fetch-mode", mode)]), 403, "{mode}");
        }
        assert_eq!(with(&[foreign, link, ("sec-fetch-dest", "iframe")]), 403);
        assert_eq!(with(&[foreign, link, ("sec-fetch-dest", "document")]), 200);
        assert_eq!(with(&[foreign, link]), 200);
        for site in ["same-origin", "same-site", "none"] {
            let own = [("sec-fetch-site", site), ("sec-fetch-mode", "cors")];
            assert_eq!(with(&own), 200, "{site}");
        }
        assert_eq!(with(&[]), 200, "a program");
    }

    #[test]
    fn changes_from_other_sites_are_refused() {
        let json = ("content-type", "application/json; charset=utf-8");
        let with = |more: &[(&'static str, &'static str)]| {
            let head = [("host", "localhost:8765"), ("content-length", "2")];
            status(Method::POST, &[&head[..], more].concat())
        };
        assert_eq!(with(&[json]), 200);
        assert_eq!(with(&[json, ("sec-fetch-site", "same-origin")]), 200);
        assert_eq!(with(&[json, ("origin", "http://localhost:8765")]), 200);
        for site in ["cross-site", "same-site", "anything"] {
            assert_eq!(with(&[json, ("sec-fetch-site", site)]), 403, "{site}");
        }
        for origin in ["http://evil.example", "null", "http://localhost:1", ""] {
            assert_eq!(with(&[json, ("origin", origin)]), 403, "{origin}");
        }
        let form = ("content-type", "application/x-www-form-urlencoded");
        assert_eq!(with(&[form, ("sec-fetch-site", "same-origin")]), 200);
        assert_eq!(with(&[form, ("origin", "http://localhost:8765")]), 200);
        assert_eq!(with(&[form, ("sec-fetch-site", "none")]), 415);
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data",
            "",
        ] {
            assert_eq!(with(&[("content-type", kind)]), 415, "{kind}");
        }
        assert_eq!(with(&[]), 415);
    }
}
