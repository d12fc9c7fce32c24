//! The verdicts.

use std::collections::{HashMap, HashSet};

use queuectl_core::{JobId, OutcomeKind};

use super::follow::{self, Op, Unseen};
use super::verdict::{Verdict, Violation};
use super::{Call, History, Reply, StoredJob, What, has_ended};

/// What a history says of one job.
#[derive(Default)]
struct About {
    /// Whether its enqueueing was acknowledged, may have happened, or failed.
    acknowledged: bool,
    possible: bool,
    ops: Vec<Op>,
    /// Tokens under which it ran.
    ran: HashSet<i64>,
    retries: u32,
    purged: bool,
}

impl Reply {
    /// The numbers of the jobs that were stored, in the order of the call.
    fn stored(&self) -> Vec<Option<JobId>> {
        match self {
            Reply::Enqueued(ids) => ids.iter().copied().map(Some).collect(),
            Reply::Placed(ids) => ids.clone(),
            _ => Vec::new(),
        }
    }
}

/// Decides on a history. `found` is everything that was in the store in the end. With `drained`, the faults were over
/// and nodes had the time to finish everything.
pub fn check(history: &History, found: &[StoredJob], drained: bool) -> Vec<Violation> {
    let mut violations = Vec::new();
    let names: HashMap<&str, JobId> = found
        .iter()
        .filter_map(|one| Some((one.job.name.as_ref()?.as_str(), one.job.id)))
        .collect();
    let stored: HashMap<JobId, &StoredJob> = found.iter().map(|one| (one.job.id, one)).collect();
    let mut jobs: HashMap<JobId, About> = HashMap::new();
    let mut told: HashMap<JobId, String> = HashMap::new();
    let mut violation = |verdict, job: Option<JobId>, name: &str, detail: String| {
        violations.push(Violation {
            verdict,
            job,
            name: name.to_owned(),
            detail,
            history: history.of_job(job, name),
        });
    };

    // Who asked for what.
    let mut lost: Vec<(JobId, String)> = Vec::new();
    let replies: HashMap<u32, (usize, &Reply)> = history
        .events
        .iter()
        .enumerate()
        .filter_map(|(place, event)| match &event.what {
            What::Returned(call, reply) => Some((*call, (place, reply))),
            _ => None,
        })
        .collect();
    let observes_claims = history
        .events
        .iter()
        .any(|event| matches!(event.what, What::Invoked(_, Call::Claim(..))));
    for event in &history.events {
        let wanted = match &event.what {
            What::Invoked(call, Call::Enqueue(wanted)) => (call, wanted),
            What::Invoked(call, Call::Purge(job)) => {
                let reply = replies.get(call).map(|(_, reply)| *reply);
                jobs.entry(*job).or_default().purged |=
                    matches!(reply, None | Some(Reply::Done | Reply::Unknown));
                continue;
            }
            _ => continue,
        };
        let (call, wanted) = wanted;
        let reply = replies.get(call).map(|(_, reply)| *reply);
        match reply {
            Some(Reply::Enqueued(_) | Reply::Placed(_)) => {
                for (name, id) in wanted.iter().zip(reply.into_iter().flat_map(Reply::stored)) {
                    let Some(id) = id else { continue };
                    told.insert(id, name.clone());
                    jobs.entry(id).or_default().acknowledged = true;
                    match stored.get(&id) {
                        None => lost.push((id, name.clone())),
                        Some(one) if one.job.name.as_ref().is_none_or(|is| is.as_str() != name) => violation(
                            Verdict::Lost,
                            Some(id),
                            name,
                            "another job is stored under its number".to_owned(),
                        ),
                        Some(_) => {}
                    }
                }
            }
            None | Some(Reply::Unknown) => {
                for id in wanted.iter().filter_map(|name| names.get(name.as_str())) {
                    jobs.entry(*id).or_default().possible = true;
                }
            }
            Some(_) => {}
        }
    }
    for (id, name) in lost {
        if !jobs.get(&id).is_some_and(|about| about.purged) {
            let detail = "it was reported as stored, and is not there".to_owned();
            violation(Verdict::Lost, Some(id), &name, detail);
        }
    }
    for one in found {
        if one.is_made_by_the_store() {
            jobs.entry(one.job.id).or_default().possible = true;
        }
        let known = jobs
            .get(&one.job.id)
            .is_some_and(|about| about.acknowledged || about.possible);
        let name = one.job.name.as_ref().map_or("", |name| name.as_str());
        told.entry(one.job.id).or_insert_with(|| name.to_owned());
        if !known {
            let detail = "no client stored it, or storing it was reported as failed".to_owned();
            violation(Verdict::Unexpected, Some(one.job.id), name, detail);
        }
    }

    // What happened to each.
    let mut running: HashMap<(JobId, u32), Vec<i64>> = HashMap::new();
    for (place, event) in history.events.iter().enumerate() {
        match &event.what {
            What::Invoked(call, asked) => {
                let (answered, reply) = match replies.get(call) {
                    Some((answered, reply)) => (*answered, *reply),
                    None => (usize::MAX, &Reply::Unknown),
                };
                match asked {
                    Call::Claim(node, _) => match reply {
                        Reply::Claimed(claimed) => {
                            for (job, fence, attempt) in claimed {
                                let op = Op::claim(place, answered, *node, *fence, *attempt);
                                jobs.entry(*job).or_default().ops.push(op);
                            }
                        }
                        Reply::Unknown => {
                            for (_, about) in jobs.iter_mut() {
                                about.ops.push(Op::perhaps_claimed(place, *node));
                            }
                        }
                        _ => {}
                    },
                    Call::Outcome {
                        job,
                        fence,
                        node,
                        change,
                        kept,
                    } => {
                        let op = Op::outcome(place, answered, (*node, *fence), *change, *kept, reply);
                        jobs.entry(*job).or_default().ops.extend(op);
                    }
                    Call::Cancel(job) => {
                        let op = Op::cancel(place, answered, reply);
                        jobs.entry(*job).or_default().ops.extend(op);
                    }
                    Call::Retry(job) => {
                        let about = jobs.entry(*job).or_default();
                        about.retries += u32::from(matches!(reply, Reply::Done | Reply::Unknown));
                        about.ops.extend(Op::retry(place, answered, reply));
                    }
                    Call::Enqueue(_)
                    | Call::Heartbeat(_)
                    | Call::Purge(_)
                    | Call::SetLimit(..)
                    | Call::Pause(..) => {}
                }
            }
            What::Began {
                job,
                fence,
                attempt,
                machine,
            } => {
                let about = jobs.entry(*job).or_default();
                about.ran.insert(*fence);
                let name = told.get(job).map_or("", String::as_str);
                if !(about.acknowledged || about.possible) {
                    violation(
                        Verdict::Unexpected,
                        Some(*job),
                        name,
                        "it ran, and no client stored it".to_owned(),
                    );
                }
                let claimed = about.ops.iter().any(|op| op.is_claim_of(*fence, *attempt));
                if observes_claims && !claimed {
                    let detail = format!("it ran under token {fence}, which no node was given");
                    violation(Verdict::Unexpected, Some(*job), name, detail);
                }
                let there = running.entry((*job, *machine)).or_default();
                if let Some(other) = there.first() {
                    let detail =
                        format!("began under token {fence} while token {other} ran on machine {machine}");
                    violation(Verdict::Overlap, Some(*job), name, detail);
                }
                there.push(*fence);
                let most = stored
                    .get(job)
                    .map(|one| one.job.max_retries.unwrap_or(history.max_retries) + 1);
                if most.is_some_and(|most| *attempt > most) {
                    let detail = format!("attempt {attempt} began");
                    violation(Verdict::TooManyAttempts, Some(*job), name, detail);
                }
            }
            What::Over { job, fence, machine } => {
                if let Some(there) = running.get_mut(&(*job, *machine)) {
                    there.retain(|other| other != fence);
                }
            }
            What::Returned(..) | What::StandsStill(_) | What::GoesOn | What::Note(_) => {}
        }
    }

    // What became of each.
    let mut all: Vec<(JobId, About)> = jobs.into_iter().collect();
    all.sort_by_key(|(id, _)| *id);
    for (id, mut about) in all {
        let name = told.get(&id).cloned().unwrap_or_default();
        let Some(one) = stored.get(&id) else {
            continue;
        };
        let job = &one.job;
        let most = job.max_retries.unwrap_or(history.max_retries) + 1;
        let counted = one
            .attempts
            .iter()
            .filter(|attempt| {
                !matches!(
                    attempt.outcome.kind,
                    OutcomeKind::Returned
                        | OutcomeKind::Busy
                        | OutcomeKind::SystemFailure
                        | OutcomeKind::Cancelled
                )
            })
            .count();
        if job.attempts > most || counted > (most * (1 + about.retries)) as usize {
            let detail = format!(
                "{} attempts, of which {counted} count; at most {most}",
                job.attempts
            );
            violation(Verdict::TooManyAttempts, Some(id), &name, detail);
        }
        let succeeded = one
            .attempts
            .iter()
            .filter(|attempt| attempt.outcome.kind == OutcomeKind::Succeeded)
            .count();
        if succeeded > 1 {
            let detail = format!("{succeeded} attempts succeeded");
            violation(Verdict::DoubleTerminal, Some(id), &name, detail);
        }
        if drained && !has_ended(job.state) {
            let detail = format!("it is still {}", job.state);
            violation(Verdict::NotFinished, Some(id), &name, detail);
        }
        for fence in about.ops.iter().filter_map(Op::kept_attempt) {
            if !one.attempts.iter().any(|attempt| attempt.fence == fence) {
                let detail =
                    format!("the outcome under token {fence} was recorded, and its attempt is not there");
                violation(Verdict::Lost, Some(id), &name, detail);
            }
        }
        about.ops.sort_by_key(Op::invoked);
        if observes_claims && let Err((verdict, detail)) = follow::follow(&about.ops, job, Unseen::of(one)) {
            violation(verdict, Some(id), &name, detail);
        }
    }
    violations
}
