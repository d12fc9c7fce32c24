//! Where a reader of a job's output is, as programs hand it back.

use std::fmt;
use std::str::FromStr;

/// A place in the output of a job: which attempt, and how many bytes of it come before. It is written `3:4096`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The fencing token of the attempt; 0 before the first.
    pub fence: i64,
    /// Bytes of the output before it.
    pub offset: u64,
}

/// It is not a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlaceError;

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("expected a place in an output, as an answer before this one gave it")
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{}:{}", self.fence, self.offset)
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Place, PlaceError> {
        let (fence, offset) = text.split_once(':').ok_or(PlaceError)?;
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !(is_number(fence) && is_number(offset)) {
            return Err(PlaceError);
        }
        Ok(Place {
            fence: fence.parse().map_err(|_| PlaceError)?,
            offset: offset.parse().map_err(|_| PlaceError)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let place = Place {
            fence: 3,
            offset: 4096,
        };
        assert_eq!(place.to_string().parse(), Ok(place));
        for text in [
            "",
            "3",
            "3:",
            "3:x",
            "-3:1",
            "+3:1",
            "3:1:1",
            "99999999999999999999:1",
        ] {
            assert_eq!(text.parse::<Place>(), Err(PlaceError), "{text}");
        }
    }
}
