//! Limits: which jobs hold a key, which wait for it, and what a claim, an end and a new job change about that.
//!
//! A job that names limits has rows in `job_limits` only while they matter:
//!
//! - `PARKED`: it is blocked, and has one row, for the key that it waits for,
//! - `ADMITTED`: it is ready, and has a row for each of its keys. Those rows reserve nothing; they only keep more jobs from
//!   being made ready than there is room for,
//! - `HOLDING`: it runs, and has a row for each of its keys. Only these count when a claim asks whether there is room.
//!
//! A slot is the running job's row itself, written in the transaction that claims and removed in the one that records the
//! end. So nothing can leak, and no counter can be wrong. What is decided here is decided under [`LimitRows::lock_limits`],
//! because two nodes could otherwise take the same last slot.
//!
//! Waking a job too much is harmless, because the claim asks again. Waking one too few is not, so whatever makes room
//! calls [`settle`], a key that has room later has a time in `limit_keys`, and [`sweep`] looks at everything now and then.

mod admit;
mod busy;
mod check;
mod claims;
mod keys;
mod park;
mod queues;
mod settle;
mod started;
mod statements;
mod sweep;

pub use busy::{busy, busy_key};
pub use check::{WRONG, WRONG_ON_SERVER};
pub use claims::Claims;
pub use keys::{Full, Keys, named, queue_key};
pub use park::{check, park, place_ready};
pub use queues::{LimitParts, caps, freed, queue_limit};
pub use settle::{release, settle, settle_due};
pub use started::started;
pub(crate) use statements::{
    KeyColumns, KeyRow, KeyTimes, LimitColumns, LimitRow, LimitRows, ParkedColumns, ParkedRow, ReadyColumns,
    ReadyRow, StartRow, json, limit, limit_statements,
};
pub use sweep::Sweep;
