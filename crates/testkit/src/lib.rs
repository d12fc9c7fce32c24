//! What tests share: temporary stores, jobs to put into them, and the conformance suite that every backend of the
//! store must pass. A dev-dependency only.

pub mod conformance;
pub mod history;
mod skip;
mod temp;

pub use skip::skipped;
pub use temp::{TempStore, fresh_postgres, job, new_node, record, valid};
