//! What users give, up to the types of the core: lines and documents of unknown length, and the folder a job is given in.

pub mod documents;
pub mod job;
pub mod lines;
