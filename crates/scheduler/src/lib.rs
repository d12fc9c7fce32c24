//! When a job runs again, and how many jobs a node takes on: pure functions over the core's types.
//!
//! No clock, no randomness and no store in here: callers hand in the time, a random number and what they measured,
//! so that every decision can be tested to the letter.

mod backoff;
pub mod cron;
pub mod plan;
mod prefetch;
mod retry;

pub use backoff::{Backoff, delay};
pub use prefetch::{Pace, claim_count};
pub use retry::{RetryPolicy, after};
