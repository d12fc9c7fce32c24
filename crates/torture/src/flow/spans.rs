//! When attempts were alive, as far as they wrote it themselves: at least from their first line to their last.
//!
//! All lines are in one file, in the order in which they were written, so a place in it serves as a time. A job that was
//! killed wrote nothing any more, and what escaped from it writes until it is dead. So whatever is found overlapped indeed.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};

/// An attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    pub job: i64,
    pub fence: i64,
    /// The lines of its first and its last sign of life.
    pub first: usize,
    pub last: usize,
    /// Whether it came to its end.
    pub ended: bool,
}

/// Reads a log, by first lines. Lines of other kinds than `s`, `t` and `e` are passed over.
pub fn read(path: &Path) -> anyhow::Result<Vec<Span>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    parse(&text)
}

fn parse(text: &str) -> anyhow::Result<Vec<Span>> {
    let mut spans: Vec<Span> = Vec::new();
    let mut places: HashMap<(i64, i64), usize> = HashMap::new();
    for (line, text) in text.lines().enumerate() {
        let mut words = text.split(' ');
        let (Some(what @ ("s" | "t" | "e")), Some(job), Some(fence)) =
            (words.next(), words.next(), words.next())
        else {
            continue;
        };
        let (job, fence) = (job.parse()?, fence.parse()?);
        let place = *places.entry((job, fence)).or_insert_with(|| {
            spans.push(Span {
                job,
                fence,
                first: line,
                last: line,
                ended: false,
            });
            spans.len() - 1
        });
        spans[place].last = line;
        spans[place].ended |= what == "e";
    }
    Ok(spans)
}

/// Checks that no more attempts of a key were alive at a time than it allows. Returns how often a key was full.
pub fn within<'a>(
    spans: &[Span],
    keys: impl Fn(i64) -> &'a [String],
    allowed: impl Fn(&str) -> usize,
) -> anyhow::Result<usize> {
    let mut alive: BTreeMap<&str, Vec<Span>> = BTreeMap::new();
    let mut full = 0;
    for span in spans {
        for key in keys(span.job) {
            let others = alive.entry(key).or_default();
            others.retain(|other| other.last > span.first);
            others.push(*span);
            let most = allowed(key);
            full += usize::from(others.len() == most);
            ensure!(
                others.len() <= most,
                "{} jobs of {key} were alive at line {} of the log, of {most} allowed: {others:?}",
                others.len(),
                span.first + 1
            );
        }
    }
    Ok(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[&[&str]] = &[&[], &["a"], &["a", "b"], &["b"]];

    fn judge(text: &str, most: usize) -> anyhow::Result<usize> {
        let keys: Vec<Vec<String>> = KEYS
            .iter()
            .map(|keys| keys.iter().map(|key| (*key).to_owned()).collect())
            .collect();
        within(&parse(text)?, |job| &keys[job as usize], |_| most)
    }

    #[test]
    fn one_after_the_other_is_within_a_limit_of_one() {
        assert_eq!(judge("s 1 1\ne 1 1\ns 2 1\ne 2 1\ns 3 1\ne 3 1\n", 1).unwrap(), 4);
        assert_eq!(judge("s 1 1\ns 3 1\ne 1 1\ne 3 1\n", 1).unwrap(), 2, "other keys");
    }

    #[test]
    fn a_sign_of_life_after_the_next_start_is_found() {
        let text = "s 1 1\ns 2 1\nt 1 1\n";
        let error = judge(text, 1).unwrap_err().to_string();
        assert!(error.contains("2 jobs of a were alive at line 2"), "{error}");
        assert!(judge(text, 2).is_ok());
        assert!(
            judge("s 1 1\ns 1 2\nt 1 1\n", 1).is_err(),
            "two attempts of a job"
        );
        assert!(
            judge("s 1 1\ns 2 1\ne 2 1\n", 1).is_ok(),
            "the first may have been dead"
        );
    }
}
