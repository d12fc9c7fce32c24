//! Numbers and lengths of time of a range, as options take them.

use std::time::Duration;

use queuectl_core::range::{Length, Whole};
use queuectl_core::{parse_duration, whole_ms};

/// Reads a number of that range, whose ends the type can hold; refused with the range in words.
pub fn whole<T: TryFrom<i64>>(
    range: Whole,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = range.parse(text).and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("expected {range}"))
    }
}

/// Reads a length of time of that range; refused with the range in words.
pub fn length(range: Length) -> impl Fn(&str) -> Result<Duration, String> + Clone + Send + Sync + 'static {
    move |text| {
        let time = parse_duration(text)?;
        match range.contains(whole_ms(time)) {
            true => Ok(time),
            false => Err(format!("expected {range}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_of_time_is_held_to_its_range() {
        let some = length(Length {
            min_ms: 1000,
            max_ms: 60_000,
        });
        assert_eq!(some("1m"), Ok(Duration::from_secs(60)));
        assert_eq!(some("61").unwrap_err(), "expected a time from 1 s to 1 m");
        assert!(some("soon").is_err());
    }

    #[test]
    fn what_is_refused_is_told_with_the_range() {
        let small = whole::<i32>(Whole { min: -5, max: 7 });
        assert_eq!(small("7"), Ok(7));
        assert_eq!(small("8").unwrap_err(), "expected a whole number from -5 to 7");
        let open = whole::<u32>(Whole {
            min: 1,
            max: i64::MAX,
        });
        assert_eq!(open("4294967295"), Ok(u32::MAX));
        for text in ["0", "-1", "4294967296"] {
            let said = open(text).unwrap_err();
            assert_eq!(said, "expected a whole number, 1 or more", "{text}");
        }
    }
}
