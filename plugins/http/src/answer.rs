//! Judging an answer: whether its status is one that the job expects, when the server wants to be asked again, and
//! whether its body has the text that it must have.
//!
//! Nothing is read from the network here.

use std::ops::RangeInclusive;
use std::time::{Duration, SystemTime};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use memchr::memmem::Finder;

/// A status or a range of them, as jobs write it: `204` or `"200-299"`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub struct Statuses(pub RangeInclusive<u16>);

impl TryFrom<serde_json::Value> for Statuses {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Self, String> {
        let bad =
            || format!("{value} is not a status; write a number such as 204 or a range such as \"200-299\"");
        let number = |text: &str| text.trim().parse::<u16>().ok();
        let range = match &value {
            serde_json::Value::Number(one) => number(&one.to_string()).map(|one| one..=one),
            serde_json::Value::String(text) => match text.split_once('-') {
                Some((first, last)) => number(first).zip(number(last)).map(|(first, last)| first..=last),
                None => number(text).map(|one| one..=one),
            },
            _ => None,
        };
        range
            .filter(|range| *range.start() >= 100 && *range.end() <= 599 && !range.is_empty())
            .map(Statuses)
            .ok_or_else(bad)
    }
}

/// How long the server asks to be left alone: seconds or a date. None if it does not say, or nothing readable.
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // Only too large a number cannot be read.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// Whether a server that says when to come back is only busy: "too many requests" and "service unavailable".
pub fn is_busy(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    )
}

/// `HTTP 503 Service Unavailable`.
pub fn status_text(status: StatusCode) -> String {
    format!(
        "HTTP {} {}",
        status.as_str(),
        status.canonical_reason().unwrap_or_default()
    )
    .trim_end()
    .to_owned()
}

/// Looks for a text in a body that comes in pieces, without keeping the body.
pub struct Search {
    finder: Finder<'static>,
    /// The end of what was seen: the text may have begun there.
    end: Vec<u8>,
    pub found: bool,
}

impl Search {
    pub fn new(text: &str) -> Search {
        Search {
            finder: Finder::new(text).into_owned(),
            end: Vec::new(),
            found: text.is_empty(),
        }
    }

    pub fn push(&mut self, piece: &[u8]) {
        if self.found {
            return;
        }
        let keep = self.finder.needle().len() - 1;
        // Where the text crosses the border, then within the piece.
        self.end.extend_from_slice(&piece[..piece.len().min(keep)]);
        self.found = self.finder.find(&self.end).is_some() || self.finder.find(piece).is_some();
        if piece.len() >= keep {
            self.end.clear();
            self.end.extend_from_slice(&piece[piece.len() - keep..]);
        } else {
            self.end.drain(..self.end.len().saturating_sub(keep));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_numbers_or_ranges() {
        let read = |text: &str| serde_json::from_str::<Statuses>(text).map(|statuses| statuses.0);
        assert_eq!(read("204").unwrap(), 204..=204);
        assert_eq!(read(r#""404""#).unwrap(), 404..=404);
        assert_eq!(read(r#""200-299""#).unwrap(), 200..=299);
        assert_eq!(read(r#""200 - 204""#).unwrap(), 200..=204);
        for bad in ["99", "600", "-200", "2e2", "200.5", "70000", "null", "[]", "true"] {
            let text = read(bad).unwrap_err().to_string();
            assert!(
                text.contains("is not a status; write a number such as 204"),
                "{bad}: {text}"
            );
        }
        for bad in ["", "2xx", "299-200", "200-", "-299", "200-600", "1-2-3"] {
            assert!(read(&format!("\"{bad}\"")).is_err(), "{bad}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Fri, 31 Dec 1999 23:59:00 GMT").unwrap();
        let wait = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, value.parse().unwrap());
            retry_after(&headers, now)
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(wait("30"), seconds(30));
        assert_eq!(wait(" 0 "), seconds(0));
        assert_eq!(wait("99999999999999999999999"), seconds(u64::MAX));
        assert_eq!(wait("Fri, 31 Dec 1999 23:59:59 GMT"), seconds(59));
        assert_eq!(wait("Friday, 31-Dec-99 23:59:59 GMT"), seconds(59));
        assert_eq!(wait("Fri Dec 31 23:59:59 1999"), seconds(59));
        assert_eq!(wait("Fri, 31 Dec 1999 23:00:00 GMT"), seconds(0), "it is past");
        for bad in ["", "-5", "1.5", "soon", "31 Dec"] {
            assert_eq!(wait(bad), None, "{bad}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn a_text_is_found_wherever_the_body_is_cut() {
        let body = b"abcabcabd, the end";
        for text in ["a", "abd", "cab", "abcabd", "end", "abcabcabd, the end"] {
            for size in 1..=body.len() {
                let mut search = Search::new(text);
                body.chunks(size).for_each(|piece| search.push(piece));
                assert!(search.found, "{text} in pieces of {size}");
            }
        }
        for text in ["abcd", "end.", "bda", "abcabcabd, the end "] {
            for size in 1..=body.len() {
                let mut search = Search::new(text);
                body.chunks(size).for_each(|piece| search.push(piece));
                assert!(!search.found, "{text} in pieces of {size}");
            }
        }
        assert!(Search::new("").found);
    }

    #[test]
    fn a_status_has_its_usual_words() {
        assert_eq!(
            status_text(StatusCode::SERVICE_UNAVAILABLE),
            "HTTP 503 Service Unavailable"
        );
        assert_eq!(status_text(StatusCode::from_u16(599).unwrap()), "HTTP 599");
    }
}
