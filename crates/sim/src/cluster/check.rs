//! What is found in the end, and what the checker says of it.

use queuectl_core::Gates;
use queuectl_storage::{CheckReport, EventPlace, LedgerEvent, ListFilter};
use queuectl_testkit::history::{
    StoredJob, Violation, check, check_groups, check_hooks, check_ledger, check_limits, check_ticks,
};

use super::Cluster;

/// Events that are read at a time.
const EVENTS: u32 = 5000;

impl Cluster {
    /// Has the history checked against what is in the store.
    pub fn check(&mut self, drained: bool) -> Vec<Violation> {
        self.be_on(0);
        let found = self.found();
        let events = self.events();
        let scheduled = self.scheduled();
        let groups = self.found_groups();
        let history = self.history.borrow();
        let mut violations = std::mem::take(&mut self.violations);
        violations.extend(check(&history, &found, drained));
        violations.extend(check_limits(&history, &found));
        if self.mechanisms.any() {
            violations.extend(check_ledger(&history, &found, &events));
            violations.extend(check_groups(&history, &found, &groups, &events, drained));
            violations.extend(check_hooks(&history, &found, &events));
        }
        for schedule in &scheduled {
            violations.extend(check_ticks(&history, &found, schedule));
        }
        violations
    }

    fn found(&mut self) -> Vec<StoredJob> {
        let all = ListFilter {
            limit: 10_000,
            ..ListFilter::default()
        };
        let mut found = Vec::new();
        for job in self.client.list(&all).unwrap_or_default() {
            let attempts = self.client.attempts_without_output(job.id).unwrap_or_default();
            let mut one = StoredJob::new(job, attempts);
            if one.job.gates.has(Gates::DEPENDS) {
                let parents = self.client.parents(one.job.id).unwrap_or_default();
                one.parents = parents
                    .iter()
                    .map(|parent| (parent.id, parent.condition))
                    .collect();
                let name = one.job.name.as_ref().map_or("", |name| name.as_str());
                one.runs_anyway = self.run_anyway.contains(name);
            }
            found.push(one);
        }
        found
    }

    fn events(&mut self) -> Vec<LedgerEvent> {
        let mut events: Vec<LedgerEvent> = Vec::new();
        while self.mechanisms.any() {
            let after = events.last().map_or(EventPlace::START, |event| event.place);
            let more = self.client.events_after(None, after, EVENTS).unwrap_or_default();
            let is_last = more.len() < EVENTS as usize;
            events.extend(more);
            if is_last {
                break;
            }
        }
        events
    }

    /// Whether the books of the store itself are right.
    pub fn store_is_sound(&mut self) -> bool {
        let sound = |report: CheckReport| {
            report.damage.is_empty()
                && report.dangling == 0
                && report.miscounted == 0
                && report.misplaced == 0
        };
        self.client.check().is_ok_and(sound)
    }
}
