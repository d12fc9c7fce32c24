//! Measurements of clean-up: what it costs the jobs beside it, and that the file does not grow for ever.

use std::fs;
use std::thread;
use std::time::Duration;

use super::figures::Figures;
use super::rig::{QUEUE, Rig, timed};

const JOBS: usize = 50_000;
const CYCLES: usize = 10;
/// Jobs awaited one by one, beside a purge and without.
const CALLS: usize = 200;

/// Retention and purges.
pub fn retention(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    cycles(rig, figures)?;
    beside(rig, figures)
}

/// Jobs come and go; with retention, and without as the control.
fn cycles(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    let jobs = rig.jobs(JOBS, r#"{"executor":"noop","payload":{}}"#)?;
    for (retention, name) in [("0s", "retention 0 s"), ("none", "no retention")] {
        rig.fresh()?;
        rig.timed(&["config:set", "retention", retention])?;
        let (mut rates, mut sizes) = (Vec::new(), Vec::new());
        for _ in 0..CYCLES {
            rig.timed(&["enqueue", "--from", &jobs])?;
            rates.push(JOBS as f64 / rig.timed(&["worker:start", "-q", "--count", "2", "--drain"])?);
            sizes.push(fs::metadata(rig.path(QUEUE))?.len() as f64 / 1024.0 / 1024.0);
        }
        let growth = sizes[CYCLES - 1] / sizes[CYCLES / 2];
        figures.add(
            &format!("{name}: file after the last of {CYCLES} cycles / after half"),
            "x",
            vec![growth],
        );
        figures.add(
            &format!("{name}: file after {CYCLES} cycles"),
            "MiB",
            vec![sizes[CYCLES - 1]],
        );
        figures.add(&format!("{name}: no-op jobs"), "jobs/s", rates);
    }
    Ok(())
}

/// From `enqueue` to the job's end while a million ended jobs are removed.
fn beside(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    rig.fill(QUEUE, &["completed=1000000"])?;
    let node = rig.node(&["--count", "2"])?;
    let one = || timed(&mut rig.queuectl(&["enqueue", "--wait", "true"])).map(|s| s * 1000.0);
    let without = (0..CALLS).map(|_| one()).collect::<Result<_, _>>()?;
    let mut purge = rig
        .queuectl(&["purge", "--yes", "--state", "completed"])
        .spawn()?;
    // Not its start, but its work is meant.
    thread::sleep(Duration::from_millis(100));
    let mut with = Vec::new();
    while with.len() < CALLS && purge.try_wait()?.is_none() {
        with.push(one()?);
    }
    let _ = purge.kill();
    purge.wait()?;
    drop(node);
    figures.add("enqueue --wait beside a purge", "ms", with);
    figures.add("enqueue --wait without one", "ms", without);
    rig.fresh()
}
