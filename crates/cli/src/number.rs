//! Whole numbers of a range, as options take them.

use queuectl_core::range::Whole;

/// Reads a number of that range, whose ends the type can hold; refused with the range in words.
pub fn whole<T: TryFrom<i64>>(
    range: Whole,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static {
    move |text| {
        let number = range.parse(text).and_then(|number| T::try_from(number).ok());
        number.ok_or_else(|| format!("expected {range}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
