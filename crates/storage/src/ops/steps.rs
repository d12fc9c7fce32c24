//! Long work goes in steps: how large one is, and the rest after it.

use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::Store;

/// Rests as long as the step took that began then, so that others can write.
pub fn let_others_write(start: Instant) {
    std::thread::sleep(start.elapsed());
}

/// How many jobs a step has, by how long the one before held the store: other writers wait for it. How long it waited itself says
/// nothing about that.
#[derive(Debug)]
pub(super) struct Pace(u32);

impl Pace {
    /// The first step, which nothing is known of.
    const FIRST: u32 = 250;
    const LEAST: u32 = 50;
    /// Keeps small what is in memory, and what a statement has to be told.
    const MOST: u32 = 4000;
    /// How long a step should take.
    const TIME: Duration = Duration::from_millis(50);

    pub fn new() -> Pace {
        Pace(Pace::FIRST)
    }

    /// The most jobs of the next step.
    pub fn jobs(&self) -> u32 {
        self.0
    }

    /// Goes by a step that held the store this long. A single one that was quick does not make the next one large at once.
    pub fn took(&mut self, time: Duration) {
        let share = Pace::TIME.as_secs_f64() / time.as_secs_f64().max(f64::MIN_POSITIVE);
        let jobs = f64::from(self.0) * share.clamp(0.25, 2.0);
        // Within the bounds, so nothing is cut off.
        self.0 = jobs.clamp(f64::from(Pace::LEAST), f64::from(Pace::MOST)) as u32;
    }
}

/// Measures until it is dropped.
pub(super) struct Timed<'a> {
    begun: Instant,
    time: &'a Cell<Duration>,
}

impl Timed<'_> {
    pub fn new(time: &Cell<Duration>) -> Timed<'_> {
        let begun = Instant::now();
        Timed { begun, time }
    }
}

impl Drop for Timed<'_> {
    fn drop(&mut self) {
        self.time.set(self.begun.elapsed());
    }
}

impl Store {
    /// Rests as long as a step kept others waiting, if they want to write.
    pub(super) fn rest_after(&mut self, step: Duration) {
        if self.backend.others_wrote() {
            std::thread::sleep(step);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_grow_while_they_are_quick_and_shrink_when_they_are_slow() {
        let mut pace = Pace::new();
        pace.took(Duration::ZERO);
        assert_eq!(pace.jobs(), 2 * Pace::FIRST, "at most twice as large");
        pace.took(Pace::TIME);
        assert_eq!(pace.jobs(), 2 * Pace::FIRST, "as it should be");
        pace.took(2 * Pace::TIME);
        assert_eq!(pace.jobs(), Pace::FIRST);
        for _ in 0..20 {
            pace.took(Duration::from_micros(1));
        }
        assert_eq!(pace.jobs(), Pace::MOST);
        for _ in 0..20 {
            pace.took(Duration::from_secs(1));
        }
        assert_eq!(pace.jobs(), Pace::LEAST);
    }
}
