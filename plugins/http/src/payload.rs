//! From a job's payload to a request that is known to be sendable, or to words that say what is wrong with it.
//!
//! Everything that can be told without the network is told here. Where the request may go is only looked at if its url
//! has an address in it; names are judged when they are resolved.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use queuectl_plugin_api::{Error, Request};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;
use url::Url;

use crate::address::Rule;
use crate::answer::Statuses;
use crate::target;

/// Longest for a request with all its redirects and its answer, unless the job says so.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The most that a job may ask for.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);
/// How many redirects are followed, unless the job says so.
const REDIRECTS: u8 = 5;
/// The most that a job may ask for.
const MOST_REDIRECTS: u8 = 20;

const METHODS: &[Method] = &[
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// Headers that frame the message or belong to the connection: set here or below, or a job could send two requests in one.
const RESERVED: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// JSON Schema of the payload.
pub const SCHEMA: &str = include_str!("payload.schema.json");

/// The payload as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    method: Option<String>,
    url: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    #[serde(default, deserialize_with = "present")]
    json: Option<Box<RawValue>>,
    timeout: Option<Value>,
    expect_status: Option<Vec<Statuses>>,
    expect_body: Option<String>,
    redirects: Option<u8>,
}

/// A value that is there, even if it is `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::deserialize(deserializer).map(Some)
}

/// A request that can be sent, and what its answer must be like.
#[derive(Debug)]
pub struct Plan {
    pub method: Method,
    pub url: Url,
    /// The job's own, and the type of a JSON body.
    pub headers: HeaderMap,
    pub body: Bytes,
    pub timeout: Duration,
    pub expect_status: Vec<RangeInclusive<u16>>,
    pub expect_body: Option<String>,
    pub redirects: u8,
}

impl Plan {
    /// Checks a request.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(request: &Request, rule: Rule) -> Result<Plan, Error> {
        for (member, present) in [
            ("command", request.command().is_some()),
            ("stdin", request.stdin().is_some()),
        ] {
            if present {
                return Err(Error::new(format!(
                    "the http executor has no use for \"{member}\"; describe the request in \"payload\""
                )));
            }
        }
        Plan::checked(request.payload()?, rule).map_err(|text| Error::new(format!("payload: {text}")))
    }

    fn checked(payload: Payload, rule: Rule) -> Result<Plan, String> {
        let has_body = payload.body.is_some() || payload.json.is_some();
        let method = method(payload.method.as_deref(), has_body)?;
        let url = target::parse(&payload.url)?;
        if let Some(address) = target::address(&url) {
            rule.check(address).map_err(|refused| refused.to_string())?;
        }
        let mut headers = headers(&payload.headers)?;
        let body = match (payload.body, payload.json) {
            (Some(_), Some(_)) => return Err("\"body\" and \"json\" exclude each other".to_owned()),
            (Some(text), None) => text.into(),
            (None, Some(json)) => {
                headers
                    .entry(CONTENT_TYPE)
                    .or_insert(HeaderValue::from_static("application/json"));
                // As it was written: a number that this computer cannot hold is none of our business.
                String::from(Box::<str>::from(json)).into()
            }
            (None, None) => Bytes::new(),
        };
        let expect_status = match payload.expect_status {
            Some(list) if list.is_empty() => return Err("\"expect_status\" is an empty list".to_owned()),
            Some(list) => list.into_iter().map(|statuses| statuses.0).collect(),
            None => vec![200..=299],
        };
        let redirects = payload.redirects.unwrap_or(REDIRECTS);
        if redirects > MOST_REDIRECTS {
            return Err(format!(
                "\"redirects\" is at most {MOST_REDIRECTS}, not {redirects}"
            ));
        }
        Ok(Plan {
            method,
            url,
            headers,
            body,
            timeout: payload.timeout.map_or(Ok(TIMEOUT), |value| timeout(&value))?,
            expect_status,
            expect_body: payload.expect_body,
            redirects,
        })
    }
}

fn method(name: Option<&str>, has_body: bool) -> Result<Method, String> {
    let Some(name) = name else {
        return Ok(if has_body { Method::POST } else { Method::GET });
    };
    let mut known = METHODS.iter();
    let found = known.find(|method| method.as_str().eq_ignore_ascii_case(name));
    found.cloned().ok_or_else(|| {
        let names: Vec<&str> = METHODS.iter().map(Method::as_str).collect();
        format!(
            "'{}' is not a method; use one of {}",
            name.escape_debug(),
            names.join(", ")
        )
    })
}

fn headers(given: &BTreeMap<String, String>) -> Result<HeaderMap, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in given {
        let shown = name.escape_debug();
        let parsed: HeaderName = name
            .parse()
            .map_err(|_| format!("'{shown}' is not the name of a header"))?;
        if RESERVED.contains(&parsed.as_str()) {
            return Err(format!(
                "the header '{shown}' is set by the executor; leave it out"
            ));
        }
        // Not repeated in the text: it may be a secret.
        let value = HeaderValue::from_str(value)
            .map_err(|_| format!("the header '{shown}' has a value with a line break or another control"))?;
        if headers.insert(parsed, value).is_some() {
            return Err(format!(
                "the header '{shown}' is there twice; case does not matter in names"
            ));
        }
    }
    Ok(headers)
}

fn timeout(value: &Value) -> Result<Duration, String> {
    let span = match value {
        Value::Number(seconds) => length(&seconds.to_string()),
        Value::String(text) => length(text),
        _ => None,
    };
    span.filter(|span| !span.is_zero() && *span <= LONGEST).ok_or_else(|| {
        format!(
            "{value} is not a timeout: write a number of seconds, or a text such as \"500ms\" or \"1m 30s\", of at \
             most a year"
        )
    })
}

/// A length of time as queuectl reads it everywhere: a bare number is seconds.
fn length(text: &str) -> Option<Duration> {
    let text = text.trim();
    match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(payload: &str) -> Result<Plan, String> {
        request(&format!(r#"{{"payload":{payload}}}"#))
    }

    fn request(request: &str) -> Result<Plan, String> {
        let request = serde_json::from_str(request).unwrap();
        Plan::new(&request, Rule::Public).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let plan = plan(r#"{"url":"http://a.example#part"}"#).unwrap();
        assert_eq!(
            (plan.method, plan.url.as_str()),
            (Method::GET, "http://a.example/")
        );
        assert_eq!((plan.timeout, plan.redirects), (TIMEOUT, 5));
        assert_eq!(plan.expect_status, [200..=299]);
        assert!(plan.headers.is_empty() && plan.body.is_empty() && plan.expect_body.is_none());
    }

    #[test]
    fn a_bare_number_is_seconds() {
        for (value, ms) in [("5", 5000), ("0.25", 250), (r#""5""#, 5000), (r#""5ms""#, 5)] {
            let plan = plan(&format!(r#"{{"url":"http://a.example","timeout":{value}}}"#)).unwrap();
            assert_eq!(plan.timeout, Duration::from_millis(ms), "{value}");
        }
    }

    #[test]
    fn everything_can_be_said() {
        let plan = plan(
            r#"{"url":"https://a.example:8443/x?y=z","method":"put","headers":{"X-A":"1","content-type":"text/csv"},
                "json":null,"timeout":"1m 30s","expect_status":[404,"200-204"],"expect_body":"ok","redirects":0}"#,
        )
        .unwrap();
        assert_eq!((plan.method, &plan.body[..]), (Method::PUT, b"null".as_slice()));
        assert_eq!(plan.headers["x-a"], "1");
        assert_eq!(plan.headers["content-type"], "text/csv", "the job's own wins");
        assert_eq!((plan.timeout, plan.redirects), (Duration::from_secs(90), 0));
        assert_eq!(plan.expect_status, [404..=404, 200..=204]);
        assert_eq!(plan.expect_body.as_deref(), Some("ok"));
    }

    #[test]
    fn a_body_makes_it_a_post() {
        let text = plan(r#"{"url":"http://a.example","body":""}"#).unwrap();
        assert_eq!((text.method, text.headers.len()), (Method::POST, 0));
        let json = plan(r#"{"url":"http://a.example","json":{"a":[1]}}"#).unwrap();
        assert_eq!(
            (json.method, &json.body[..]),
            (Method::POST, br#"{"a":[1]}"#.as_slice())
        );
        assert_eq!(json.headers["content-type"], "application/json");
        let exact = r#"{"z":123456789012345678901234567890,"b":18446744073709551616,"c":-0,"a":1.0,"e":1E400,"s":"\u00e4"}"#;
        let json = plan(&format!(r#"{{"url":"http://a.example","json":{exact}}}"#)).unwrap();
        assert_eq!(json.body, exact, "every token as it was written");
        let get = plan(r#"{"url":"http://a.example","body":"x","method":"GET"}"#).unwrap();
        assert_eq!(get.method, Method::GET);
    }

    #[test]
    fn mistakes_are_named() {
        let url = |rest: &str| format!(r#"{{"url":"http://a.example"{rest}}}"#);
        for (payload, expected) in [
            ("{}".to_owned(), "missing field `url`"),
            (url(r#","retries":3"#), "unknown field `retries`"),
            (
                url(r#","method":"FETCH""#),
                "'FETCH' is not a method; use one of GET, HEAD, POST",
            ),
            (url(r#","method":"TRACE""#), "not a method"),
            (url(r#","body":"","json":1"#), "exclude each other"),
            (url(r#","body":{}"#), "invalid type: map, expected a string"),
            (
                url(r#","headers":{"a b":""}"#),
                "'a b' is not the name of a header",
            ),
            (
                url(r#","headers":{"a":"x\r\nb: c"}"#),
                "the header 'a' has a value with a line break",
            ),
            (url(r#","headers":{"a":"","A":""}"#), "is there twice"),
            (
                url(r#","headers":{"Content-Length":"3"}"#),
                "is set by the executor",
            ),
            (url(r#","headers":{"HOST":"b"}"#), "is set by the executor"),
            (url(r#","timeout":0"#), "0 is not a timeout"),
            (url(r#","timeout":-1"#), "-1 is not a timeout"),
            (url(r#","timeout":31536001"#), "of at most a year"),
            (url(r#","timeout":true"#), "a number of seconds"),
            (url(r#","timeout":"2y""#), "of at most a year"),
            (url(r#","timeout":"soon""#), "\"soon\" is not a timeout"),
            (url(r#","expect_status":[]"#), "an empty list"),
            (url(r#","expect_status":204"#), "expected a sequence"),
            (url(r#","expect_status":["2xx"]"#), "\"2xx\" is not a status"),
            (url(r#","redirects":21"#), "at most 20, not 21"),
            (url(r#","redirects":-1"#), "invalid value"),
            (
                r#"{"url":"a.example"}"#.to_owned(),
                "the url cannot be read (relative URL without a base)",
            ),
            (r#"{"url":""}"#.to_owned(), "the url cannot be read"),
            (r#"{"url":"http://"}"#.to_owned(), "empty host"),
            (r#"{"url":"http://a:99999"}"#.to_owned(), "invalid port number"),
            (
                r#"{"url":"file:///etc/passwd"}"#.to_owned(),
                "begins with 'file:'",
            ),
            (
                r#"{"url":"ftp://a.example"}"#.to_owned(),
                "only http and https are possible",
            ),
            (
                r#"{"url":"http://me:pw@a.example"}"#.to_owned(),
                "an Authorization header",
            ),
        ] {
            let text = plan(&payload).unwrap_err();
            assert!(
                text.starts_with("payload: ") && text.contains(expected),
                "{payload}: {text}"
            );
            assert!(!text.contains("pw"), "{text}");
        }
        let text = request(r#"{"command":"curl","payload":{"url":"http://a.example"}}"#).unwrap_err();
        assert!(text.contains("no use for \"command\""), "{text}");
        assert!(request(r#"{"stdin":"x","payload":{"url":"http://a.example"}}"#).is_err());
        assert!(request(r#"{"payload":{"url":"http://a.example"},"cwd":"/","env":{}}"#).is_ok());
    }

    #[test]
    fn the_schema_knows_the_same_fields() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let properties = schema["properties"].as_object().unwrap();
        let names: Vec<&str> = properties.keys().map(String::as_str).collect();
        let unknown = plan(r#"{"":0}"#).unwrap_err();
        let fields: Vec<&str> = unknown.split('`').skip(3).step_by(2).collect();
        assert_eq!(names.len(), fields.len(), "{unknown}");
        assert!(fields.iter().all(|field| names.contains(field)), "{unknown}");
        assert_eq!(schema["additionalProperties"], false);
    }
}
