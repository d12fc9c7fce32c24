//! What a node asks of the machine besides its store: the time, and sweeps for processes that nobody owns any more. In
//! builds with the feature `sim` the simulator answers.

use std::io;
#[cfg(not(feature = "sim"))]
pub use std::time::Instant;

#[cfg(not(feature = "sim"))]
pub use queuectl_executor::processes::{kill_adopted, kill_marked};
#[cfg(feature = "sim")]
pub use queuectl_storage::sim::Instant;

#[cfg(not(feature = "sim"))]
pub use crate::os::Tree;
#[cfg(feature = "sim")]
pub(crate) use crate::sim::Tree;
#[cfg(feature = "sim")]
pub use crate::sim::{kill_adopted, kill_marked};

/// Starts a thread of that name. In a simulation it does not run: what it would do is done step by step.
pub fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    if cfg!(feature = "sim") {
        return Ok(());
    }
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(work)
        .map(drop)
}
