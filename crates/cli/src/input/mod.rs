//! What users write, into types of the core: times and durations, jobs, and lines of unknown length.

pub mod documents;
pub mod fields;
pub mod job;
pub mod json;
pub mod lines;
pub mod time;
