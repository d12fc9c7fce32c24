//! Rates: how many starts a key allows, and when the next one is allowed.
//!
//! This is the generic cell rate algorithm (GCRA). Its whole memory is one time for each key, the theoretical arrival time
//! (TAT): the time at which everything that was started so far is paid for. Pure functions over whole numbers: who stores the
//! time, and who waits, is decided elsewhere. The store decides inside a claim's transaction, so this is in the crate that it
//! already depends on.

use std::fmt;
use std::str::FromStr;

use crate::duration::{parse_duration, show_time, whole_ms};
use crate::limits::{RATE_BURST, RATE_COUNT, RATE_PERIOD};
use crate::quote::excerpt;
use crate::time::Timestamp;

const NS_PER_MS: i64 = 1_000_000;

/// A number of starts in a length of time, evenly spread, of which `burst` may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Starts in each period.
    pub count: u32,
    /// The period, in ms.
    pub period_ms: u64,
    /// Starts that may come at once after a pause.
    pub burst: u32,
}

impl Rate {
    /// Returns the time between two starts, in ns. Rounded up, so the rate is never exceeded.
    fn interval(&self) -> i64 {
        let period = i128::from(self.period_ms) * i128::from(NS_PER_MS);
        let interval = (period + i128::from(self.count) - 1) / i128::from(self.count.max(1));
        i64::try_from(interval).unwrap_or(i64::MAX)
    }

    /// Returns how far ahead of the clock the TAT may be for a start, in ns.
    fn tolerance(&self) -> i64 {
        self.interval()
            .saturating_mul(i64::from(self.burst.saturating_sub(1)))
    }

    /// Returns how many starts are allowed at `now`. `tat` is in ns since 1970, as [`Rate::after`] returned it; none for a key
    /// without a start so far.
    pub fn room(&self, tat: Option<i64>, now: Timestamp) -> u32 {
        let ahead = tat.map_or(0, |tat| tat.saturating_sub(ns(now)).max(0));
        match self.tolerance().saturating_sub(ahead) {
            left @ 0.. => {
                u32::try_from(left / self.interval()).map_or(u32::MAX, |more| more.saturating_add(1))
            }
            _ => 0,
        }
    }

    /// Returns the TAT after that many starts at `now`.
    pub fn after(&self, tat: Option<i64>, now: Timestamp, starts: u32) -> i64 {
        let from = tat.unwrap_or(i64::MIN).max(ns(now));
        from.saturating_add(self.interval().saturating_mul(i64::from(starts)))
    }

    /// Returns the first time, in whole ms, at which a start is allowed.
    pub fn next(&self, tat: i64) -> Timestamp {
        let ns = tat.saturating_sub(self.tolerance());
        Timestamp(ns.div_euclid(NS_PER_MS) + i64::from(ns.rem_euclid(NS_PER_MS) > 0))
    }

    /// Returns the TAT of a key that has to wait until `until`, and then allows one start after the other without a burst.
    pub fn paused(&self, tat: Option<i64>, until: Timestamp) -> i64 {
        tat.unwrap_or(i64::MIN)
            .max(ns(until).saturating_add(self.tolerance()))
    }
}

fn ns(time: Timestamp) -> i64 {
    time.0.saturating_mul(NS_PER_MS)
}

impl fmt::Display for Rate {
    /// Writes it as it is typed, without the burst: `100/10s`, `10/s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let period = show_time(self.period_ms).replace(' ', "");
        let unit = period
            .strip_prefix('1')
            .filter(|unit| unit.chars().all(char::is_alphabetic));
        write!(f, "{}/{}", self.count, unit.unwrap_or(&period))
    }
}

impl FromStr for Rate {
    type Err = String;

    /// Reads `100/10s`, `10/s` or `5/1h`; the burst is 1.
    fn from_str(text: &str) -> Result<Rate, String> {
        let form = || {
            format!(
                "'{}' is not a rate: write the number of starts and a length of time, as in 10/s or 100/10s",
                excerpt(text)
            )
        };
        let (count, period) = text.split_once('/').ok_or_else(form)?;
        let count = count.trim().parse::<i64>().map_err(|_| form())?;
        if !RATE_COUNT.contains(count) {
            return Err(format!("the number of starts in a rate is {RATE_COUNT}"));
        }
        let period = Some(period.trim()).filter(|period| !period.is_empty());
        let period = period.ok_or_else(form)?;
        let period = match period.starts_with(|c: char| c.is_ascii_digit()) {
            true => parse_duration(period),
            false => parse_duration(&format!("1{period}")),
        };
        let period_ms = whole_ms(period.map_err(|_| form())?);
        if !RATE_PERIOD.contains(period_ms) {
            return Err(format!("the length of time in a rate is {RATE_PERIOD}"));
        }
        Ok(Rate {
            count: u32::try_from(count).unwrap_or(1),
            period_ms,
            burst: u32::try_from(RATE_BURST.min).unwrap_or(1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(text: &str, burst: u32) -> Rate {
        Rate {
            burst,
            ..text.parse().unwrap()
        }
    }

    /// A small generator: the same numbers in every run.
    struct Numbers(u64);

    impl Numbers {
        fn below(&mut self, end: u64) -> u64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % end
        }
    }

    /// Starts as many as there is room for, at each of these times.
    fn greedy(rate: Rate, times: impl Iterator<Item = i64>) -> Vec<i64> {
        let (mut tat, mut starts) = (None, Vec::new());
        for at in times {
            let room = rate.room(tat, Timestamp(at));
            if room > 0 {
                tat = Some(rate.after(tat, Timestamp(at), room));
                starts.extend(std::iter::repeat_n(at, room as usize));
            }
        }
        starts
    }

    /// In every window of time, at most the burst and what the rate gives in that time.
    fn is_below_the_line(rate: Rate, starts: &[i64]) -> bool {
        (0..starts.len()).all(|first| {
            (first..starts.len()).all(|last| {
                let window = i128::from(starts[last] - starts[first]);
                let given = window * i128::from(rate.count) / i128::from(rate.period_ms);
                (last - first + 1) as i128 <= given + i128::from(rate.burst)
            })
        })
    }

    #[test]
    fn a_rate_is_read_as_it_is_written() {
        for (text, count, period_ms, written) in [
            ("100/10s", 100, 10_000, "100/10s"),
            ("10/s", 10, 1000, "10/s"),
            ("10 / 1s", 10, 1000, "10/s"),
            ("5/h", 5, 3_600_000, "5/h"),
            ("3/1h 30m", 3, 5_400_000, "3/1h30m"),
            ("7/90", 7, 90_000, "7/1m30s"),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(
                (rate.count, rate.period_ms, rate.burst),
                (count, period_ms, 1),
                "{text}"
            );
            assert_eq!(rate.to_string(), written);
            assert_eq!(written.parse(), Ok(rate));
        }
        for text in [
            "",
            "10",
            "/s",
            "x/s",
            "10/",
            "10/soon",
            "0/s",
            "-1/s",
            "1/0s",
            "1/10000d",
            "9999999/s",
        ] {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_burst_comes_at_once_and_then_one_each_interval() {
        let rate = rate("10/s", 3);
        let starts = greedy(rate, 0..=1000);
        assert_eq!(starts[..6], [0, 0, 0, 100, 200, 300]);
        let tat = rate.after(None, Timestamp(5000), 3);
        assert_eq!(rate.room(Some(tat), Timestamp(5000)), 0);
        assert_eq!(rate.next(tat), Timestamp(5100));
        assert_eq!(rate.room(Some(tat), Timestamp(5099)), 0);
        assert_eq!(rate.room(Some(tat), Timestamp(5100)), 1);
        // After a long pause it is the burst again, and no more.
        assert_eq!(rate.room(Some(tat), Timestamp(1_000_000)), 3);
    }

    #[test]
    fn a_paused_key_waits_and_has_no_burst_then() {
        let rate = rate("10/s", 5);
        let tat = rate.paused(Some(0), Timestamp(30_000));
        assert_eq!(rate.room(Some(tat), Timestamp(29_999)), 0);
        assert_eq!(rate.room(Some(tat), Timestamp(30_000)), 1);
        assert_eq!(rate.next(tat), Timestamp(30_000));
    }

    #[test]
    fn never_above_the_line_whenever_it_is_asked() {
        let mut numbers = Numbers(7);
        for _ in 0..300 {
            let rate = Rate {
                count: 1 + numbers.below(50) as u32,
                period_ms: 1 + numbers.below(3000),
                burst: 1 + numbers.below(12) as u32,
            };
            let mut at = 0;
            let times: Vec<i64> = (0..200)
                .map(|_| {
                    at += numbers.below(rate.period_ms) as i64;
                    at
                })
                .collect();
            let starts = greedy(rate, times.into_iter());
            assert!(is_below_the_line(rate, &starts), "{rate:?} {starts:?}");
            // The control: one more at any time would be seen.
            let mut more = starts.clone();
            more.extend(std::iter::repeat_n(starts[0], rate.burst as usize));
            more.sort_unstable();
            assert!(!is_below_the_line(rate, &more), "{rate:?}");
        }
    }

    /// Asked at every ms, or woken at the time that [`Rate::next`] names.
    #[test]
    fn within_two_percent_below_the_line() {
        for (text, burst) in [
            ("10/s", 10),
            ("100/10s", 10),
            ("7/s", 2),
            ("333/s", 20),
            ("1000/s", 50),
        ] {
            let rate = rate(text, burst);
            let span = 60_000;
            let most = f64::from(burst) + span as f64 * f64::from(rate.count) / rate.period_ms as f64;
            let polled = greedy(rate, 0..=span).len();
            let (mut tat, mut at, mut woken) = (None, Timestamp(0), 0);
            while at.0 <= span {
                let room = rate.room(tat, at);
                assert!(room > 0, "{text}: woken too early at {at:?}");
                woken += room as usize;
                let after = rate.after(tat, at, room);
                (tat, at) = (Some(after), rate.next(after));
            }
            for starts in [polled, woken] {
                assert!(
                    starts as f64 <= most && starts as f64 >= most * 0.98,
                    "{text}: {starts} of {most}"
                );
            }
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow() {
        let rate = Rate {
            count: 1,
            period_ms: RATE_PERIOD.max_ms,
            burst: u32::MAX,
        };
        assert!(rate.room(None, Timestamp(0)) > 0);
        let tat = rate.after(Some(i64::MAX), Timestamp(i64::MAX), u32::MAX);
        assert_eq!(tat, i64::MAX);
        let _ = (
            rate.room(Some(tat), Timestamp(0)),
            rate.next(tat),
            rate.next(i64::MIN),
        );
    }
}
