//! What a program may have, and what was refused to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytesize::ByteSize;

/// Most files and folders that a program may have open, so that it cannot use up those of the worker process.
pub const OPEN_FILES: usize = 256;

/// The memory that was refused to a program, in bytes; none if it is 0.
#[derive(Debug, Clone, Default)]
pub struct Refused(Arc<AtomicUsize>);

impl Refused {
    /// Notes that so much was refused.
    pub fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// What to say about it; nothing if nothing was refused.
    pub fn in_words(&self, limit: u64) -> Option<String> {
        let wanted = self.0.load(Ordering::Relaxed);
        (wanted > 0).then(|| {
            let (wanted, limit) = (ByteSize(wanted as u64), ByteSize(limit));
            format!(
                "memory limit: it wanted {wanted} and may have {limit}; raise payload.memory if it should"
            )
        })
    }
}
