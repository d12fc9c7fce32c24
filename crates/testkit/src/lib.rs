//! What tests share: temporary stores, jobs to put into them, and the conformance suite that every backend of the
//! store must pass. A dev-dependency only.

pub mod conformance;
mod skip;
mod temp;

pub use skip::skipped;
pub use temp::{TempStore, fresh_postgres, job, record};
