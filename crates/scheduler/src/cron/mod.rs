//! When a schedule runs: expressions as in a crontab, and the next time of one in a time zone.
//!
//! Days follow Vixie cron: if both the day of the month and the day of the week are restricted, one of them suffices; if
//! one begins with `*`, both must match. Clock changes follow Debian's cron: an expression whose minute and hour do not
//! begin with `*` is at fixed times, of which those that the clock leaves out run right after the change and those that it
//! shows twice run once; all others follow the clock. Nothing here reads a clock, and every search ends.

mod error;
mod expr;
mod field;
mod next;
mod parse;
mod window;

#[cfg(test)]
mod tests;

pub use error::{CronError, FieldName};
pub use expr::Expr;
pub use next::next_tick;
pub use window::{Missed, Older, missed};

/// A time zone with the rules of the IANA database.
pub type Zone = jiff::tz::TimeZone;
