//! States by their names in the text of statements: `state = {pending}` becomes `state = 1` when the program is built.
//!
//! A partial index is only used when its condition stands in the statement literally, so the number cannot be a
//! parameter.

use queuectl_core::State;

/// Stands for all jobs of a queue, in the column of `counts` for the state.
pub const ALL: i16 = -1;

/// The text of a statement, with the number that the store keeps for each state that it names in braces, and for `{all}` the
/// one that stands for all states in `counts`. A name that does not exist is an error of the compiler.
macro_rules! sql {
    ($text:expr) => {{
        const TEXT: &str = $text;
        const FILLED: ([u8; TEXT.len()], usize) = $crate::states::fill(TEXT);
        match std::str::from_utf8(FILLED.0.split_at(FILLED.1).0) {
            Ok(text) => text,
            Err(_) => panic!("digits in the place of names"),
        }
    }};
}
pub(crate) use sql;

/// Fills in the states; how much of the array is text. It is never longer, because no number is longer than its name.
pub const fn fill<const N: usize>(text: &str) -> ([u8; N], usize) {
    let text = text.as_bytes();
    let (mut filled, mut length, mut at) = ([0; N], 0, 0);
    while at < text.len() {
        // `{}` is an empty array.
        if text[at] != b'{' || text[at + 1] == b'}' {
            filled[length] = text[at];
            (length, at) = (length + 1, at + 1);
            continue;
        }
        let mut end = at + 1;
        while text[end] != b'}' {
            end += 1;
        }
        let number = number(text.split_at(end).0.split_at(at + 1).1);
        if number < 0 {
            filled[length] = b'-';
            length += 1;
        }
        filled[length] = b'0' + number.unsigned_abs() as u8;
        (length, at) = (length + 1, end + 1);
    }
    (filled, length)
}

/// The number that the store keeps for the state of that name.
const fn number(name: &[u8]) -> i16 {
    if is_same(name, b"all") {
        return ALL;
    }
    let mut index = 0;
    while index < State::ALL.len() {
        let state = State::ALL[index];
        if is_same(name, state.name().as_bytes()) {
            return state.code();
        }
        index += 1;
    }
    panic!("there is no state of that name")
}

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut index = 0;
    while index < one.len() && index < other.len() && one[index] == other[index] {
        index += 1;
    }
    one.len() == other.len() && index == one.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_filled_in_by_their_names_and_nothing_else_is_touched() {
        for state in State::ALL {
            assert_eq!(number(state.name().as_bytes()), state.code());
        }
        assert_eq!(
            sql!("state = {pending} OR state IN ({all}, {dead}) -- '{}' \u{e9}"),
            "state = 1 OR state IN (-1, 6) -- '{}' \u{e9}"
        );
        assert_eq!(sql!(""), "");
    }
}
