//! Stands in for the `pq-sys` that Diesel would link: libpq is loaded when it is first needed.
//!
//! - `functions`: what Diesel and the store call of libpq, listed once.
//! - `types`: libpq's types, as far as those functions have them.
//! - `load`: finds and loads the library. Callers that use a connection call [`load`] first.

// They are named as in libpq, whose manual says what they do.
#![allow(non_snake_case, non_camel_case_types, missing_docs, clippy::missing_safety_doc)]

mod functions;
mod load;
mod types;

pub use functions::*;
pub use load::{LoadError, load};
pub use types::*;
