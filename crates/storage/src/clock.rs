//! The clock that due times go by: this machine's on SQLite, the server's on PostgreSQL, so that machines whose clocks
//! differ agree.

use queuectl_core::{Clock, Timestamp};

use crate::env::{Instant, SystemClock};

/// The store's clock, as read once; from then on the monotonic clock is what moves it.
#[derive(Debug, Clone, Copy)]
pub struct StoreClock(Option<(Timestamp, Instant)>);

impl StoreClock {
    /// This machine's own clock.
    pub(crate) fn system() -> StoreClock {
        StoreClock(None)
    }

    /// A server's clock, which showed this just now.
    pub(crate) fn server(now: Timestamp) -> StoreClock {
        StoreClock(Some((now, Instant::now())))
    }

    /// A time that this machine's clock showed not long ago, by the store's clock.
    #[must_use]
    pub fn of_local(&self, local: Timestamp) -> Timestamp {
        let now = self.now();
        let moved = match self.0 {
            None => local,
            Some(_) => {
                let ahead = now.0.saturating_sub(SystemClock.now().0);
                Timestamp(local.0.saturating_add(ahead))
            }
        };
        // If this machine's clock was set back since, it would lie ahead, and a retry would wait for so much longer.
        moved.min(now)
    }
}

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        match self.0 {
            None => SystemClock.now(),
            Some((then, at)) => then.after(at.elapsed()),
        }
    }
}
