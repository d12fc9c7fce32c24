//! What is printed: data to standard output, remarks and errors to standard error.
//!
//! - [`done`]: what a command has done. - [`say`]: remarks and errors. - [`escape`]: control characters made visible. - [`json`]: JSON documents.
//! - [`table`]: columns. - [`time`]: times and durations for people.
//! - [`job`], [`attempt`], [`node`]: the documented JSON shapes and their texts.

pub mod attempt;
pub mod done;
pub mod escape;
pub mod job;
pub mod json;
pub mod node;
pub mod say;
pub mod table;
pub mod time;
