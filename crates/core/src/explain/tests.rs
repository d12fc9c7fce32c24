//! Every situation, and what is said of it: words, code, command, and when the job can start. Not that the facts are true:
//! that is for the tests of the store and of the command.

use super::*;
use crate::{ExecutorName, Gates, Job, JobId, NodeId, Payload, QueueName, Waits};

const NOW: Timestamp = Timestamp(100_000_000);

fn at(seconds: i64) -> Timestamp {
    Timestamp(NOW.0 + seconds * 1000)
}

fn job(state: State) -> Job {
    Job {
        id: JobId(7),
        name: None,
        queue: QueueName::as_stored("mail".to_owned()),
        state,
        priority: 0,
        attempts: 0,
        fence: 0,
        system_failures: 0,
        max_retries: None,
        backoff_base: None,
        timeout_ms: None,
        executor: ExecutorName::default(),
        limit: Vec::new(),
        due_at: None,
        node: None,
        cancel_requested: false,
        suspended_since: None,
        progress: None,
        created_at: at(-60),
        updated_at: at(-30),
        started_at: None,
        finished_at: None,
        waits: Waits::NONE,
        gates: Gates::NONE,
        unmet: None,
        groups: Vec::new(),
        labels: std::collections::BTreeMap::new(),
        comment: None,
        hooks: crate::JobHooks::default(),
        enqueued_by: None,
        payload: Payload::default(),
        unique: None,
        unique_for_ms: None,
        unreadable: None,
    }
}

fn node(id: i64, jobs: u64) -> NodeFact {
    NodeFact {
        id: NodeId(id),
        serves: true,
        stopping: false,
        slots: 2,
        jobs,
        heard_of: NOW,
    }
}

fn facts<'a>(job: &'a Job, nodes: &'a [NodeFact]) -> Facts<'a> {
    Facts {
        job,
        now: NOW,
        pause: None,
        queue_full: None,
        nodes,
        last: None,
        started_by: None,
        claimable: None,
        ahead: None,
        busy: None,
        waits_for: None,
    }
}

/// Each reason as one line: its code, its words, and the command.
fn lines(facts: &Facts<'_>) -> Vec<String> {
    let explained = explain(facts);
    let lines = explained.reasons.iter().map(|reason| {
        let code = serde_json::json!(reason.code);
        let command = reason.command.as_deref().unwrap_or("-");
        format!(
            "{}: {} [{command}]",
            code.as_str().unwrap_or_default(),
            reason.text
        )
    });
    lines.collect()
}

#[test]
fn a_job_that_waits_has_its_reason() {
    let idle = [node(1, 0)];
    let pending = job(State::Pending);
    let one = |facts: &Facts<'_>, line: &str, earliest: Option<Timestamp>| {
        assert_eq!(
            (lines(facts), explain(facts).earliest_start),
            (vec![line.to_owned()], earliest)
        );
    };
    one(&facts(&pending, &idle), "ready: it is ready [-]", Some(NOW));
    let behind = Facts {
        ahead: Some(3),
        ..facts(&pending, &idle)
    };
    one(
        &behind,
        "ready: it is ready; 3 jobs of its queue come first [-]",
        Some(NOW),
    );

    let none = "unserved: no node is running [queuectl worker:start --queue mail]";
    one(&facts(&pending, &[]), none, None);
    let other = [NodeFact {
        serves: false,
        ..node(1, 0)
    }];
    let line = "unserved: no node serves queue mail [queuectl worker:start --queue mail]";
    one(&facts(&pending, &other), line, None);
    let stopping = [NodeFact {
        stopping: true,
        ..node(4, 0)
    }];
    let line = "stopping: node 4 is stopping and takes no more jobs [queuectl worker:start --queue mail]";
    one(&facts(&pending, &stopping), line, None);
    let full = [node(1, 2), node(2, 9), stopping[0]];
    let full = Facts {
        ahead: Some(AHEAD),
        ..facts(&pending, &full)
    };
    let line = "full: nodes 1, 2 are full, with 4 of 4 slots in use; 1000 or more jobs of its queue come first \
                [queuectl worker:start --queue mail]";
    one(&full, line, None);

    let scheduled = Job {
        due_at: Some(at(7200)),
        ..job(State::Scheduled)
    };
    let line = "scheduled: it is scheduled and due in 2 h [-]";
    one(&facts(&scheduled, &idle), line, Some(at(7200)));
    let failed = Job {
        due_at: Some(at(8)),
        attempts: 3,
        fence: 3,
        ..job(State::Failed)
    };
    let failed_so = Facts {
        last: Some((OutcomeKind::Failed, "exit status 1")),
        ..facts(&failed, &idle)
    };
    let line = "retry: attempt 3 failed (exit status 1); the next is due in 8 s [queuectl retry 7]";
    one(&failed_so, line, Some(at(8)));
    let no_plugin = Facts {
        last: Some((OutcomeKind::SystemFailure, "there is no executor 'x'")),
        ..failed_so
    };
    let line = "executor: its executor could not run it (there is no executor 'x'); the next is due in 8 s \
                [queuectl retry 7]";
    one(&no_plugin, line, Some(at(8)));
    let held = Job {
        waits: Waits::NONE.with(BlockedBy::Held),
        ..job(State::Blocked)
    };
    one(
        &facts(&held, &idle),
        "held: it is held [queuectl release 7]",
        None,
    );
    let child = Job {
        waits: Waits::NONE.with(BlockedBy::Dependency),
        ..job(State::Blocked)
    };
    let parents: Vec<String> = (1..=7).map(|id| id.to_string()).collect();
    let waiting = |jobs: &[String]| WaitsFor {
        jobs: jobs.to_vec(),
        ..WaitsFor::default()
    };
    let (first, all, none) = (waiting(&parents[..1]), waiting(&parents), waiting(&[]));
    let waits_for = |waits_for| Facts {
        waits_for: Some(waits_for),
        ..facts(&child, &idle)
    };
    let line = "dependency: it waits for job 1 [queuectl explain 1]";
    one(&waits_for(&first), line, None);
    let line = "dependency: it waits for jobs 1, 2, 3, 4, 5 and 2 more [queuectl explain 1]";
    one(&waits_for(&all), line, None);
    let line = "dependency: jobs that it waits for have not ended [-]";
    one(&waits_for(&none), line, None);
    let revived = |open: &str| WaitsFor {
        unmet: Some(("load".to_owned(), State::Dead)),
        revived_by: Some(open.to_owned()),
        ..WaitsFor::default()
    };
    let (by_parent, by_other) = (revived("load"), revived("extract"));
    let cancelled = job(State::Cancelled);
    let given_up = |job, waits_for| Facts {
        waits_for: Some(waits_for),
        ..facts(job, &idle)
    };
    let line = "cancelled: it was cancelled for job load, which was retried; it goes on if that ends as it needs \
                [queuectl explain load]";
    one(&given_up(&cancelled, &by_parent), line, None);
    let line = "cancelled: it was cancelled for job load; it goes on if job extract, which was retried, ends as it needs \
                [queuectl explain extract]";
    one(&given_up(&cancelled, &by_other), line, None);
    let line = "held: it was held for job load, which was retried; it goes on if that ends as it needs [queuectl release 7]";
    one(&given_up(&held, &by_parent), line, None);
    let odd = Facts {
        claimable: Some(false),
        ..facts(&pending, &idle)
    };
    let line = "unknown: a claim does not take it, for a reason that this version does not know [-]";
    one(&odd, line, None);
}

#[test]
fn every_reason_is_named_in_order_and_the_last_to_go_decides_when_it_can_start() {
    let pause = PauseFact {
        since: at(-300),
        until: Some(at(3600)),
        by: "ann@host".to_owned(),
        reason: Some("disk full".to_owned()),
    };
    let failed = Job {
        due_at: Some(at(8)),
        attempts: 1,
        fence: 1,
        ..job(State::Failed)
    };
    let idle = [node(1, 2)];
    let waits = Facts {
        pause: Some(&pause),
        ..facts(&failed, &idle)
    };
    let all = [
        "retry: attempt 1 failed; the next is due in 8 s [queuectl retry 7]",
        "paused: queue mail is paused by ann@host for another 1 h: disk full [queuectl queue:resume mail]",
    ];
    assert_eq!(lines(&waits), all, "that the node is full does not matter yet");
    let explained = explain(&waits);
    assert_eq!(explained.earliest_start, pause.until);
    assert_eq!(explained.reasons[1].since, Some(pause.since));
    let no_node = Facts { nodes: &[], ..waits };
    assert_eq!(lines(&no_node).len(), 3);
    assert_eq!(explain(&no_node).earliest_start, None);
    let held = Job {
        waits: Waits::NONE
            .with(BlockedBy::Held)
            .with(BlockedBy::Limit)
            .with(BlockedBy::Unique)
            .with(BlockedBy::Overlap),
        due_at: Some(at(60)),
        ..job(State::Blocked)
    };
    let codes = |facts: &Facts<'_>| {
        explain(facts)
            .reasons
            .iter()
            .map(|reason| reason.code)
            .collect::<Vec<_>>()
    };
    let held = Facts { job: &held, ..waits };
    let order = [
        Code::Held,
        Code::Limit,
        Code::Unique,
        Code::Overlap,
        Code::Scheduled,
        Code::Paused,
    ];
    assert_eq!(codes(&held), order);
    // A claim that does not take it is explained by any of them.
    let held = Facts {
        claimable: Some(false),
        ..held
    };
    assert_eq!(codes(&held), order);
}

#[test]
fn a_job_that_does_not_wait_says_what_it_does() {
    let says = |job: &Job, line: &str| {
        let pause = PauseFact {
            since: at(-300),
            until: None,
            by: String::new(),
            reason: None,
        };
        let nodes = [node(3, 1)];
        let facts = Facts {
            pause: Some(&pause),
            last: Some((OutcomeKind::Failed, "exit status 1")),
            ..facts(job, &nodes)
        };
        assert_eq!(lines(&facts), [line]);
        assert_eq!(explain(&facts).earliest_start, None);
    };
    let mut running = Job {
        node: Some(NodeId(3)),
        started_at: Some(at(-5)),
        ..job(State::Processing)
    };
    says(&running, "running: it runs on node 3 [queuectl logs -f 7]");
    running.cancel_requested = true;
    says(&running, "cancelling: node 3 is about to stop it [-]");
    says(
        &job(State::Completed),
        "completed: it is completed [queuectl rerun 7]",
    );
    says(
        &job(State::Dead),
        "dead: it is dead: exit status 1 [queuectl dlq:retry 7]",
    );
    says(
        &job(State::Cancelled),
        "cancelled: it was cancelled [queuectl retry 7]",
    );
}

#[test]
fn a_job_whose_time_has_come_is_ready_or_waits_for_a_node() {
    let idle = [node(1, 0)];
    for state in [State::Scheduled, State::Failed, State::Pending] {
        let job = Job {
            due_at: Some(at(-1)),
            ..job(state)
        };
        let code = |nodes| {
            let facts = Facts {
                claimable: Some(false),
                ..facts(&job, nodes)
            };
            explain(&facts).reasons[0].code
        };
        // The control: nothing says why a claim leaves a pending job out.
        let unknown = state == State::Pending;
        assert_eq!(
            code(&idle),
            if unknown { Code::Unknown } else { Code::Ready },
            "{state}"
        );
        assert_eq!(
            code(&[]),
            if unknown { Code::Unknown } else { Code::Unserved },
            "{state}"
        );
    }
}

#[test]
fn a_limit_says_who_has_it_and_when_there_is_room() {
    let mut limit = LimitFact {
        key: "api:eu".to_owned(),
        running: Some(7),
        held: 7,
        holders: (1..=5).map(|id| id.to_string()).collect(),
        next_start: Some(at(90)),
    };
    let said = |limit: &LimitFact| {
        let reasons = limit_of(limit, NOW).into_iter();
        let lines = reasons.map(|reason| (reason.text, reason.until, reason.command));
        lines.collect::<Vec<_>>()
    };
    let full = "limit api:eu has no room, with 7 of 7 running (jobs 1, 2, 3, 4, 5 and 2 more)";
    let more = Some("queuectl limit:set api --running 8".to_owned());
    let rate = (
        "limit api:eu lets the next job start in 2 m".to_owned(),
        Some(at(90)),
        None,
    );
    assert_eq!(said(&limit), [(full.to_owned(), None, more), rate]);
    (limit.held, limit.next_start) = (6, None);
    let soon = "limit api:eu had no room for it; the next node that looks lets it go on";
    assert_eq!(said(&limit), [(soon.to_owned(), None, None)]);
}

#[test]
fn a_silent_or_dead_node_is_named() {
    let running = Job {
        node: Some(NodeId(3)),
        ..job(State::Processing)
    };
    let silent = [NodeFact {
        heard_of: at(-40),
        ..node(3, 1)
    }];
    let line = "running: it runs on node 3, which was last heard of 40 s ago [queuectl logs -f 7]";
    assert_eq!(lines(&facts(&running, &silent)), [line]);
    let other = [node(4, 1)];
    let line = "lost: node 3, which ran it, is dead; the next node that looks takes the job back \
                [queuectl worker:start --queue mail]";
    assert_eq!(lines(&facts(&running, &other)), [line]);
}

/// A start passes over a hold, a pause and a time, and is named for those; once it was given, only nodes matter.
#[test]
fn a_start_is_named_where_it_helps() {
    let start = |job: &Job| {
        let nodes = [node(1, 0)];
        explain(&facts(job, &nodes)).start_command
    };
    let command = Some("queuectl start 7 --now".to_owned());
    let blocked = |by: BlockedBy| Job {
        state: State::Blocked,
        waits: Waits::NONE.with(by),
        ..job(State::Blocked)
    };
    assert_eq!(start(&blocked(BlockedBy::Held)), command);
    assert_eq!(start(&blocked(BlockedBy::Limit)), command);
    for by in [BlockedBy::Dependency, BlockedBy::Unique, BlockedBy::Overlap] {
        assert_eq!(start(&blocked(by)), None, "{by:?}");
    }
    let mut both = blocked(BlockedBy::Held);
    both.waits = both.waits.with(BlockedBy::Dependency);
    assert_eq!(start(&both), None);
    let (held, nodes) = (blocked(BlockedBy::Held), [node(1, 0)]);
    let waits_for = WaitsFor {
        retried: Some("load".to_owned()),
        ..WaitsFor::default()
    };
    let retried = Facts {
        waits_for: Some(&waits_for),
        ..facts(&held, &nodes)
    };
    assert_eq!(explain(&retried).start_command, None);
    assert_eq!(start(&job(State::Pending)), None, "it is ready");
    let pending = job(State::Pending);
    let nodes = [node(1, 0)];
    let pause = PauseFact {
        since: NOW,
        until: None,
        by: String::new(),
        reason: None,
    };
    let paused = Facts {
        pause: Some(&pause),
        claimable: Some(false),
        ..facts(&pending, &nodes)
    };
    assert_eq!(explain(&paused).start_command, command);
    let started = Facts {
        started_by: Some("ann@host"),
        ..paused
    };
    assert_eq!(
        lines(&started),
        ["ready: ann@host started it with --now, so it is claimed first [-]"]
    );
    assert_eq!(explain(&started).start_command, None);
}
