//! Times of schedules for people: by the clock of the schedule's zone.

use anyhow::Result;
use queuectl_core::Timestamp;
use queuectl_core::schedule::ScheduleSpec;
use queuectl_scheduler::cron::{Expr, Zone, next_tick};
use queuectl_storage::zone;

use crate::exit::Usage;

/// Returns the time by the zone's clock: `2026-11-30 02:30:00 +01:00`.
pub fn in_zone(time: Timestamp, zone: &Zone) -> String {
    let zoned = time.to_jiff().to_zoned_datetime(zone.clone());
    zoned.strftime("%a %Y-%m-%d %H:%M:%S %:z").to_string()
}

/// Returns the name of this machine's time zone; UTC if it has none.
pub fn here() -> String {
    let system = Zone::system();
    system.iana_name().unwrap_or("UTC").to_owned()
}

/// The times of an expression in a zone.
pub struct Times {
    pub expr: Expr,
    pub zone: Zone,
    start: Timestamp,
}

impl Times {
    /// Reads an expression and a zone. `start` is that of an `@every`.
    pub fn read(when: &str, tz: &str, start: Timestamp) -> Result<Times> {
        let expr = when.parse().map_err(|error| Usage::new(format!("{error}")))?;
        let zone = zone(tz).map_err(Usage::new)?;
        Ok(Times { expr, zone, start })
    }

    pub fn of(spec: &ScheduleSpec, start: Timestamp) -> Result<Times> {
        Times::read(&spec.when, &spec.zone, start)
    }

    /// Returns the times after `after`, in order.
    pub fn after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        let next = move |after: &Timestamp| next_tick(&self.expr, &self.zone, self.start, *after);
        std::iter::successors(next(&after), next)
    }
}
