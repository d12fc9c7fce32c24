//! Reads jobs from a stream: documents, lines and rows of unknown length, up to the types of the core.

pub mod argv;
pub mod documents;
pub mod env_file;
pub mod graph;
pub mod job;
pub mod line_jobs;
pub mod lines;
pub mod rows;
pub mod source;
