//! Why a job does not run: every reason, from what is known of the job, its queue and the nodes.
//!
//! [`explain`] decides, and looks at nothing by itself. The facts come from where a claim looks: the pauses in force, which
//! queues a node serves, and the claim's own condition for the job. A new reason is a [`Code`], its place in [`explain`], and
//! a line in docs/json.md.

mod ended;
mod facts;
mod start;

use std::time::Duration;

use serde::Serialize;

use self::ended::{cancelled, dead, ended, goes_on};
pub use self::facts::{Facts, LimitFact, NodeFact, PauseFact, QueueFullFact, WaitsFor};
use self::start::start_command;
use crate::duration::{show_left, show_rough};
use crate::gates::BlockedBy;
use crate::outcome::OutcomeKind;
use crate::quote::quote_argv;
use crate::state::State;
use crate::time::Timestamp;

/// A reason, as programs know it. Codes are added and never renamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Code {
    /// An operator holds the job.
    Held,
    /// Jobs that it waits for have not ended.
    Dependency,
    /// A limit has no room.
    Limit,
    /// The running job whose unique key it takes has not ended.
    Unique,
    /// An earlier run of its schedule has not ended.
    Overlap,
    /// Its time has not come.
    Scheduled,
    /// It failed and waits before it is tried again.
    Retry,
    /// An executor could not run it, and it waits before it is tried again.
    Executor,
    /// What it needs is busy, and it waits before it is tried again.
    Busy,
    /// Its queue is paused.
    Paused,
    /// As many jobs of its queue run as may.
    #[serde(rename = "queue_limit")]
    QueueLimit,
    /// The rate of its queue allows no start now.
    #[serde(rename = "queue_rate")]
    QueueRate,
    /// No node serves its queue.
    Unserved,
    /// The nodes that serve its queue are stopping.
    Stopping,
    /// The nodes that serve its queue have as many jobs as they have slots.
    Full,
    /// Nothing stands in its way.
    Ready,
    /// It runs.
    Running,
    /// It runs and is about to be stopped.
    Cancelling,
    /// It runs and its processes are suspended.
    Suspended,
    /// The node that ran it is dead, and no other has taken it back yet.
    Lost,
    /// It has succeeded.
    Completed,
    /// It failed for good.
    Dead,
    /// It was cancelled.
    Cancelled,
    /// It cannot be read.
    Unreadable,
    /// A claim does not take it, for a reason that this version does not know.
    Unknown,
}

impl Code {
    /// What a list has room for, of reasons that its other columns do not show.
    pub fn in_short(self) -> Option<&'static str> {
        match self {
            Code::Held => Some("held"),
            Code::Dependency => Some("dependency"),
            Code::Limit => Some("limit"),
            Code::Unique => Some("unique"),
            Code::Overlap => Some("overlap"),
            Code::Executor => Some("executor"),
            Code::Busy => Some("busy"),
            Code::Paused => Some("paused"),
            Code::QueueLimit => Some("queue limit"),
            Code::QueueRate => Some("queue rate"),
            Code::Unserved => Some("no node"),
            Code::Stopping => Some("stopping"),
            Code::Full => Some("nodes full"),
            Code::Cancelling => Some("cancelling"),
            Code::Suspended => Some("suspended"),
            Code::Lost => Some("node dead"),
            Code::Unreadable => Some("unreadable"),
            Code::Scheduled | Code::Retry | Code::Ready | Code::Running => None,
            Code::Completed | Code::Dead | Code::Cancelled | Code::Unknown => None,
        }
    }
}

/// A reason why a job does not run, or what it does instead of waiting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    /// Which.
    pub code: Code,
    /// In words, on one line.
    pub text: String,
    /// Since when, if that is known.
    pub since: Option<Timestamp>,
    /// When it goes by itself, if that is known.
    pub until: Option<Timestamp>,
    /// The command that changes it, if there is one.
    pub command: Option<String>,
}

/// Why a job does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// Every reason, in the order in which they would have to go. There is at least one.
    pub reasons: Vec<Reason>,
    /// When it can start at the earliest, if it has not ended, does not run, and that is known.
    pub earliest_start: Option<Timestamp>,
    /// The command that starts it past all the reasons, if one does.
    pub start_command: Option<String>,
}

/// Says why a job does not run.
pub fn explain(facts: &Facts<'_>) -> Explanation {
    let job = facts.job;
    let reasons = match job.state {
        State::Processing => vec![running(facts)],
        State::Completed => vec![ended(facts, Code::Completed, "it is completed", "rerun")],
        State::Dead => vec![ended(facts, Code::Dead, &dead(facts), "dlq:retry")],
        State::Cancelled => vec![cancelled(facts)],
        State::Blocked | State::Pending | State::Scheduled | State::Failed => waiting(facts),
    };
    let waits = matches!(
        job.state,
        State::Blocked | State::Pending | State::Scheduled | State::Failed
    );
    let starts = reasons.iter().map(|reason| match reason.code {
        Code::Ready => Some(facts.now),
        _ => reason.until,
    });
    let starts: Option<Vec<Timestamp>> = starts.collect();
    let earliest_start = starts
        .filter(|_| waits)
        .and_then(|starts| starts.into_iter().max());
    Explanation {
        start_command: start_command(facts, &reasons),
        reasons,
        earliest_start,
    }
}

fn reason(code: Code, text: String) -> Reason {
    Reason {
        code,
        text,
        since: None,
        until: None,
        command: None,
    }
}

/// A node that was not heard of for longer than this, in ms, may be dead.
const SILENT: u64 = 15_000;

fn running(facts: &Facts<'_>) -> Reason {
    let number = facts.job.node;
    let mut node = number.map_or_else(|| "a node".to_owned(), |node| format!("node {node}"));
    let living = facts.nodes.iter().find(|node| Some(node.id) == number);
    match living {
        Some(living) => {
            let silent = facts.now.since(living.heard_of);
            if silent > Duration::from_millis(SILENT) {
                node.push_str(&format!(", which was last heard of {} ago", show_rough(silent)));
            }
        }
        None if number.is_some() => {
            let text = format!("{node}, which ran it, is dead; the next node that looks takes the job back");
            return Reason {
                since: facts.job.started_at,
                command: Some(format!("queuectl worker:start --queue {}", facts.job.queue)),
                ..reason(Code::Lost, text)
            };
        }
        None => {}
    }
    let suspended_since = facts.job.suspended_since.filter(|_| !facts.job.cancel_requested);
    let (code, text, command) = match facts.job.cancel_requested {
        true => (Code::Cancelling, format!("{node} is about to stop it"), None),
        false if suspended_since.is_some() => (
            Code::Suspended,
            format!("its processes are suspended on {node}"),
            Some(format!("queuectl resume {}", facts.job.public_id())),
        ),
        false => (
            Code::Running,
            format!("it runs on {node}"),
            Some(format!("queuectl logs -f {}", facts.job.public_id())),
        ),
    };
    Reason {
        since: suspended_since.or(facts.job.started_at),
        command,
        ..reason(code, text)
    }
}

/// The reasons of a job that has not started and has not ended.
fn waiting(facts: &Facts<'_>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if facts.started_by.is_none() {
        reasons.extend(blocked(facts));
        reasons.extend(busy(facts).filter(|_| !facts.job.waits.has(BlockedBy::Limit)));
        reasons.extend(not_due(facts));
        reasons.extend(paused(facts));
        reasons.extend(queue_full(facts));
    }
    // One whose time has come is not claimable yet: the next cycle of a node makes it so.
    let is_due = matches!(facts.job.state, State::Scheduled | State::Failed) && reasons.is_empty();
    // What the condition of a claim has in it comes before; which node claims, and when, comes below.
    if facts.claimable == Some(false) && facts.started_by.is_none() && reasons.is_empty() && !is_due {
        let text = "a claim does not take it, for a reason that this version does not know".to_owned();
        reasons.push(reason(Code::Unknown, text));
    }
    let can_start = reasons.is_empty();
    let full = |reason: &Reason| reason.code == Code::Full;
    // Slots are of interest when the job could take one.
    reasons.extend(nodes(facts).filter(|reason| can_start || !full(reason)));
    if let Some(fault) = &facts.job.unreadable {
        let text = format!("it cannot be read ({fault}); the node that takes it ends it as dead");
        reasons.push(reason(Code::Unreadable, text));
    }
    let started = facts
        .started_by
        .map(|by| format!("{by} started it with --now, so it is claimed first"));
    let ready = || {
        reasons
            .is_empty()
            .then(|| format!("it is ready{}", behind(facts)))
    };
    if let Some(text) = started.or_else(ready) {
        reasons.push(Reason {
            since: Some(facts.job.updated_at),
            ..reason(Code::Ready, text)
        });
    }
    reasons
}

fn blocked(facts: &Facts<'_>) -> Vec<Reason> {
    let waits = BlockedBy::ALL.into_iter().filter(|by| facts.job.waits.has(*by));
    let reasons = waits.flat_map(|by| match by {
        BlockedBy::Held => vec![held(facts)],
        BlockedBy::Dependency => vec![dependency(facts)],
        BlockedBy::Limit => busy(facts).map_or_else(|| limits(facts), |busy| vec![busy]),
        BlockedBy::Unique => vec![unique(facts)],
        BlockedBy::Overlap => vec![overlap(facts)],
    });
    let reasons = reasons.map(|reason| Reason {
        since: Some(facts.job.updated_at),
        ..reason
    });
    reasons.collect()
}

/// A limit whose key is put off.
fn busy(facts: &Facts<'_>) -> Option<Reason> {
    let (key, until) = facts.busy.filter(|(_, until)| *until > facts.now)?;
    let text = format!(
        "limit {key} is put off for another {}, because an attempt found it busy",
        show_left(until.since(facts.now))
    );
    let resume = match key.split_once(':') {
        Some((name, key)) => format!("queuectl limit:resume {name} --key {}", quote_argv(&[key])),
        None => format!("queuectl limit:resume {key}"),
    };
    Some(Reason {
        until: Some(until),
        command: Some(resume),
        ..reason(Code::Limit, text)
    })
}

fn held(facts: &Facts<'_>) -> Reason {
    let text = match facts.waits_for.and_then(|found| found.unmet.as_ref()) {
        Some((parent, state)) => goes_on(facts, "held").map_or_else(
            || format!("it is held because job {parent} is {state}"),
            |(text, _)| text,
        ),
        None => "it is held".to_owned(),
    };
    Reason {
        command: Some(format!("queuectl release {}", facts.job.public_id())),
        ..reason(Code::Held, text)
    }
}

/// Jobs that are named where there are several.
const NAMED: usize = 5;

/// Names jobs, of which there may be more.
fn jobs(ids: &[String], all: u64) -> String {
    let named: Vec<&str> = ids.iter().take(NAMED).map(String::as_str).collect();
    let mut text = match all {
        1 => format!("job {}", named.join(", ")),
        _ => format!("jobs {}", named.join(", ")),
    };
    let more = all.saturating_sub(named.len() as u64);
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// A job that waits for others. The command says what the first of them waits for.
fn after(code: Code, ids: &[String], named: impl Fn(&str) -> String, unknown: &str) -> Reason {
    let text = match ids {
        [] => unknown.to_owned(),
        _ => named(&jobs(ids, ids.len() as u64)),
    };
    Reason {
        command: ids.first().map(|id| format!("queuectl explain {id}")),
        ..reason(code, text)
    }
}

fn dependency(facts: &Facts<'_>) -> Reason {
    let unknown = "jobs that it waits for have not ended";
    let named = |jobs: &str| format!("it waits for {jobs}");
    after(Code::Dependency, facts.found(|found| &found.jobs), named, unknown)
}

fn unique(facts: &Facts<'_>) -> Reason {
    let holder = facts.found(|found| found.key_holder.as_slice());
    let named = |job: &str| format!("it runs after {job}, which has its unique key");
    let unknown = "the running job whose unique key it takes has not ended";
    after(Code::Unique, holder, named, unknown)
}

fn overlap(facts: &Facts<'_>) -> Reason {
    let runs = facts.found(|found| &found.runs);
    let named = |jobs: &str| match runs.len() {
        1 => format!("it runs after {jobs}, an earlier run of its schedule"),
        _ => format!("it runs after {jobs}, earlier runs of its schedule"),
    };
    after(
        Code::Overlap,
        runs,
        named,
        "an earlier run of its schedule has not ended",
    )
}

/// The limits that have no room, each with who has it and when there is room.
fn limits(facts: &Facts<'_>) -> Vec<Reason> {
    let found = facts.found(|found| &found.limits);
    if found.is_empty() {
        return vec![reason(Code::Limit, "a limit has no room for it".to_owned())];
    }
    found
        .iter()
        .flat_map(|limit| limit_of(limit, facts.now))
        .collect()
}

fn limit_of(limit: &LimitFact, now: Timestamp) -> Vec<Reason> {
    let key = &limit.key;
    let name = key.split_once(':').map_or(key.as_str(), |(name, _)| name);
    let mut reasons = Vec::new();
    if let Some(most) = limit.running.filter(|most| limit.held >= u64::from(*most)) {
        let text = match limit.held {
            0 => format!("limit {key} lets no job run"),
            held => {
                let holders = jobs(&limit.holders, held);
                format!("limit {key} has no room, with {held} of {most} running ({holders})")
            }
        };
        reasons.push(Reason {
            command: Some(format!(
                "queuectl limit:set {name} --running {}",
                most.saturating_add(1)
            )),
            ..reason(Code::Limit, text)
        });
    }
    if let Some(next) = limit.next_start.filter(|next| *next > now) {
        let text = format!(
            "limit {key} lets the next job start in {}",
            show_left(next.since(now))
        );
        reasons.push(Reason {
            until: Some(next),
            ..reason(Code::Limit, text)
        });
    }
    if reasons.is_empty() {
        let text = format!("limit {key} had no room for it; the next node that looks lets it go on");
        reasons.push(reason(Code::Limit, text));
    }
    reasons
}

fn not_due(facts: &Facts<'_>) -> Option<Reason> {
    let due = facts.job.due_at.filter(|due| *due > facts.now)?;
    let wait = show_left(due.since(facts.now));
    // Only a job that was tried has a fencing token.
    let is_fresh = facts.job.attempts == 0 && facts.job.system_failures == 0;
    if facts.job.fence == 0 || is_fresh && facts.job.state != State::Failed {
        return Some(Reason {
            until: Some(due),
            since: Some(facts.job.created_at),
            ..reason(Code::Scheduled, format!("it is scheduled and due in {wait}"))
        });
    }
    let (code, what) = match facts.last {
        Some((OutcomeKind::SystemFailure, message)) => (
            Code::Executor,
            format!("its executor could not run it ({message})"),
        ),
        Some((OutcomeKind::Busy, message)) => (Code::Busy, format!("what it needs is busy ({message})")),
        Some((_, message)) if !message.is_empty() => (
            Code::Retry,
            format!("attempt {} failed ({message})", facts.job.attempts),
        ),
        _ => (Code::Retry, format!("attempt {} failed", facts.job.attempts)),
    };
    let command = match facts.job.state {
        State::Failed => Some(format!("queuectl retry {}", facts.job.public_id())),
        _ => None,
    };
    Some(Reason {
        since: Some(facts.job.updated_at),
        until: Some(due),
        command,
        ..reason(code, format!("{what}; the next is due in {wait}"))
    })
}

fn paused(facts: &Facts<'_>) -> Option<Reason> {
    let pause = facts.pause?;
    let queue = &facts.job.queue;
    let mut text = format!("queue {queue} is paused");
    if !pause.by.is_empty() {
        text.push_str(&format!(" by {}", pause.by));
    }
    if let Some(until) = pause.until {
        text.push_str(&format!(" for another {}", show_left(until.since(facts.now))));
    }
    if let Some(why) = &pause.reason {
        text.push_str(&format!(": {why}"));
    }
    Some(Reason {
        since: Some(pause.since),
        until: pause.until,
        command: Some(format!("queuectl queue:resume {queue}")),
        ..reason(Code::Paused, text)
    })
}

/// The limit of its queue. What has no room now says nothing of a job whose time has not come, unless none may run at all.
fn queue_full(facts: &Facts<'_>) -> Option<Reason> {
    let queue = &facts.job.queue;
    let is_ready = facts.job.state == State::Pending;
    match facts.queue_full? {
        QueueFullFact::Running { most: 0, .. } => Some(Reason {
            command: Some(format!("queuectl queue:unset {queue} running")),
            ..reason(Code::QueueLimit, format!("queue {queue} may run no jobs"))
        }),
        QueueFullFact::Running { running, most } if is_ready => {
            let text = format!("queue {queue} may run {most} jobs at a time, and {running} run");
            Some(Reason {
                command: Some(format!("queuectl queue:unset {queue} running")),
                ..reason(Code::QueueLimit, text)
            })
        }
        QueueFullFact::Rate(next) if is_ready && next > facts.now => {
            let wait = show_left(next.since(facts.now));
            let text = format!("the rate of queue {queue} allows the next start in {wait}");
            Some(Reason {
                until: Some(next),
                command: Some(format!("queuectl queue:unset {queue} rate")),
                ..reason(Code::QueueRate, text)
            })
        }
        _ => None,
    }
}

/// Why no node takes it now.
fn nodes(facts: &Facts<'_>) -> Option<Reason> {
    let queue = &facts.job.queue;
    let serve: Vec<&NodeFact> = facts.nodes.iter().filter(|node| node.serves).collect();
    let one_more = |code, text| {
        Some(Reason {
            command: Some(format!("queuectl worker:start --queue {queue}")),
            ..reason(code, text)
        })
    };
    if serve.is_empty() {
        let text = match facts.nodes.is_empty() {
            true => "no node is running".to_owned(),
            false => format!("no node serves queue {queue}"),
        };
        return one_more(Code::Unserved, text);
    }
    let (stopping, work): (Vec<&NodeFact>, Vec<&NodeFact>) =
        serve.into_iter().partition(|node| node.stopping);
    if work.is_empty() {
        let text = format!("{} stopping and takes no more jobs", list(&stopping, "is", "are"));
        return one_more(Code::Stopping, text);
    }
    if work.iter().any(|node| node.jobs < node.slots) {
        return None;
    }
    let (jobs, slots) = work.iter().fold((0, 0), |(jobs, slots), node| {
        (jobs + node.jobs.min(node.slots), slots + node.slots)
    });
    let running = facts.found(|found| &found.on_nodes);
    let by = match running {
        [] => String::new(),
        _ => format!(" by {}", self::jobs(running, jobs)),
    };
    let text = format!(
        "{} full, with {jobs} of {slots} slots in use{by}{}",
        list(&work, "is", "are"),
        behind(facts)
    );
    one_more(Code::Full, text)
}

fn list(nodes: &[&NodeFact], one: &str, several: &str) -> String {
    let ids: Vec<String> = nodes.iter().map(|node| node.id.to_string()).collect();
    match &ids[..] {
        [id] => format!("node {id} {one}"),
        _ => format!("nodes {} {several}", ids.join(", ")),
    }
}

fn behind(facts: &Facts<'_>) -> String {
    match facts.ahead {
        None | Some(0) => String::new(),
        Some(1) => "; 1 job of its queue comes first".to_owned(),
        Some(jobs) if jobs >= AHEAD => format!("; {AHEAD} or more jobs of its queue come first"),
        Some(jobs) => format!("; {jobs} jobs of its queue come first"),
    }
}

/// Jobs that come first are counted up to this number.
pub const AHEAD: u64 = 1000;

#[cfg(test)]
mod tests;
