//! Why a job does not run: every reason, from what is known of the job, its queue and the nodes.
//!
//! [`explain`] decides, and looks at nothing by itself. The facts come from where a claim looks: the pauses in force, which
//! queues a node serves, and the claim's own condition for the job. A new reason is a [`Code`], its place in [`explain`], and
//! a line in docs/json.md.

use serde::Serialize;

use crate::duration::show_rough;
use crate::gates::BlockedBy;
use crate::id::NodeId;
use crate::job::Job;
use crate::outcome::OutcomeKind;
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
    /// Its queue is paused.
    Paused,
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
            Code::Paused => Some("paused"),
            Code::Unserved => Some("no node"),
            Code::Stopping => Some("stopping"),
            Code::Full => Some("nodes full"),
            Code::Cancelling => Some("cancelling"),
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
}

/// A pause that is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PauseFact {
    /// Since when.
    pub since: Timestamp,
    /// When it ends by itself, if it does.
    pub until: Option<Timestamp>,
    /// Who paused the queue.
    pub by: String,
    /// Why.
    pub reason: Option<String>,
}

/// A living node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeFact {
    /// Its number.
    pub id: NodeId,
    /// Whether the job's queue is among those that it takes jobs of, unless it is stopping.
    pub serves: bool,
    /// Whether it was asked to stop.
    pub stopping: bool,
    /// How many jobs it runs at a time.
    pub slots: u64,
    /// How many jobs it has.
    pub jobs: u64,
}

/// What is known.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// The job.
    pub job: &'a Job,
    /// The time by the queue's clock.
    pub now: Timestamp,
    /// The pause of its queue.
    pub pause: Option<&'a PauseFact>,
    /// The living nodes.
    pub nodes: &'a [NodeFact],
    /// How its newest ended attempt ended, and why; if that was looked up.
    pub last: Option<(OutcomeKind, &'a str)>,
    /// Whether the condition of a claim from all queues holds for it; if that was looked up.
    pub claimable: Option<bool>,
    /// How many jobs of its queue come first; if that was looked up.
    pub ahead: Option<u64>,
    /// The ids of jobs that it waits for and that have not ended as it needs; if they were looked up.
    pub unmet: &'a [String],
}

/// Says why a job does not run.
pub fn explain(facts: &Facts<'_>) -> Explanation {
    let job = facts.job;
    let reasons = match job.state {
        State::Processing => vec![running(facts)],
        State::Completed => vec![ended(facts, Code::Completed, "it is completed", "rerun")],
        State::Dead => vec![ended(facts, Code::Dead, &dead(facts), "dlq:retry")],
        State::Cancelled => vec![ended(facts, Code::Cancelled, "it was cancelled", "retry")],
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

fn running(facts: &Facts<'_>) -> Reason {
    let node = facts.job.node;
    let node = node.map_or_else(|| "a node".to_owned(), |node| format!("node {node}"));
    let (code, text, command) = match facts.job.cancel_requested {
        true => (Code::Cancelling, format!("{node} is about to stop it"), None),
        false => (
            Code::Running,
            format!("it runs on {node}"),
            Some(format!("queuectl logs -f {}", facts.job.public_id())),
        ),
    };
    Reason {
        since: facts.job.started_at,
        command,
        ..reason(code, text)
    }
}

fn ended(facts: &Facts<'_>, code: Code, text: &str, command: &str) -> Reason {
    Reason {
        since: facts.job.finished_at,
        command: Some(format!("queuectl {command} {}", facts.job.public_id())),
        ..reason(code, text.to_owned())
    }
}

fn dead(facts: &Facts<'_>) -> String {
    match facts.last {
        Some((_, message)) if !message.is_empty() => format!("it is dead: {message}"),
        _ => "it is dead".to_owned(),
    }
}

/// The reasons of a job that has not started and has not ended.
fn waiting(facts: &Facts<'_>) -> Vec<Reason> {
    let mut reasons = blocked(facts);
    reasons.extend(not_due(facts));
    reasons.extend(paused(facts));
    // What the condition of a claim has in it comes before; which node claims, and when, comes below.
    if facts.claimable == Some(false) && reasons.is_empty() {
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
    if reasons.is_empty() {
        reasons.push(Reason {
            since: Some(facts.job.updated_at),
            ..reason(Code::Ready, format!("it is ready{}", behind(facts)))
        });
    }
    reasons
}

fn blocked(facts: &Facts<'_>) -> Vec<Reason> {
    let waits = BlockedBy::ALL.into_iter().filter(|by| facts.job.waits.has(*by));
    let id = facts.job.public_id();
    let reasons = waits.map(|by| {
        let (code, text, command) = match by {
            BlockedBy::Held => (
                Code::Held,
                "it is held".to_owned(),
                Some(format!("queuectl release {id}")),
            ),
            BlockedBy::Dependency => dependency(facts.unmet),
            BlockedBy::Limit => (Code::Limit, "a limit has no room for it".to_owned(), None),
            BlockedBy::Unique => (
                Code::Unique,
                "the running job whose unique key it takes has not ended".to_owned(),
                None,
            ),
            BlockedBy::Overlap => (
                Code::Overlap,
                "an earlier run of its schedule has not ended".to_owned(),
                None,
            ),
        };
        Reason {
            since: Some(facts.job.updated_at),
            command,
            ..reason(code, text)
        }
    });
    reasons.collect()
}

/// Jobs that are named among those that one waits for.
const NAMED: usize = 5;

/// The command says what the first of them waits for.
fn dependency(unmet: &[String]) -> (Code, String, Option<String>) {
    let mut names = unmet.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if unmet.len() > NAMED {
        names.push_str(&format!(" and {} more", unmet.len() - NAMED));
    }
    let text = match unmet.len() {
        0 => "jobs that it waits for have not ended".to_owned(),
        1 => format!("it waits for job {names}"),
        _ => format!("it waits for jobs {names}"),
    };
    let command = unmet.first().map(|id| format!("queuectl explain {id}"));
    (Code::Dependency, text, command)
}

fn not_due(facts: &Facts<'_>) -> Option<Reason> {
    let due = facts.job.due_at.filter(|due| *due > facts.now)?;
    let wait = show_rough(due.since(facts.now));
    // Only a job that was tried has a fencing token.
    if facts.job.fence == 0 || facts.job.attempts == 0 && facts.job.system_failures == 0 {
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
        text.push_str(&format!(" for another {}", show_rough(until.since(facts.now))));
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
    let text = format!(
        "{} full, with {jobs} of {slots} slots in use{}",
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
