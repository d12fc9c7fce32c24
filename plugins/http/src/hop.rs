//! One request on the way to the answer, and the next one when the answer is a redirect.
//!
//! Where a hop may go is not decided here: the connection is checked each time it is made, in [`crate::connect`].

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, HeaderMap, HeaderName, LOCATION};
use http::{Method, Request, StatusCode};
use http_body_util::Full;
use url::Url;

use crate::target;

/// The name of the header by which a server recognises a request that it had before.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What another origin gets to see of the headers. Everything else that a job sets may be a secret of the first.
const FOR_ALL: &[&str] = &[
    "accept",
    "accept-language",
    "content-encoding",
    "content-language",
    "content-type",
    "idempotency-key",
    "user-agent",
];

/// A request to be sent.
#[derive(Debug, Clone)]
pub struct Hop {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Hop {
    pub fn request(&self) -> Result<Request<Full<Bytes>>, String> {
        let mut request = Request::new(Full::new(self.body.clone()));
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = target::uri(&self.url)?;
        *request.headers_mut() = self.headers.clone();
        Ok(request)
    }

    /// The host and, if it is not the usual one, the port: what messages show of the url.
    pub fn host(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The request that a redirect asks for; none if the answer is no redirect.
    ///
    /// # Errors
    /// It leads to where no request can go.
    pub fn next(&self, status: StatusCode, headers: &HeaderMap) -> Result<Option<Hop>, String> {
        let (Some(location), 301 | 302 | 303 | 307 | 308) = (headers.get(LOCATION), status.as_u16()) else {
            return Ok(None);
        };
        let refuse = |why: String| format!("{} redirects to an unusable place: {why}", self.host());
        let location = std::str::from_utf8(location.as_bytes())
            .map_err(|_| refuse("the location is not UTF-8".to_owned()))?;
        let url = self
            .url
            .join(location)
            .map_err(|error| refuse(format!("the location cannot be read ({error})")))?;
        let url = target::checked(url).map_err(refuse)?;
        if self.url.scheme() == "https" && url.scheme() == "http" {
            return Err(refuse(
                "from https to http, where everybody could read along".to_owned(),
            ));
        }
        let mut next = Hop { url, ..self.clone() };
        if next.url.origin() != self.url.origin() {
            let secret = self
                .headers
                .keys()
                .filter(|name| !FOR_ALL.contains(&name.as_str()));
            secret.for_each(|name| drop(next.headers.remove(name)));
        }
        let becomes_get = match status {
            StatusCode::SEE_OTHER => self.method != Method::HEAD,
            StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND => self.method == Method::POST,
            _ => false,
        };
        if becomes_get {
            next.method = Method::GET;
            next.body = Bytes::new();
            for name in [CONTENT_TYPE, CONTENT_ENCODING, CONTENT_LANGUAGE] {
                next.headers.remove(name);
            }
        }
        Ok(Some(next))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post(url: &str) -> Hop {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("authorization", "secret"),
            ("cookie", "secret"),
            ("x-api-key", "secret"),
            ("content-type", "text/plain"),
            ("idempotency-key", "7"),
            ("user-agent", "me"),
        ] {
            headers.insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        Hop {
            method: Method::POST,
            url: url.parse().unwrap(),
            headers,
            body: Bytes::from_static(b"text"),
        }
    }

    fn next(from: &Hop, status: u16, location: &str) -> Result<Option<Hop>, String> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, location.parse().unwrap());
        from.next(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn places_are_relative_to_the_one_before() {
        let from = post("https://a.example/x/y?q");
        for (location, url) in [
            ("z", "https://a.example/x/z"),
            ("/z#part", "https://a.example/z"),
            ("?p", "https://a.example/x/y?p"),
            ("//b.example/", "https://b.example/"),
            ("https://c.example:1/", "https://c.example:1/"),
        ] {
            assert_eq!(next(&from, 307, location).unwrap().unwrap().url.as_str(), url);
        }
    }

    #[test]
    fn some_redirects_turn_a_post_into_a_get() {
        let from = post("http://a.example/");
        for (status, method) in [
            (301, "GET"),
            (302, "GET"),
            (303, "GET"),
            (307, "POST"),
            (308, "POST"),
        ] {
            let hop = next(&from, status, "/b").unwrap().unwrap();
            assert_eq!(hop.method.as_str(), method, "{status}");
            assert_eq!(hop.body.is_empty(), method == "GET");
            assert_eq!(hop.headers.contains_key("content-type"), method == "POST");
            assert_eq!(hop.headers["authorization"], "secret", "the same origin");
        }
        let put = Hop {
            method: Method::PUT,
            ..from
        };
        assert_eq!(next(&put, 302, "/b").unwrap().unwrap().method, Method::PUT);
        assert_eq!(next(&put, 303, "/b").unwrap().unwrap().method, Method::GET);
        for status in [200, 300, 304, 404] {
            assert!(next(&put, status, "/b").unwrap().is_none(), "{status}");
        }
        assert!(put.next(StatusCode::FOUND, &HeaderMap::new()).unwrap().is_none());
    }

    #[test]
    fn another_origin_learns_no_secrets() {
        let from = post("http://a.example/");
        for location in ["http://b.example/", "https://a.example/", "http://a.example:81/"] {
            let hop = next(&from, 308, location).unwrap().unwrap();
            let mut names: Vec<&str> = hop.headers.keys().map(HeaderName::as_str).collect();
            names.sort_unstable();
            assert_eq!(
                names,
                ["content-type", "idempotency-key", "user-agent"],
                "{location}"
            );
        }
    }

    #[test]
    fn unusable_places_are_named() {
        let from = post("https://a.example:1/");
        for (location, why) in [
            ("http://a.example/", "from https to http"),
            ("file:///etc/passwd", "only http and https"),
            ("javascript:0", "only http and https"),
            ("https://me:pw@a.example/", "user name or password"),
            ("https://", "cannot be read"),
        ] {
            let text = next(&from, 302, location).unwrap_err();
            assert!(
                text.starts_with("a.example:1 redirects to an unusable place: "),
                "{text}"
            );
            assert!(text.contains(why), "{location}: {text}");
        }
    }
}
