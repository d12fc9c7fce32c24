//! How many jobs a node claims beyond its free slots, so that short jobs do not wait for a commit.

use std::time::Duration;

/// A claimed job should not wait longer than about this for a slot.
const AHEAD: Duration = Duration::from_millis(50);
/// Most jobs claimed ahead per slot.
const MOST_PER_SLOT: u32 = 1024;
/// Most jobs claimed per slot in one turn: who wants to write meanwhile waits for its end.
const MOST_PER_TURN: u32 = 256;
/// What the payloads of jobs claimed ahead may take, per slot.
const AHEAD_BYTES: f64 = 4.0 * 1024.0 * 1024.0;
/// What a very short job may take more than others without meaning anything, in microseconds.
const HELD_UP_US: f64 = 100.0;

/// Moving averages of how long jobs take, and of how large they are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    average_us: Option<f64>,
    average_bytes: f64,
}

impl Pace {
    /// Takes a finished job's run time into account. A long job counts at once; others only bit by bit, so that a mix of
    /// both is treated as long, and a short job that had to wait for a processor does not end claiming ahead: what is far
    /// above the average counts as eight times that, so jobs that have become slower double it one by one.
    pub fn finished(&mut self, took: Duration) {
        let us = took.as_secs_f64() * 1e6;
        self.average_us = Some(match self.average_us {
            Some(average) if took < AHEAD => average + (us.min(average * 8.0 + HELD_UP_US) - average) / 8.0,
            _ => us,
        });
    }

    /// Takes into account how many bytes the payloads of jobs have that were claimed. Large ones count at once.
    pub fn claimed(&mut self, jobs: usize, bytes: usize) {
        if jobs > 0 {
            let each = bytes as f64 / jobs as f64;
            let average = self.average_bytes + (each - self.average_bytes) / 8.0;
            self.average_bytes = average.max(each);
        }
    }

    /// How long this many jobs will keep this many slots busy; nothing before anything was measured.
    pub fn time_for(&self, jobs: usize, slots: u32) -> Duration {
        let us = self.average_us.unwrap_or(0.0) * jobs as f64 / f64::from(slots.max(1));
        Duration::from_micros(us as u64)
    }

    /// Jobs worth claiming ahead per slot; none before anything was measured and none while jobs are long.
    pub fn ahead_per_slot(&self) -> u32 {
        match self.average_us {
            Some(us) => {
                let in_time = (AHEAD.as_secs_f64() * 1e6 / us.max(1.0)) as u32;
                let in_memory = (AHEAD_BYTES / self.average_bytes.max(1.0)) as u32;
                in_time.min(in_memory).min(MOST_PER_SLOT)
            }
            None => 0,
        }
    }
}

/// How many jobs to claim: enough to fill the free slots and the stock claimed ahead, but no refill of the stock
/// alone before half of it is used, so that claims come in batches.
pub fn claim_count(slots: u32, running: u32, in_stock: u32, pace: &Pace) -> u32 {
    let free = slots.saturating_sub(running);
    let stock = slots.saturating_mul(pace.ahead_per_slot());
    let want = free.saturating_add(stock).saturating_sub(in_stock);
    if free <= in_stock && in_stock * 2 > stock {
        0
    } else {
        want.min(slots.saturating_mul(MOST_PER_TURN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(times_ms: &[u64]) -> Pace {
        let mut pace = Pace::default();
        for ms in times_ms {
            pace.finished(Duration::from_millis(*ms));
        }
        pace
    }

    #[test]
    fn nothing_ahead_for_long_or_unknown_jobs() {
        assert_eq!(Pace::default().ahead_per_slot(), 0);
        assert_eq!(pace(&[1000]).ahead_per_slot(), 0);
        assert_eq!(
            pace(&[1, 1, 1, 500]).ahead_per_slot(),
            0,
            "one long job ends claiming ahead at once"
        );
        assert_eq!(
            pace(&[1, 1, 20]).ahead_per_slot(),
            26,
            "one that was only held up does not"
        );
        assert_eq!(claim_count(4, 1, 0, &Pace::default()), 3);
        assert_eq!(claim_count(4, 4, 0, &pace(&[1000])), 0);
    }

    #[test]
    fn short_jobs_are_claimed_ahead_in_batches() {
        let short = pace(&[1]);
        assert_eq!(short.ahead_per_slot(), 50);
        assert_eq!(claim_count(2, 0, 0, &short), 102);
        assert_eq!(short.time_for(30, 2), Duration::from_millis(15));
        assert_eq!(Pace::default().time_for(30, 2), Duration::ZERO);
        assert_eq!(
            claim_count(2, 2, 60, &short),
            0,
            "more than half of the stock is left"
        );
        assert_eq!(claim_count(2, 2, 40, &short), 60);
        assert_eq!(pace(&[0]).ahead_per_slot(), MOST_PER_SLOT);
    }

    #[test]
    fn large_jobs_are_claimed_ahead_by_their_bytes() {
        let mut pace = pace(&[0]);
        pace.claimed(100, 100 * 200);
        assert_eq!(pace.ahead_per_slot(), MOST_PER_SLOT, "usual ones");
        pace.claimed(2, 2 * 1024 * 1024);
        assert_eq!(pace.ahead_per_slot(), 4);
        assert_eq!(claim_count(8, 0, 0, &pace), 8 + 32);
        pace.claimed(0, 0);
        assert_eq!(pace.ahead_per_slot(), 4, "nothing was claimed");
        (0..100).for_each(|_| pace.claimed(100, 100 * 200));
        assert_eq!(pace.ahead_per_slot(), MOST_PER_SLOT);
    }

    #[test]
    fn a_very_short_job_that_was_held_up_changes_nothing_and_slower_ones_soon_count() {
        let mut pace = Pace::default();
        let mut run = |us, times| {
            for _ in 0..times {
                pace.finished(Duration::from_micros(us));
            }
            pace.ahead_per_slot()
        };
        assert_eq!(run(5, 1), MOST_PER_SLOT);
        assert_eq!(run(4000, 1), MOST_PER_SLOT, "a time slice of another process");
        assert_eq!(run(5, 20), MOST_PER_SLOT);
        assert!(run(20_000, 12) < 8, "of 20 ms each two are enough");
    }
}
