//! Reads jobs from a stream: lines and documents of unknown length, up to the types of the core.

pub mod documents;
pub mod graph;
pub mod job;
pub mod lines;
