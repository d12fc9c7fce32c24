//! Limits: setting, lowering, raising and removing them.

use queuectl_core::{Busy, LimitChange, LimitKey, LimitName, Rate};
use queuectl_storage::sim as store_sim;
use queuectl_testkit::history::{Allowed, Call, Reply, Verdict, Violation};

use super::Cluster;
use crate::plan::{BUSY, LIMITS, RATES};

/// The limits, and whether each counts by key.
const NAMES: [(&str, bool); LIMITS as usize] = [("disk", false), ("account", true), ("api", false)];

/// What a job names that counts for these.
pub(super) fn named(limits: u8, key: u8) -> Vec<LimitKey> {
    let bits = NAMES.iter().enumerate().filter(|(bit, _)| limits >> bit & 1 == 1);
    bits.filter_map(|(_, (name, _))| format!("{name}:{key}").parse().ok())
        .collect()
}

impl Cluster {
    pub(super) fn set_limit(
        &mut self,
        which: u8,
        running: Option<u8>,
        rate: Option<u8>,
        wait_ms: Option<u16>,
    ) -> bool {
        let busy = wait_ms.map(|ms| Busy {
            status: BUSY,
            wait_ms: ms.into(),
        });
        let running = running.map(u32::from);
        let rate = rate.map(|rate| {
            let (count, period_ms, burst) = RATES[rate as usize % RATES.len()];
            Rate {
                count,
                period_ms,
                burst,
            }
        });
        self.allow(which, running, rate, busy);
        true
    }

    fn allow(&mut self, which: u8, running: Option<u32>, rate: Option<Rate>, busy: Option<Busy>) {
        self.be_on(0);
        let (text, per_key) = NAMES[which as usize % NAMES.len()];
        let name: LimitName = text.parse().expect("a name");
        let now = self.client_now();
        let set = (running.is_some() || rate.is_some() || busy.is_some()).then_some(Allowed {
            running,
            per_key,
            rate,
            busy,
        });
        let call = Call::SetLimit(text.to_owned(), set);
        let call = self.history.borrow_mut().invoked(self.at(), call);
        let change = LimitChange {
            running: Some(running),
            per_key,
            rate: Some(rate),
            burst: rate.map(|rate| rate.burst),
            busy_status: Some(busy.map(|busy| busy.status)),
            busy_wait_ms: busy.map(|busy| busy.wait_ms),
        };
        let done = match set {
            Some(_) => self.client.set_limit(&name, &change, now).map(|_| ()),
            None => self.client.remove_limit(&name, now).map(|_| ()),
        };
        let reply = done.map_or_else(|error| self.failed(&error), |()| Reply::Done);
        self.history.borrow_mut().returned(self.at(), call, reply);
        self.wake_all();
    }

    /// Has every limit let jobs through, so that all can end: one is removed, the others allow one at a time or more.
    pub(super) fn loosen_limits(&mut self) {
        if !self.mechanisms.limits {
            return;
        }
        for which in 0..LIMITS {
            let running = (which > 0).then_some(u32::from(which));
            self.allow(which, running, None, None);
        }
    }

    /// Looks, now and then, whether what does not run has a place.
    pub(super) fn look_around(&mut self) {
        self.acts += 1;
        // On a server a claim is stored before it asks.
        let looks = self.mechanisms.limits && !self.has_server && self.violations.is_empty();
        if !looks || !self.acts.is_multiple_of(self.look_every) {
            return;
        }
        self.be_on(0);
        let wrong = store_sim::misplaced(&mut self.client).unwrap_or(0);
        if wrong > 0 {
            let detail = format!("{wrong} rows of limits do not fit what their jobs do");
            self.violated(Verdict::Misplaced, detail);
        }
    }

    pub(super) fn violated(&mut self, verdict: Verdict, detail: String) {
        let violation = Violation {
            verdict,
            job: None,
            name: String::new(),
            detail,
            history: self.history.borrow().of_job(None, ""),
        };
        self.violations.push(violation);
    }
}
