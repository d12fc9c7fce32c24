//! What limits cost: jobs that name one, jobs beside others that wait for one, and storing jobs that will have to wait.

use super::figures::Figures;
use super::rig::Rig;

const JOBS: usize = 100_000;
const KEYS: usize = 1_000;
const NOOP: &str = r#"{"executor":"noop","payload":{}}"#;

/// Jobs of one full key, and others that run.
pub fn gated(rig: &Rig, figures: &mut Figures) -> anyhow::Result<()> {
    let plain = rig.lines("plain.jsonl", JOBS, |_| NOOP.to_owned())?;
    let of_keys = rig.lines("keys.jsonl", JOBS, |at| limited(&format!("many:{}", at % KEYS)))?;
    let blocked = rig.lines("blocked.jsonl", JOBS, |_| limited("full"))?;
    let limits: [&[&str]; 2] = [
        &["limit:set", "many", "--running", "10", "--per-key"],
        &["limit:set", "full", "--running", "0"],
    ];
    let drain = ["worker:start", "-q", "--count", "2", "--drain"];
    let (mut alone, mut gated, mut stored, mut beside) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rig.runs {
        for (jobs, rates) in [(&plain, &mut alone), (&of_keys, &mut gated)] {
            rig.fresh()?;
            limits.iter().try_for_each(|limit| rig.timed(limit).map(drop))?;
            rig.timed(&["enqueue", "--from", jobs])?;
            rates.push(JOBS as f64 / rig.timed(&drain)?);
        }
        rig.fresh()?;
        limits.iter().try_for_each(|limit| rig.timed(limit).map(drop))?;
        stored.push(JOBS as f64 / rig.timed(&["enqueue", "--from", &blocked])?);
        rig.timed(&["enqueue", "--from", &plain])?;
        beside.push(JOBS as f64 / rig.timed(&drain)?);
    }
    figures.ratio(
        "time of a job without limits beside blocked ones / alone",
        &alone,
        &beside,
    );
    figures.add("no-op executor, no limits", "jobs/s", alone);
    figures.add(&format!("no-op executor, {KEYS} keys of 10"), "jobs/s", gated);
    figures.add("enqueue --from, all of one full key", "jobs/s", stored);
    figures.add(
        &format!("no-op executor, no limits, beside {JOBS} blocked jobs"),
        "jobs/s",
        beside,
    );
    Ok(())
}

fn limited(limit: &str) -> String {
    format!(r#"{{"executor":"noop","payload":{{}},"limit":["{limit}"]}}"#)
}
