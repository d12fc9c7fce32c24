//! Whether the calls that have to do with a job, and their answers, can have happened one after the other, in an order
//! that fits when they were made and answered, by the transitions that there are; and whether that leads to what is
//! stored.
//!
//! That is linearizability of each job by itself, which is linearizability of all (Herlihy and Wing, 1990). The search
//! is the one of Wing and Gong (1993), and as Lowe (2017) has it no state is looked at twice.

use std::collections::HashSet;

use queuectl_core::{Job, NodeId, State, Transition};

use super::{Reply, StoredJob, Verdict, has_ended};

/// What a call did to the job.
#[derive(Debug, Clone, Copy)]
enum Step {
    Claim {
        node: NodeId,
        fence: i64,
        attempt: u32,
    },
    PerhapsClaim {
        node: NodeId,
    },
    Outcome {
        node: NodeId,
        fence: i64,
        change: Transition,
        kept: bool,
    },
    StaleOutcome {
        node: NodeId,
        fence: i64,
    },
    CancelNow,
    CancelRequest,
    CancelSomehow,
    CancelRefused,
    Retry,
    RetryRefused,
}

/// A call, with the places in the history between which it took effect.
#[derive(Debug, Clone, Copy)]
pub struct Op {
    invoked: usize,
    returned: usize,
    /// It is unknown whether it took effect, or it still may.
    perhaps: bool,
    step: Step,
}

/// The part of a job that the calls are about. A job that waits for its time counts as one that is ready: when it
/// became due no node was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct At {
    state: State,
    attempts: u32,
    fence: i64,
    node: Option<NodeId>,
    cancel: bool,
}

/// What may happen to a job without a call that is about it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unseen {
    /// It is cancelled: another replaces it, or a job that it waits for did not end as it should.
    cancelled: bool,
    /// It goes on although it was cancelled: a job that it waits for was retried.
    revived: bool,
    /// It is to stop, or not to run again.
    told_to_stop: bool,
    /// It is claimed and put back in one transaction, because a limit has no room: up to this token.
    put_back_to: i64,
}

impl Unseen {
    /// What may happen to that job.
    pub fn of(one: &StoredJob) -> Unseen {
        let waits = !one.parents.is_empty();
        let gives_way = one.job.unique.is_some() || one.is_of_schedule();
        Unseen {
            // A group that is stopped cancels members that have not begun.
            cancelled: waits || gives_way || !one.job.groups.is_empty(),
            revived: waits,
            told_to_stop: gives_way,
            put_back_to: if one.job.limit.is_empty() {
                0
            } else {
                one.job.fence
            },
        }
    }

    fn steps(self, at: At) -> impl Iterator<Item = At> {
        let ready = matches!(at.state, State::Pending | State::Failed);
        let cancelled = At {
            state: State::Cancelled,
            node: None,
            cancel: false,
            ..at
        };
        let revived = At {
            state: State::Pending,
            attempts: 0,
            ..at
        };
        let told = At { cancel: true, ..at };
        let put_back = At {
            fence: at.fence + 1,
            ..at
        };
        let can_be_told = self.told_to_stop && at.state == State::Processing && !at.cancel;
        [
            (ready && self.cancelled).then_some(cancelled),
            (at.state == State::Cancelled && self.revived).then_some(revived),
            can_be_told.then_some(told),
            (ready && at.fence < self.put_back_to).then_some(put_back),
        ]
        .into_iter()
        .flatten()
    }

    fn has_any(self) -> bool {
        self.cancelled || self.put_back_to > 0
    }
}

/// Most calls without an answer that are considered for one job.
const PERHAPS_MOST: usize = 16;

impl Op {
    fn sure(invoked: usize, returned: usize, step: Step) -> Op {
        Op {
            invoked,
            returned,
            perhaps: false,
            step,
        }
    }

    fn perhaps(invoked: usize, step: Step) -> Op {
        Op {
            invoked,
            returned: usize::MAX,
            perhaps: true,
            step,
        }
    }

    pub fn claim(invoked: usize, returned: usize, node: NodeId, fence: i64, attempt: u32) -> Op {
        let step = Step::Claim { node, fence, attempt };
        Op::sure(invoked, returned, step)
    }

    pub fn perhaps_claimed(invoked: usize, node: NodeId) -> Op {
        Op::perhaps(invoked, Step::PerhapsClaim { node })
    }

    pub fn outcome(
        invoked: usize,
        returned: usize,
        (node, fence): (NodeId, i64),
        change: Transition,
        kept: bool,
        reply: &Reply,
    ) -> Option<Op> {
        let counts = Step::Outcome {
            node,
            fence,
            change,
            kept,
        };
        match reply {
            Reply::Done | Reply::Busy { .. } => Some(Op::sure(invoked, returned, counts)),
            Reply::Refused => Some(Op::sure(invoked, returned, Step::StaleOutcome { node, fence })),
            Reply::Unknown => Some(Op::perhaps(invoked, counts)),
            _ => None,
        }
    }

    pub fn cancel(invoked: usize, returned: usize, reply: &Reply) -> Option<Op> {
        match reply {
            Reply::Done => Some(Op::sure(invoked, returned, Step::CancelNow)),
            Reply::Requested => Some(Op::sure(invoked, returned, Step::CancelRequest)),
            Reply::Refused => Some(Op::sure(invoked, returned, Step::CancelRefused)),
            Reply::Unknown => Some(Op::perhaps(invoked, Step::CancelSomehow)),
            _ => None,
        }
    }

    pub fn retry(invoked: usize, returned: usize, reply: &Reply) -> Option<Op> {
        match reply {
            Reply::Done => Some(Op::sure(invoked, returned, Step::Retry)),
            Reply::Refused => Some(Op::sure(invoked, returned, Step::RetryRefused)),
            Reply::Unknown => Some(Op::perhaps(invoked, Step::Retry)),
            _ => None,
        }
    }

    pub fn invoked(&self) -> usize {
        self.invoked
    }

    /// Whether it is the claim under which that attempt may run.
    pub fn is_claim_of(&self, fence: i64, attempt: u32) -> bool {
        matches!(self.step, Step::Claim { fence: f, attempt: a, .. } if f == fence && a == attempt)
    }

    /// The token of an attempt that is kept for sure.
    pub fn kept_attempt(&self) -> Option<i64> {
        match self.step {
            Step::Outcome {
                fence, kept: true, ..
            } if !self.perhaps => Some(fence),
            _ => None,
        }
    }
}

/// What the step makes of the job, or what is wrong with it.
fn apply(step: Step, at: At) -> Result<At, (Verdict, String)> {
    let At {
        state,
        attempts,
        fence: held,
        node: holder,
        cancel,
    } = at;
    let illegal = |detail: String| Err((Verdict::IllegalTransition, detail));
    let ready = matches!(state, State::Pending | State::Failed);
    let holds =
        |node: NodeId, fence: i64| state == State::Processing && holder == Some(node) && fence == held;
    let ended = At {
        state: State::Cancelled,
        node: None,
        cancel: false,
        ..at
    };
    match step {
        Step::Claim { node, fence, attempt } => {
            if has_ended(state) {
                let detail = format!("it was {state} and was claimed again, under token {fence}");
                return Err((Verdict::Resurrected, detail));
            }
            if !ready || attempt != attempts + 1 || fence != held + 1 {
                return illegal(format!(
                    "node {node} claimed it as attempt {attempt} under token {fence}; it was {state}, with \
                     {attempts} attempts and token {held}"
                ));
            }
            Ok(At {
                state: State::Processing,
                attempts: attempt,
                fence,
                node: Some(node),
                cancel,
            })
        }
        Step::PerhapsClaim { node } if ready => Ok(At {
            state: State::Processing,
            attempts: attempts + 1,
            fence: held + 1,
            node: Some(node),
            cancel,
        }),
        Step::PerhapsClaim { .. } => illegal("it was not ready".to_owned()),
        Step::Outcome {
            node, fence, change, ..
        } => {
            let to = change.to();
            if !holds(node, fence) {
                let detail = format!(
                    "node {node} made it {to} under token {fence}; it was {state}, with token {held} of node {holder:?}"
                );
                return Err(match (has_ended(state), has_ended(to)) {
                    (true, true) => (Verdict::DoubleTerminal, detail),
                    (true, false) => (Verdict::Resurrected, detail),
                    _ => (Verdict::IllegalTransition, detail),
                });
            }
            if change.attempts() != attempts && change.attempts() + 1 != attempts {
                return illegal(format!(
                    "it had {attempts} attempts, and got {}",
                    change.attempts()
                ));
            }
            Ok(At {
                state: if cancel && !has_ended(to) {
                    State::Cancelled
                } else {
                    to
                },
                attempts: change.attempts(),
                ..ended
            })
        }
        Step::StaleOutcome { node, fence } if holds(node, fence) => illegal(format!(
            "the outcome of its owner, node {node} with token {fence}, was refused"
        )),
        Step::CancelNow | Step::CancelSomehow if ready => Ok(ended),
        Step::CancelRequest | Step::CancelSomehow if state == State::Processing => {
            Ok(At { cancel: true, ..at })
        }
        Step::CancelNow | Step::CancelRequest | Step::CancelSomehow => {
            illegal(format!("it was cancelled as it was {state}"))
        }
        Step::CancelRefused if !has_ended(state) => {
            illegal(format!("it was {state} and could not be cancelled"))
        }
        Step::Retry if matches!(state, State::Dead | State::Cancelled | State::Failed) => Ok(At {
            state: State::Pending,
            attempts: 0,
            ..ended
        }),
        Step::Retry => illegal(format!("it was retried while it was {state}")),
        Step::RetryRefused if matches!(state, State::Dead | State::Cancelled) => {
            illegal(format!("it was {state} and could not be retried"))
        }
        Step::StaleOutcome { .. } | Step::CancelRefused | Step::RetryRefused => Ok(at),
    }
}

/// Whether the job is as it should be in the end.
fn leads_to(at: At, job: &Job) -> Result<(), String> {
    let state = match job.state {
        State::Scheduled => State::Pending,
        other => other,
    };
    let ready = [State::Pending, State::Failed];
    // What blocks a job, or puts it off, is not followed here.
    let blocked = ready.contains(&at.state) && state == State::Blocked;
    let became_due = at.state == State::Failed && state == State::Pending || blocked;
    let fits = (state == at.state || became_due)
        && job.attempts == at.attempts
        && job.fence == at.fence
        && job.node == at.node
        && job.cancel_requested == at.cancel;
    if fits {
        return Ok(());
    }
    Err(format!(
        "it should be {} with {} attempts and token {} of node {:?}; it is {} with {} and {} of {:?}",
        at.state, at.attempts, at.fence, at.node, job.state, job.attempts, job.fence, job.node
    ))
}

/// A point of the search: how many of the calls are done for sure, which of the next ones, and which of those that
/// perhaps took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Point {
    base: usize,
    ahead: u64,
    perhaps: u32,
    at: At,
}

/// Looks for an order; `ops` are in the order of their calls. The error is what stood in the way of the longest one.
pub fn follow(ops: &[Op], job: &Job, unseen: Unseen) -> Result<(), (Verdict, String)> {
    let sure: Vec<&Op> = ops.iter().filter(|op| !op.perhaps).collect();
    let perhaps: Vec<&Op> = ops.iter().filter(|op| op.perhaps).take(PERHAPS_MOST).collect();
    let mut todo = vec![Point {
        base: 0,
        ahead: 0,
        perhaps: 0,
        at: At {
            state: State::Pending,
            attempts: 0,
            fence: 0,
            node: None,
            cancel: false,
        },
    }];
    let mut seen = HashSet::new();
    let mut best: Option<(usize, (Verdict, String))> = None;
    let mut failed = |done: usize, why: (Verdict, String)| {
        if best.as_ref().is_none_or(|(most, _)| done > *most) {
            best = Some((done, why));
        }
    };
    while let Some(point) = todo.pop() {
        let (base, done) = (point.base, point.base + point.ahead.count_ones() as usize);
        if base == sure.len() {
            match leads_to(point.at, job) {
                Ok(()) => return Ok(()),
                Err(detail) => failed(done, (Verdict::IllegalTransition, detail)),
            }
        }
        for at in unseen.steps(point.at) {
            let next = Point { at, ..point };
            if seen.insert(next) {
                todo.push(next);
            }
        }
        let open =
            || (base..sure.len().min(base + 64)).filter(|place| point.ahead >> (place - base) & 1 == 0);
        // Whatever was called after some open call was answered has to wait for that one.
        let until = open()
            .map(|place| sure[place].returned)
            .min()
            .unwrap_or(usize::MAX);
        for (number, op) in perhaps.iter().enumerate() {
            if point.perhaps >> number & 1 == 0
                && op.invoked < until
                && let Ok(at) = apply(op.step, point.at)
            {
                let next = Point {
                    perhaps: point.perhaps | 1 << number,
                    at,
                    ..point
                };
                if seen.insert(next) {
                    todo.push(next);
                }
            }
        }
        for place in open().filter(|place| sure[*place].invoked < until) {
            match apply(sure[place].step, point.at) {
                Ok(at) => {
                    let mut next = Point {
                        ahead: point.ahead | 1 << (place - base),
                        at,
                        ..point
                    };
                    while next.ahead & 1 == 1 {
                        next.ahead >>= 1;
                        next.base += 1;
                    }
                    let leads_nowhere_else = perhaps.is_empty() && !unseen.has_any() && next.ahead == 0;
                    if leads_nowhere_else || seen.insert(next) {
                        todo.push(next);
                    }
                }
                Err(why) => failed(done, why),
            }
        }
    }
    Err(best.map_or_else(
        || (Verdict::IllegalTransition, "no order fits".to_owned()),
        |(_, why)| why,
    ))
}
