//! Whether a queue is healthy: what keeps jobs from running that could run, with the command that helps.
//!
//! A problem is a fact of this moment, from what `status` shows anyway and two small queries. What a user wants to be so is
//! none: held jobs, a pause with an end, dead letters.

use std::time::Duration;

use queuectl_core::limits::TICK_LATE;
use queuectl_core::schedule::Schedule;
use queuectl_core::{State, Timestamp, show_rough};
use queuectl_storage::{StarvingLimit, Store, StoreError};
use queuectl_views::{NodeState, ProblemView, StatusView};

/// How long a job may wait that could run.
pub const WAIT_MOST: Duration = Duration::from_secs(600);

/// Returns the problems of a queue, the most basic first; with `is_whole` also those that are not about single queues.
///
/// # Errors
/// [`StoreError::Database`].
pub fn problems(
    store: &mut Store,
    view: &StatusView,
    is_whole: bool,
    now: Timestamp,
) -> Result<Vec<ProblemView>, StoreError> {
    let (mut schedules, mut starving) = (Vec::new(), Vec::new());
    if is_whole {
        schedules = store.schedules(None)?;
        starving = store.starving_limits(WAIT_MOST, now)?;
    }
    Ok(find(view, &schedules, &starving, now))
}

fn find(
    view: &StatusView,
    schedules: &[Schedule],
    starving: &[StarvingLimit],
    now: Timestamp,
) -> Vec<ProblemView> {
    let mut found = nodes(view);
    found.extend(queues(view, now));
    found.extend(starving.iter().map(|limit| {
        let (name, waited) = (
            limit.key.split(':').next().unwrap_or(&limit.key),
            now.since(limit.since),
        );
        ProblemView {
            code: "limit",
            text: format!(
                "a job has waited {} for limit {}, which no job holds",
                show_rough(waited),
                limit.key
            ),
            queue: None,
            since: Some(limit.since),
            command: format!("queuectl limit:show {name}"),
        }
    }));
    let late = schedules.iter().filter(|schedule| schedule.paused.is_none());
    let late = late.filter_map(|schedule| {
        let due = schedule.next_due?;
        (now.since(due) > Duration::from_millis(TICK_LATE)).then_some((&schedule.spec.name, due))
    });
    found.extend(late.map(|(name, due)| ProblemView {
        code: "schedule",
        text: format!("schedule {name} was due {} ago", show_rough(now.since(due))),
        queue: None,
        since: Some(due),
        command: format!("queuectl schedule:show {name}"),
    }));
    found
}

/// No node at all, and those that died.
fn nodes(view: &StatusView) -> Vec<ProblemView> {
    let mut found = Vec::new();
    let waits = |state| view.total.of(state);
    let waiting = waits(State::Pending) + waits(State::Scheduled) + waits(State::Failed);
    if !any_runs(view) && waiting > 0 {
        found.push(ProblemView {
            code: "no_node",
            text: format!(
                "no node is running, and {} to run",
                jobs(waiting, "waits", "wait")
            ),
            queue: None,
            since: None,
            command: "queuectl worker:start".to_owned(),
        });
    }
    let dead = view.nodes.iter().filter(|node| node.state == NodeState::Dead);
    found.extend(dead.map(|node| ProblemView {
        code: "dead_node",
        text: format!(
            "node {} on {} is dead, and {} for another node to rescue them",
            node.id,
            node.host,
            jobs(node.jobs, "waits", "wait")
        ),
        queue: None,
        since: Some(node.heartbeat_at),
        command: match any_runs(view) {
            true => "queuectl worker:list".to_owned(),
            false => "queuectl worker:start".to_owned(),
        },
    }));
    found
}

/// What keeps the jobs of each queue. Of several reasons the first is named.
fn queues(view: &StatusView, now: Timestamp) -> Vec<ProblemView> {
    let with_jobs = view.queues.iter().filter_map(|(queue, counts)| {
        let pending = counts.of(State::Pending);
        (pending > 0).then_some((queue, pending))
    });
    let problems = with_jobs.filter_map(|(queue, pending)| {
        let oldest = view.oldest_pending.get(queue).copied();
        let problem = |code, text, command| {
            Some(ProblemView {
                code,
                text: format!("queue {queue}: {text}"),
                queue: Some(queue.clone()),
                since: oldest,
                command,
            })
        };
        let waiting = jobs(pending, "waits", "wait");
        let has_none = |limit: &queuectl_views::QueueLimitView| limit.running == Some(0);
        if let Some(pause) = view.paused.get(queue) {
            return match pause.until {
                Some(_) => None,
                None => problem(
                    "paused",
                    format!("paused without an end, and {waiting}"),
                    format!("queuectl queue:resume {queue}"),
                ),
            };
        }
        if view.limited.get(queue).is_some_and(has_none) {
            let command = format!("queuectl queue:unset {queue} running");
            return problem("queue_limit", format!("may run no jobs, and {waiting}"), command);
        }
        if view.unserved.contains(queue) {
            // Without any node that is a problem of all queues.
            return match any_runs(view) {
                false => None,
                true => problem(
                    "unserved",
                    format!("no node serves it, and {waiting}"),
                    format!("queuectl worker:start --queue {queue}"),
                ),
            };
        }
        let waited = oldest
            .map(|oldest| now.since(oldest))
            .filter(|waited| *waited > WAIT_MOST)?;
        problem(
            "slow",
            format!("{waiting}, the first for {}", show_rough(waited)),
            format!("queuectl queue:show {queue}"),
        )
    });
    problems.collect()
}

fn any_runs(view: &StatusView) -> bool {
    view.nodes.iter().any(|node| node.state == NodeState::Running)
}

fn jobs(count: u64, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 job {one}"),
        count => format!("{count} jobs {several}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use queuectl_core::NodeId;
    use queuectl_views::{NodeView, PauseView, QueueLimitView, StateCounts};
    use std::collections::BTreeMap;

    const NOW: Timestamp = Timestamp(10_000_000);

    fn view(pending: &[(&str, u64)], nodes: &[(i64, NodeState)]) -> StatusView {
        let mut view = StatusView {
            db: "q".to_owned(),
            bytes: 0,
            folder_bytes: 0,
            next_due: None,
            total: StateCounts::default(),
            queues: BTreeMap::new(),
            paused: BTreeMap::new(),
            limited: BTreeMap::new(),
            unserved: Vec::new(),
            oldest_pending: BTreeMap::new(),
            groups: Vec::new(),
            overlapping: Vec::new(),
            rescued_jobs: 0,
            rescued_at: None,
            nodes: nodes.iter().map(|(id, state)| node(*id, *state)).collect(),
            healthy: true,
            problems: Vec::new(),
        };
        for (queue, jobs) in pending {
            view.add((*queue).to_owned(), State::Pending, *jobs);
            view.oldest_pending
                .insert((*queue).to_owned(), Timestamp(NOW.0 - 1000));
        }
        view
    }

    fn node(id: i64, state: NodeState) -> NodeView {
        NodeView {
            id: NodeId(id),
            state,
            host: "host".to_owned(),
            pid: 1,
            version: "0".to_owned(),
            workers: 1,
            concurrency: 1,
            queues: Vec::new(),
            jobs: 2,
            started_at: Timestamp(0),
            heartbeat_at: Timestamp(0),
        }
    }

    fn said(view: &StatusView) -> Vec<String> {
        let found = find(view, &[], &[], NOW).into_iter();
        found
            .map(|problem| format!("{}: {} [{}]", problem.code, problem.text, problem.command))
            .collect()
    }

    #[test]
    fn a_queue_that_runs_or_has_nothing_to_do_is_healthy() {
        assert!(said(&view(&[], &[])).is_empty(), "nothing to do");
        assert!(said(&view(&[("mail", 3)], &[(1, NodeState::Running)])).is_empty());
    }

    #[test]
    fn every_problem_is_named_once_with_what_helps() {
        assert_eq!(
            said(&view(&[("mail", 3)], &[(1, NodeState::Dead)])),
            [
                "no_node: no node is running, and 3 jobs wait to run [queuectl worker:start]",
                "dead_node: node 1 on host is dead, and 2 jobs wait for another node to rescue them [queuectl worker:start]",
            ]
        );
        let names = [
            ("closed", 1),
            ("ends", 1),
            ("lone", 1),
            ("old", 2),
            ("stopped", 1),
            ("well", 1),
        ];
        let mut view = view(&names, &[(1, NodeState::Running)]);
        let pause = |until| PauseView {
            since: Timestamp(0),
            until,
            by: String::new(),
            reason: None,
        };
        view.paused.insert("stopped".to_owned(), pause(None));
        view.paused
            .insert("ends".to_owned(), pause(Some(Timestamp(NOW.0 + 1))));
        let none = QueueLimitView {
            running: Some(0),
            rate: None,
            burst: None,
            jobs_running: 0,
            full: true,
            next_at: None,
        };
        view.limited.insert("closed".to_owned(), none);
        view.unserved.push("lone".to_owned());
        let long_ago = Timestamp(NOW.0 - 660_000);
        view.oldest_pending.insert("old".to_owned(), long_ago);
        view.oldest_pending.insert("stopped".to_owned(), long_ago);
        assert_eq!(
            said(&view),
            [
                "queue_limit: queue closed: may run no jobs, and 1 job waits [queuectl queue:unset closed running]",
                "unserved: queue lone: no node serves it, and 1 job waits [queuectl worker:start --queue lone]",
                "slow: queue old: 2 jobs wait, the first for 11 m [queuectl queue:show old]",
                "paused: queue stopped: paused without an end, and 1 job waits [queuectl queue:resume stopped]",
            ]
        );
        let starving = StarvingLimit {
            key: "api:7".to_owned(),
            since: long_ago,
        };
        let found = find(&view, &[], &[starving], NOW);
        let last = found.last().expect("a problem");
        assert_eq!(
            (last.code, last.command.as_str()),
            ("limit", "queuectl limit:show api")
        );
    }
}
