//! A store that cannot be used at the moment: when it is tried again.

use std::time::Duration;

use crate::env::Instant;

/// How long to wait before a store that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// See the module; by default the store can be used.
#[derive(Default)]
pub struct Outage {
    retry_at: Option<Instant>,
}

impl Outage {
    /// The store failed. Says whether that is news.
    pub fn failed(&mut self) -> bool {
        self.retry_at.replace(Instant::now() + RETRY).is_none()
    }

    /// Tries no sooner than after another wait, if the store failed at all.
    pub fn postpone(&mut self) {
        self.retry_at = self.retry_at.map(|_| Instant::now() + RETRY);
    }

    /// The store could be used. Says whether it had failed.
    pub fn end(&mut self) -> bool {
        self.retry_at.take().is_some()
    }

    /// Whether the store failed and was not used since.
    pub fn is_known(&self) -> bool {
        self.retry_at.is_some()
    }

    /// Whether the store may be used or tried.
    pub fn may_try(&self) -> bool {
        self.retry_at.is_none_or(|at| at <= Instant::now())
    }

    /// When it is tried again.
    pub fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_failed_is_tried_later_and_reported_once() {
        let mut outage = Outage::default();
        outage.postpone();
        assert!(outage.may_try() && !outage.is_known(), "there is none");
        assert!(outage.failed());
        assert!(!outage.failed(), "that is no news");
        assert!(outage.is_known() && !outage.may_try());
        assert!(outage.end());
        assert!(!outage.end());
        assert!(outage.may_try());
    }
}
