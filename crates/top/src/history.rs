//! How the numbers of jobs went, for small charts. Kept in memory, only while the view is open.

use std::collections::VecDeque;

use queuectl_core::{State, Timestamp};
use queuectl_views::StateCounts;

/// Moments that are remembered.
const MOST: usize = 1000;

#[derive(Debug, Clone, Copy)]
struct Moment {
    at: i64,
    ended: u64,
    waiting: u64,
}

/// Counts over time.
#[derive(Debug, Default)]
pub struct History {
    moments: VecDeque<Moment>,
}

impl History {
    pub fn add(&mut self, at: Timestamp, counts: &StateCounts) {
        let ended = [State::Completed, State::Dead, State::Cancelled];
        let moment = Moment {
            at: at.0,
            ended: ended.into_iter().map(|state| counts.of(state)).sum(),
            waiting: counts.of(State::Pending),
        };
        // After a clock was set back, earlier moments say nothing.
        if self.moments.back().is_some_and(|last| last.at > moment.at) {
            self.moments.clear();
        }
        if self.moments.len() == MOST {
            self.moments.pop_front();
        }
        self.moments.push_back(moment);
    }

    /// Returns jobs that ended per second, one value for each `step` of ms, the newest last; fewer than asked for at first.
    pub fn ended_per_second(&self, columns: usize, step: i64) -> Vec<f64> {
        let steps = self.steps(columns, step);
        let pairs = steps.iter().zip(steps.iter().skip(1));
        let rates = pairs.map(|(from, to)| {
            let ended = self.at(*to, |moment| moment.ended) - self.at(*from, |moment| moment.ended);
            // Jobs that were removed are none that came back.
            ended.max(0.0) * 1000.0 / step as f64
        });
        rates.collect()
    }

    /// Returns the pending jobs in the same way.
    pub fn waiting(&self, columns: usize, step: i64) -> Vec<f64> {
        let steps = self.steps(columns, step).into_iter().skip(1);
        steps.map(|time| self.at(time, |moment| moment.waiting)).collect()
    }

    /// Times, oldest first, that end with the newest moment.
    fn steps(&self, columns: usize, step: i64) -> Vec<i64> {
        let (Some(first), Some(last)) = (self.moments.front(), self.moments.back()) else {
            return Vec::new();
        };
        let columns = i64::try_from(columns).unwrap_or(0);
        let all = (0..=columns).rev().map(|back| last.at - back * step);
        all.filter(|time| *time >= first.at).collect()
    }

    /// The value at a time, between two moments by its distance from them.
    fn at(&self, time: i64, value: impl Fn(&Moment) -> u64) -> f64 {
        let next = self.moments.partition_point(|moment| moment.at < time);
        let Some(after) = self.moments.get(next) else {
            return self.moments.back().map_or(0.0, |last| value(last) as f64);
        };
        let before = match next.checked_sub(1).and_then(|at| self.moments.get(at)) {
            Some(before) if after.at > time => before,
            _ => return value(after) as f64,
        };
        let share = (time - before.at) as f64 / (after.at - before.at) as f64;
        value(before) as f64 + (value(after) as f64 - value(before) as f64) * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn history(moments: &[(i64, u64, u64)]) -> History {
        let mut history = History::default();
        for (at, completed, pending) in moments {
            let mut counts = StateCounts::default();
            counts.add(State::Completed, *completed);
            counts.add(State::Pending, *pending);
            history.add(Timestamp(*at), &counts);
        }
        history
    }

    #[test]
    fn rates_are_spread_over_the_time_between_two_moments() {
        let history = history(&[(0, 0, 100), (1000, 10, 90), (3000, 50, 50)]);
        assert_eq!(history.ended_per_second(10, 1000), [10.0, 20.0, 20.0]);
        assert_eq!(history.waiting(10, 1000), [90.0, 70.0, 50.0]);
        assert_eq!(history.ended_per_second(2, 1000), [20.0, 20.0]);
    }

    #[test]
    fn removed_jobs_and_a_clock_set_back_are_no_work() {
        let purged = history(&[(0, 1000, 0), (1000, 0, 0), (2000, 5, 0)]);
        assert_eq!(purged.ended_per_second(10, 1000), [0.0, 5.0]);
        assert!(
            history(&[(9000, 1, 0), (0, 2, 0)])
                .ended_per_second(9, 1000)
                .is_empty()
        );
        assert!(History::default().waiting(9, 1000).is_empty());
    }
}
