//! Whole numbers within a range, as options take them.

use std::ops::RangeInclusive;

/// Reads a number of that range, whose ends the type can hold; refused with the range in words.
pub fn whole<T: TryFrom<i64>>(
    range: RangeInclusive<i64>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        let fitting = number.and_then(|number: i64| T::try_from(number).ok());
        fitting.ok_or_else(|| match (range.start(), range.end()) {
            (start, &i64::MAX) => format!("expected a whole number, {start} or more"),
            (start, end) => format!("expected a whole number from {start} to {end}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_at_their_ends() {
        let small = whole::<i32>(-5..=7);
        assert_eq!((small("-5"), small("7")), (Ok(-5), Ok(7)));
        for text in ["-6", "8", "", "x", "1.0", "99999999999999999999", "-2147483648"] {
            let said = small(text).unwrap_err();
            assert_eq!(said, "expected a whole number from -5 to 7", "{text}");
        }
        let open = whole::<u32>(1..=i64::MAX);
        assert_eq!(open("4294967295"), Ok(u32::MAX));
        for text in ["0", "-1", "4294967296"] {
            let said = open(text).unwrap_err();
            assert_eq!(said, "expected a whole number, 1 or more", "{text}");
        }
    }
}
