//! What only PostgreSQL has: connecting, statements that take a whole cycle's worth of jobs at a time, because each costs a
//! round trip to the server, leases instead of file locks, and notifications instead of pipes.

mod backend;
pub mod check;
pub mod claim;
pub mod commit;
mod connect_error;
mod control_requests;
pub mod cycle;
mod dialect;
pub mod edges;
pub mod enqueue;
pub mod insert_jobs;
pub mod insert_keyed;
pub mod lease;
pub mod limits;
pub mod listen;
pub mod open;
pub mod statements;
pub mod transactional;

use std::ops::Range;

pub use backend::PostgresBackend;

/// Most bytes of jobs or outcomes that one statement carries, if that is more than one of them. A server takes no message,
/// and no array, of 1 GiB and more.
const STATEMENT_BYTES: usize = 16 * 1024 * 1024;
/// What a row takes besides its texts.
const ROW_BYTES: usize = 256;

/// Splits rows into statements; `sizes` are the bytes of each row's texts.
pub fn portions(sizes: impl Iterator<Item = usize>) -> Vec<Range<usize>> {
    let mut portions: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (index, size) in sizes.enumerate() {
        bytes += size + ROW_BYTES;
        match portions.last_mut() {
            Some(portion) if bytes <= STATEMENT_BYTES => portion.end = index + 1,
            _ => {
                portions.push(index..index + 1);
                bytes = size + ROW_BYTES;
            }
        }
    }
    portions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_carries_rows_by_their_bytes_and_at_least_one() {
        let sizes = |sizes: &[usize]| portions(sizes.iter().copied());
        assert_eq!(sizes(&[]), []);
        assert_eq!(sizes(&[1, 2, 3]).first(), Some(&(0..3)));
        let half = STATEMENT_BYTES / 2 - ROW_BYTES;
        assert_eq!(sizes(&[half, half, half]), [0..2, 2..3]);
        assert_eq!(sizes(&[1, 2 * STATEMENT_BYTES, 1]), [0..1, 1..2, 2..3]);
        // Rows without any text count, too.
        let many = vec![0; 200_000];
        assert!(portions(many.into_iter()).len() > 1);
    }
}
