//! The answers.

pub mod change;
pub mod events;
pub mod health;
pub mod jobs;
pub mod queues;

use axum::Json;

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
