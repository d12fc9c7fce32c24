//! The answers.

pub mod change;
pub mod events;
pub mod health;
pub mod jobs;
pub mod logs;
pub mod queues;
pub mod tokens;

use axum::Json;
use axum::extract::{FromRequestParts, Path};
use http::HeaderMap;
use http::header::ACCEPT;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// An answer: a document, or why there is none.
pub type Answer<T> = Result<Json<T>, Problem>;

/// Reads what a part of the request names.
pub fn named<T>(text: &str) -> Result<T, Problem>
where
    T: std::str::FromStr,
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| Problem::usage(format!("'{text}': {error}")))
}

/// Returns whether a client says that it wants an answer of that type.
pub fn accepts(headers: &HeaderMap, kind: &str) -> bool {
    let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains(kind))
}

/// What the path of a request names.
pub struct Named<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Named<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Named<T>, Problem> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(named)) => Ok(Named(named)),
            Err(refused) => Err(Problem::usage(refused.body_text())),
        }
    }
}
