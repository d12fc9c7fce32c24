//! Schedules: keeping them, and making the jobs of their ticks.
//!
//! There is no leader. Whichever node comes first takes the lock, and writes the ticks' rows, their jobs and the schedule's
//! next time in one transaction; the key of `ticks` refuses a second row for a tick, and with it a second job.

mod backfill;
pub mod copy;
mod edit;
mod job;
mod list;
mod make;
mod operation;
mod rows;
mod tick;
mod undo;

pub use backfill::Backfilled;
pub use edit::ScheduleChange;
pub use list::{TickOf, open_runs};
pub(crate) use make::all as statements;
pub use rows::zone;
pub use tick::Ticked;
pub(super) use undo::undo;
