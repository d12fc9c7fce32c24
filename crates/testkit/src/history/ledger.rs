//! The ledger of events against what must hold at every moment: in which order jobs start, who has a key, and what operators
//! did. The ledger is in the order in which things became true, so it says what no client and no node could see.

use std::collections::{HashMap, HashSet};

use queuectl_core::{Condition, JobId};
use queuectl_storage::LedgerEvent;
use serde_json::Value;

use super::{Call, History, Reply, StoredJob, Verdict, Violation, What};

/// How a job has ended at any time.
#[derive(Debug, Clone, Copy, Default)]
struct Ends {
    well: bool,
    badly: bool,
}

impl Ends {
    fn meet(self, condition: Condition) -> bool {
        match condition {
            Condition::Ok => self.well,
            Condition::Failed => self.badly,
            Condition::Any => self.well || self.badly,
        }
    }
}

/// Checks the events of a ledger that has been kept from the beginning, in their order.
pub fn check_ledger(history: &History, found: &[StoredJob], events: &[LedgerEvent]) -> Vec<Violation> {
    let mut check = Check {
        history,
        jobs: found.iter().map(|one| (one.job.id, one)).collect(),
        ends: HashMap::new(),
        running: HashSet::new(),
        held: HashSet::new(),
        let_go: HashSet::new(),
        keys: HashMap::new(),
        paused: HashMap::new(),
        counts: HashMap::new(),
        pauses: HashSet::new(),
        violations: Vec::new(),
    };
    for event in events {
        match event.job {
            Some(job) => check.happened(job, event),
            None => check.queue(event),
        }
    }
    check.operators();
    check.violations
}

struct Check<'a> {
    history: &'a History,
    jobs: HashMap<JobId, &'a StoredJob>,
    ends: HashMap<JobId, Ends>,
    running: HashSet<JobId>,
    held: HashSet<JobId>,
    /// Jobs that an operator has let go on.
    let_go: HashSet<JobId>,
    /// The jobs of each key that have not ended, in the order in which they were stored or retried.
    keys: HashMap<&'a str, Vec<JobId>>,
    /// Until when queues are paused.
    paused: HashMap<String, i64>,
    counts: HashMap<(JobId, &'a str), u32>,
    /// Who paused which queue.
    pauses: HashSet<(String, String)>,
    violations: Vec<Violation>,
}

/// What operators do to a job, and how that is called in the ledger.
const CANCELLED: &str = "cancelled";
const CANCEL_REQUESTED: &str = "cancel requested";
const PURGED: &str = "purged";

impl<'a> Check<'a> {
    fn happened(&mut self, job: JobId, event: &LedgerEvent) {
        for kind in [CANCELLED, CANCEL_REQUESTED, PURGED] {
            if event.kind == kind {
                *self.counts.entry((job, kind)).or_default() += 1;
            }
        }
        match event.kind.as_str() {
            "enqueued" => self.enters(job),
            "started" => self.started(job, event),
            "succeeded" => {
                self.ends.entry(job).or_default().well = true;
                self.leaves(job);
            }
            "dead" | CANCELLED => {
                self.ends.entry(job).or_default().badly = true;
                self.leaves(job);
            }
            "retried" => {
                self.held.remove(&job);
                self.let_go.insert(job);
                self.enters(job);
            }
            "held" => {
                self.held.insert(job);
                self.running.remove(&job);
            }
            "released" => {
                self.held.remove(&job);
                self.let_go.insert(job);
            }
            "failed" | "returned" | "busy" | "blocked" => {
                self.running.remove(&job);
            }
            _ => {}
        }
    }

    fn key(&self, job: JobId) -> Option<&'a str> {
        Some(self.jobs.get(&job)?.job.unique.as_ref()?.as_str())
    }

    /// A job has not ended from now on. Another that has its key must run, and it has no more than one such successor.
    fn enters(&mut self, job: JobId) {
        let Some(key) = self.key(job) else { return };
        let open = self.keys.entry(key).or_default();
        if open.contains(&job) {
            return;
        }
        open.push(job);
        let others: Vec<JobId> = open.iter().copied().filter(|other| *other != job).collect();
        let follows = matches!(others.as_slice(), [other] if self.running.contains(other));
        if !others.is_empty() && !follows {
            let detail = format!(
                "it was stored with the key '{key}', which jobs have that have not ended: {others:?}"
            );
            self.violation(Verdict::KeyShared, Some(job), detail);
        }
    }

    fn leaves(&mut self, job: JobId) {
        self.running.remove(&job);
        self.held.remove(&job);
        if let Some(open) = self.key(job).and_then(|key| self.keys.get_mut(key)) {
            open.retain(|other| *other != job);
        }
    }

    fn started(&mut self, job: JobId, event: &LedgerEvent) {
        self.running.insert(job);
        if self.held.contains(&job) {
            self.violation(
                Verdict::NotHeldBack,
                Some(job),
                "it started while it was held".to_owned(),
            );
        }
        let Some(one) = self.jobs.get(&job).copied() else {
            return;
        };
        let until = self.paused.get(one.job.queue.as_str());
        if until.is_some_and(|until| *until > event.at.0) {
            let detail = format!("it started while its queue, {}, was paused", one.job.queue);
            self.violation(Verdict::NotHeldBack, Some(job), detail);
        }
        if let Some(open) = self.key(job).and_then(|key| self.keys.get(key)) {
            match open.as_slice() {
                [first, .., other] if *first == job => {
                    let detail = format!("it started again although job {other} took its place");
                    self.violation(Verdict::Superseded, Some(job), detail);
                }
                [other, _, ..] => {
                    let detail = format!("it started before job {other}, which has its key, had ended");
                    self.violation(Verdict::KeyShared, Some(job), detail);
                }
                _ => {}
            }
        }
        self.waited(job, one);
    }

    fn waited(&mut self, job: JobId, one: &StoredJob) {
        for (parent, condition) in &one.parents {
            let ends = self.ends.get(parent).copied().unwrap_or_default();
            // An operator, or its own policy, may have it run without a parent, but not before that has ended.
            let goes_without = one.runs_anyway || self.let_go.contains(&job);
            let needs = if goes_without { Condition::Any } else { *condition };
            if !ends.meet(needs) {
                let detail =
                    format!("it started before job {parent} had ended as it needs that: {condition:?}");
                self.violation(Verdict::TooEarly, Some(job), detail);
            }
        }
    }

    fn queue(&mut self, event: &LedgerEvent) {
        let detail = event
            .detail
            .as_deref()
            .and_then(|detail| serde_json::from_str::<Value>(detail).ok());
        let text = |name: &str| detail.as_ref()?.get(name)?.as_str().map(str::to_owned);
        let Some(queue) = text("queue") else { return };
        if event.kind == "queue resumed" {
            self.paused.remove(&queue);
        } else if event.kind == "queue paused" {
            let until = detail.as_ref().and_then(|detail| detail.get("until")?.as_i64());
            self.pauses
                .insert((queue.clone(), text("by").unwrap_or_default()));
            self.paused.insert(queue, until.unwrap_or(i64::MAX));
        }
    }

    /// Whatever an operator was told is done is there.
    fn operators(&mut self) {
        let history = self.history;
        let mut asked: HashMap<u32, &Call> = HashMap::new();
        let mut wanted: HashMap<(JobId, &str), u32> = HashMap::new();
        for event in &history.events {
            match &event.what {
                What::Invoked(number, call) => {
                    asked.insert(*number, call);
                }
                What::Returned(number, reply) => match (asked.remove(number), reply) {
                    (Some(Call::Cancel(job)), Reply::Done) => {
                        *wanted.entry((*job, CANCELLED)).or_default() += 1
                    }
                    (Some(Call::Cancel(job)), Reply::Requested) => {
                        wanted.insert((*job, CANCEL_REQUESTED), 1);
                    }
                    (Some(Call::Purge(job)), Reply::Done) => {
                        wanted.insert((*job, PURGED), 1);
                    }
                    (Some(Call::Pause(queue, by)), Reply::Done)
                        if !self.pauses.contains(&(queue.clone(), by.clone())) =>
                    {
                        let detail = format!("{by} paused queue {queue}, and that is not there");
                        self.violation(Verdict::Unrecorded, None, detail);
                    }
                    _ => {}
                },
                _ => {}
            }
        }
        let mut missing: Vec<(JobId, &str)> = Vec::new();
        for (what, times) in wanted {
            if self.counts.get(&what).copied().unwrap_or(0) < times {
                missing.push(what);
            }
        }
        missing.sort_unstable();
        for (job, kind) in missing {
            self.violation(
                Verdict::Unrecorded,
                Some(job),
                format!("that it was {kind} is not there"),
            );
        }
    }

    fn violation(&mut self, verdict: Verdict, job: Option<JobId>, detail: String) {
        let name = job
            .and_then(|job| self.jobs.get(&job))
            .map_or("", |one| one.name());
        self.violations.push(Violation {
            verdict,
            job,
            name: name.to_owned(),
            detail,
            history: self.history.of_job(job, name),
        });
    }
}
