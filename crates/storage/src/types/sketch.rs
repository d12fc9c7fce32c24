//! Many times, in little memory: how many there are of each length, within one percent.

use hdrhistogram::Histogram;
use queuectl_core::varint;

/// The longest time that is told, in ms: ten years.
const LONGEST_MS: u64 = 10 * 365 * 24 * 60 * 60 * 1000;
/// Digits that are exact.
const DIGITS: u8 = 2;
/// The first byte of the stored form; another form would get another one.
const FORM: u8 = 1;

/// Many times. Nothing is allocated before the first.
#[derive(Debug, Clone, Default)]
pub struct Sketch(Option<Histogram<u64>>);

impl Sketch {
    fn histogram(&mut self) -> &mut Histogram<u64> {
        self.0.get_or_insert_with(|| {
            Histogram::new_with_bounds(1, LONGEST_MS, DIGITS).expect("the bounds are fixed, and valid")
        })
    }

    /// Adds a time, in ms.
    pub fn add(&mut self, ms: u64) {
        self.histogram().saturating_record(ms);
    }

    /// Adds all times of another.
    pub fn merge(&mut self, other: &Sketch) {
        if let Some(other) = &other.0 {
            // Both have the same bounds.
            let _ = self.histogram().add(other);
        }
    }

    /// Returns how many times there are.
    pub fn count(&self) -> u64 {
        self.0.as_ref().map_or(0, Histogram::len)
    }

    /// Returns the longest time, and one for each part that no more than this part of the times exceeds; none without any.
    pub fn at<const N: usize>(&self, parts: [f64; N]) -> Option<([u64; N], u64)> {
        let histogram = self.0.as_ref()?;
        let longest = histogram.max();
        // The upper end of a bucket may be above the longest.
        let at = parts.map(|part| histogram.value_at_quantile(part).min(longest));
        Some((at, longest))
    }

    /// Writes the times: each length that there is, as the distance to the one before, and how often.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![FORM];
        let mut last = 0;
        for length in self.0.iter().flat_map(Histogram::iter_recorded) {
            let value = length.value_iterated_to();
            varint::write(value - last, &mut bytes);
            varint::write(length.count_at_value(), &mut bytes);
            last = value;
        }
        bytes
    }

    /// Reads times as far as they can be read.
    pub(crate) fn read(bytes: &[u8]) -> Sketch {
        let mut sketch = Sketch::default();
        let Some(mut rest) = bytes.strip_prefix(&[FORM]) else {
            return sketch;
        };
        let mut last: u64 = 0;
        while let Some((distance, after)) = varint::read(rest) {
            let Some((count, after)) = varint::read(after) else {
                break;
            };
            last = last.saturating_add(distance);
            sketch
                .histogram()
                .saturating_record_n(last.min(LONGEST_MS), count);
            rest = after;
        }
        sketch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(sketch: &Sketch) -> Option<([u64; 3], u64)> {
        sketch.at([0.5, 0.95, 0.99])
    }

    #[test]
    fn times_survive_being_stored_and_merged() {
        let (mut all, mut even, mut odd) = (Sketch::default(), Sketch::default(), Sketch::default());
        for ms in 0..10_000 {
            all.add(ms * 7);
            if ms % 2 == 0 { &mut even } else { &mut odd }.add(ms * 7);
        }
        let stored = all.to_bytes();
        assert!(stored.len() < 3000, "{} bytes", stored.len());
        let read = Sketch::read(&stored);
        assert_eq!((parts(&read), read.count()), (parts(&all), 10_000));
        assert_eq!(read.to_bytes(), stored);
        even.merge(&odd);
        even.merge(&Sketch::default());
        assert_eq!(even.to_bytes(), stored);
    }

    #[test]
    fn nothing_and_nonsense_are_no_times() {
        let none = Sketch::default();
        assert_eq!(
            (parts(&none), none.count(), none.to_bytes()),
            (None, 0, vec![FORM])
        );
        assert_eq!(parts(&Sketch::read(&[FORM])), None);
        assert_eq!(Sketch::read(&[7, 1, 1]).count(), 0);
        assert_eq!(Sketch::read(&[FORM, 5, 2, 9]).count(), 2, "as far as it goes");
        let mut far = vec![FORM];
        varint::write(u64::MAX, &mut far);
        varint::write(3, &mut far);
        assert_eq!(Sketch::read(&far).count(), 3);
    }
}
