//! Measurements with several nodes on one queue.

use std::process::{Child, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};

use super::figures::Figures;
use super::rig::{QUEUE, Rig, timed};

const NODES: usize = 8;
const NOOP_JOBS: usize = 300_000;
const SHELL_JOBS: usize = 5000;
/// Calls of `enqueue` beside busy nodes, and the nodes.
const CALLS: usize = 500;
const BUSY_NODES: usize = 4;

/// Eight nodes against one with as many workers, and a user beside four.
pub fn contention(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    for (what, jobs, line) in [
        ("no-op", NOOP_JOBS, r#"{"executor":"noop","payload":{}}"#),
        ("true", SHELL_JOBS, r#""true""#),
    ] {
        let file = rig.jobs(jobs, line)?;
        let (mut many, mut one) = (Vec::new(), Vec::new());
        for _ in 0..rig.runs {
            many.push(jobs as f64 / drain(rig, &file, NODES, 1)?);
            one.push(jobs as f64 / drain(rig, &file, 1, NODES)?);
        }
        figures.ratio(
            &format!("{what}: {NODES} nodes / 1 node, {NODES} workers in all"),
            &many,
            &one,
        );
        figures.add(&format!("{what}: {NODES} nodes"), "jobs/s", many);
        figures.add(&format!("{what}: 1 node"), "jobs/s", one);
    }
    beside(rig, figures)
}

/// Fills the queue and has it drained; returns the seconds.
fn drain(rig: &Rig, file: &str, nodes: usize, workers: usize) -> anyhow::Result<f64> {
    rig.fresh()?;
    rig.timed(&["enqueue", "--from", file])?;
    let start = Instant::now();
    let workers = workers.to_string();
    let nodes: Vec<Child> = (0..nodes)
        .map(|_| {
            let mut node = rig.queuectl(&["worker:start", "-q", "--count", &workers, "--drain"]);
            node.stderr(Stdio::piped()).spawn().context("cannot start a node")
        })
        .collect::<Result<_, _>>()?;
    for node in nodes {
        let said = node.wait_with_output()?;
        let text = String::from_utf8_lossy(&said.stderr);
        ensure!(said.status.success() && text.is_empty(), "a node said: {text}");
    }
    Ok(start.elapsed().as_secs_f64())
}

/// What somebody waits who enqueues while nodes keep the file busy.
fn beside(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    rig.fill(QUEUE, &["executor=noop", "pending=3000000"])?;
    let nodes: Vec<_> = (0..BUSY_NODES)
        .map(|_| rig.node(&["--count", "1"]))
        .collect::<Result<_, _>>()?;
    let mut times = Vec::new();
    for _ in 0..CALLS {
        // Nothing that the nodes would run: they go on as they are.
        let mut call = rig.queuectl(&["enqueue", "--delay", "1h", "true"]);
        times.push(timed(&mut call)? * 1000.0);
    }
    let left = rig
        .queuectl(&["status", "--json"])
        .stdout(Stdio::piped())
        .output()?;
    let left: serde_json::Value = serde_json::from_slice(&left.stdout)?;
    ensure!(
        left["total"]["pending"].as_u64() > Some(10_000),
        "the nodes ran out of jobs: {left}"
    );
    drop(nodes);
    figures.add(&format!("enqueue beside {BUSY_NODES} busy nodes"), "ms", times);
    rig.fresh()
}
