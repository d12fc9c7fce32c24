//! What the operations and the dialects pass to each other. No SQL, and no connection.

pub mod cycle;
pub mod ends;
pub mod filter;
pub mod history;
pub mod jobs;
pub mod limits;
pub mod list;
pub mod nodes;
pub mod operation;
pub mod pause;
pub mod placed;
pub mod readable;
pub mod sketch;
pub mod sort;
pub mod source;
pub mod text;
