//! What every way to use queuectl shares, be it the command line, the terminal view or a server: between people or programs and
//! the store.
//!
//! - `input`: reads many jobs from a stream, with bounded memory and without trusting it.
//! - `health`: what keeps jobs from running that could run. `status`: a queue as a whole.
//! - `stats`: how jobs fared in a span of time.
//! - `detail`: everything about one job. `operation`: what an operator did. `changed`, `placed`: what became of one that was changed, or to be stored. `kind`: what kind of error it was.
//! - `load`: other views that take more than one query. `limits`: limits and what holds them.
//! - `reasons`: what is around a job that does not run. `explain`: the same in words.
//! - `output`: what attempts printed, also while they run.
//! - `graph`: which jobs wait for which, as a tree or for Graphviz. `pause`, `time`: pauses and times in words.
//! - `token`: what clients of the HTTP API send.
//! - `columns`: how columns fit a terminal. `wrap`: how texts do. `escape`: makes control characters visible.
//!
//! This crate deliberately prints nothing and opens nothing: it is given a reader, a writer or a store.

pub mod changed;
pub mod columns;
pub mod detail;
pub mod escape;
pub mod explain;
pub mod graph;
pub mod health;
pub mod input;
pub mod kind;
pub mod limits;
pub mod load;
pub mod operation;
pub mod output;
pub mod pause;
pub mod placed;
pub mod reasons;
pub mod stats;
pub mod status;
pub mod time;
pub mod token;
pub mod wrap;
