//! What is printed: data to standard output, remarks and errors to standard error.
//!
//! - [`done`]: what a command has done. - [`diagnostics`]: remarks and errors. - [`escape`]: control characters made visible. - [`json`]: JSON documents.
//! - [`table`]: columns. - [`time`]: times and durations for people.
//! - [`job`], [`attempt`], [`node`]: the documented JSON shapes and their texts.

pub mod attempt;
pub mod diagnostics;
pub mod done;
pub mod escape;
pub mod job;
pub mod json;
pub mod node;
pub mod table;
pub mod time;
