//! A bounded search for an input that breaks a target: the files of a corpus, and random changes to them.
//!
//! The same seed makes the same inputs. It has no idea of the code that they reach; a fuzzer has, see `fuzz/`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fastrand::Rng;

use crate::Target;

/// An input that breaks the target.
#[derive(Debug)]
pub struct Found {
    /// After how many inputs.
    pub runs: u32,
    /// The input.
    pub input: Vec<u8>,
    /// What the target said.
    pub said: String,
}

/// Tries the corpus as it is, and then this many changed inputs.
pub fn search(target: Target, corpus: &[Vec<u8>], runs: u32, seed: u64) -> Option<Found> {
    let mut rng = Rng::with_seed(seed);
    let whole = corpus.iter().cloned();
    let changed = (0..runs).map(|_| change(corpus, &mut rng));
    whole.chain(changed).zip(1..).find_map(|(input, runs)| {
        let said = catch_unwind(AssertUnwindSafe(|| target(&input))).err()?;
        let said = said
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| said.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let said = said.unwrap_or_default();
        Some(Found { runs, input, said })
    })
}

/// Parts that parsers take notice of.
const PARTS: &[&str] = &[
    "\0",
    "\n",
    "\u{1b}[2J",
    "\u{202e}",
    "é",
    "\u{10ffff}",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "=",
    ".",
    "-",
    " ",
    "0",
    "1",
    "9",
    "99999999999999999999",
    "1e308",
    "null",
    "true",
    "ms",
    "s",
    "h",
    "days",
    "years",
    "none",
    "KiB",
    "T",
    "Z",
    "+14:00",
    "[UTC]",
    "\\u0000",
    "\\ud800",
];

fn change(corpus: &[Vec<u8>], rng: &mut Rng) -> Vec<u8> {
    let mut input = rng.choice(corpus).cloned().unwrap_or_default();
    for _ in 0..rng.u32(1..=6) {
        let at = rng.usize(..=input.len());
        let until = at + rng.usize(..=(input.len() - at).min(16));
        match rng.u8(..9) {
            0 if at < input.len() => input[at] ^= 1 << rng.u8(..8),
            1 if at < input.len() => input[at] = rng.u8(..),
            2 => input.insert(at, rng.u8(..)),
            3 => drop(input.drain(at..until)),
            4 => {
                let part = input[at..until].to_vec();
                let times = if rng.u8(..50) == 0 { 300 } else { rng.usize(1..4) };
                drop(input.splice(at..at, part.repeat(times)));
            }
            5 | 6 => {
                let part = rng.choice(PARTS).copied().unwrap_or_default();
                drop(input.splice(at..at, part.bytes()));
            }
            7 => {
                let other = rng.choice(corpus).cloned().unwrap_or_default();
                let from = rng.usize(..=other.len());
                input.truncate(at);
                input.extend_from_slice(&other[from..]);
            }
            _ => input.truncate(at.max(1)),
        }
    }
    input
}
