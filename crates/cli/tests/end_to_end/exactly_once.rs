//! Many jobs, several nodes, and somebody who enqueues meanwhile or kills processes at random: every job ends exactly
//! once.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::support::{Node, Queue, wait_until};

const BEFORE: usize = 2000;
const MEANWHILE: usize = 3000;

#[test]
fn every_job_runs_exactly_once() {
    let queue = Queue::quick();
    let line = r#""echo $QUEUECTL_JOB_ID $QUEUECTL_ATTEMPT >> ran""#;
    let lines = |count: usize| {
        let mut text = String::new();
        (0..count).for_each(|_| writeln!(text, "{line}").unwrap());
        text
    };
    queue
        .run_with(["enqueue", "--from", "-"], lines(BEFORE).as_bytes())
        .ok();
    let nodes = [(); 2].map(|()| Node::start(&queue, &["-q", "--count", "4"]));
    for _ in 0..10 {
        queue
            .run_with(["enqueue", "--from", "-"], lines(MEANWHILE / 10).as_bytes())
            .ok();
    }
    let all = BEFORE + MEANWHILE;
    wait_until("all jobs to complete", || {
        queue.json(["status"])["total"]["completed"] == all
    });
    let ran = queue.lines("ran");
    let wanted: BTreeSet<String> = (1..=all).map(|id| format!("{id} 1")).collect();
    assert_eq!(ran.len(), all, "each line is one attempt");
    assert_eq!(ran.into_iter().collect::<BTreeSet<_>>(), wanted);
    for node in &nodes {
        assert!(!node.log().contains("stale"), "{}", node.log());
    }
    let shares: BTreeSet<String> = queue
        .jobs()
        .iter()
        .step_by(100)
        .map(|job| queue.job(job["id"].as_str().unwrap())["attempt_history"][0]["node"].to_string())
        .collect();
    assert_eq!(shares.len(), 2, "both nodes had their share");
    assert_eq!(queue.json(["db:check"])["ok"], true);
}

/// Every job is at work for a moment, and says if an earlier attempt of it still is.
#[cfg(target_os = "linux")]
const BUSY: &str = r#""exec 9> lock-$QUEUECTL_JOB_ID; flock -n 9 || echo $QUEUECTL_JOB_ID >> overlap; sleep 0.1; echo $QUEUECTL_JOB_ID $QUEUECTL_ATTEMPT >> ran""#;

/// Kills worker processes and dispatchers again and again while jobs run. What is killed when differs from run to run.
#[test]
#[cfg(target_os = "linux")]
fn a_storm_of_kills_loses_and_doubles_nothing() {
    use crate::support::{history, unix::send};
    use nix::sys::signal::Signal;

    const JOBS: usize = 150;
    let queue = Queue::quick();
    queue.ok(["config:set", "max_retries", "1000"]);
    let lines = format!("{BUSY}\n").repeat(JOBS);
    queue.run_with(["enqueue", "--from", "-"], lines.as_bytes()).ok();
    let start = || queue.start(&["--count", "2", "--concurrency", "2"]);
    let mut nodes = [start(), start()];
    for round in 1..=8 {
        // Not before something was done since the last kill.
        queue.wait_lines("ran", round * 10);
        let victim = &mut nodes[round % 2];
        match round % 4 {
            0 | 1 => send(victim.workers(2)[round / 4 % 2], Signal::SIGKILL),
            2 => {
                victim.kill_dispatcher();
                *victim = start();
            }
            _ => {
                let workers = victim.workers(2);
                victim.signal(Signal::SIGSTOP);
                workers.iter().for_each(|pid| send(*pid, Signal::SIGKILL));
                victim.kill_dispatcher();
                *victim = start();
            }
        }
    }
    wait_until("all jobs to complete", || {
        queue.json(["status"])["total"]["completed"] == JOBS
    });
    assert_eq!(
        queue.read("overlap"),
        "",
        "two attempts of a job at the same time"
    );
    let ran = queue.lines("ran");
    let mut cut_off = 0;
    for id in 1..=JOBS {
        let job = queue.job(&id.to_string());
        let history = history(&job);
        let (last, before) = history.split_last().unwrap();
        let attempts = history.len();
        assert_eq!(last, &format!("{attempts} succeeded"), "{job}");
        assert_eq!(job["attempts"], attempts);
        for (index, attempt) in before.iter().enumerate() {
            let number = index + 1;
            assert!(
                *attempt == format!("{number} crashed") || *attempt == format!("{number} lost"),
                "{job}"
            );
            cut_off += 1;
        }
        assert!(ran.contains(&format!("{id} {attempts}")), "{job}");
    }
    assert!(cut_off > 0, "the storm hit no process");
    assert_eq!(queue.json(["db:check"])["ok"], true);
    // Nothing of the dead is left beside the database.
    queue.ok(["worker:stop", "--wait"]);
    nodes.iter_mut().for_each(|node| assert_eq!(node.wait_exit(), 0));
    let left = std::fs::read_dir(queue.beside().join("nodes")).unwrap();
    let left: Vec<_> = left.map(|file| file.unwrap().file_name()).collect();
    assert!(left.is_empty(), "{left:?}");
}
