//! Long work goes in steps, with a rest after each.

use std::time::Instant;

/// Rests as long as the step took that began then, so that others can write.
pub fn let_others_write(start: Instant) {
    std::thread::sleep(start.elapsed());
}
