//! Exponential back-off.

use std::time::Duration;

/// How long to wait between attempts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// Base in seconds; the wait after the n-th attempt is `base^n` seconds.
    pub base: f64,
    /// Longest wait.
    pub cap: Duration,
    /// Part of the wait that is random, from 0 to 1.
    pub jitter: f64,
}

/// The wait after attempt number `attempt` (from 1): `base^attempt` seconds, at most the cap, less a random part of
/// up to `jitter`. `random` is from 0 (inclusive) to 1; with no jitter it does not matter.
///
/// Taking the random part off, never adding it, keeps the cap a cap ("equal jitter" in the AWS Architecture Blog,
/// "Exponential Backoff And Jitter", 2015, with a share that can be chosen).
pub fn delay(backoff: &Backoff, attempt: u32, random: f64) -> Duration {
    let exponent = i32::try_from(attempt).unwrap_or(i32::MAX);
    let seconds = backoff.base.powi(exponent).min(backoff.cap.as_secs_f64());
    let kept = 1.0 - backoff.jitter.clamp(0.0, 1.0) * random.clamp(0.0, 1.0);
    // Rounded to the millisecond, the resolution of due times.
    let ms = (seconds * kept * 1000.0).round();
    if ms.is_finite() && ms > 0.0 {
        Duration::from_millis(ms as u64)
    } else {
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Backoff = Backoff {
        base: 2.0,
        cap: Duration::from_secs(86_400),
        jitter: 0.0,
    };

    #[test]
    fn defaults_give_2_4_8_16_seconds_to_the_letter() {
        for random in [0.0, 0.5, 0.999] {
            let waits: Vec<u64> = (1..=4)
                .map(|attempt| delay(&PLAIN, attempt, random).as_millis() as u64)
                .collect();
            assert_eq!(waits, [2000, 4000, 8000, 16_000]);
        }
    }

    #[test]
    fn the_cap_holds_for_any_attempt() {
        assert_eq!(delay(&PLAIN, 17, 0.0), PLAIN.cap);
        assert_eq!(delay(&PLAIN, u32::MAX, 0.0), PLAIN.cap);
        assert_eq!(
            delay(
                &Backoff {
                    cap: Duration::from_millis(100),
                    ..PLAIN
                },
                1,
                0.0
            )
            .as_millis(),
            100
        );
        assert_eq!(
            delay(
                &Backoff {
                    cap: Duration::ZERO,
                    ..PLAIN
                },
                1,
                0.0
            ),
            Duration::ZERO
        );
    }

    #[test]
    fn jitter_only_shortens() {
        let jittered = Backoff {
            jitter: 0.25,
            ..PLAIN
        };
        assert_eq!(delay(&jittered, 3, 0.0).as_millis(), 8000);
        assert_eq!(delay(&jittered, 3, 1.0).as_millis(), 6000);
    }
}
