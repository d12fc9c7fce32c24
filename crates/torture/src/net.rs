//! Machines that are cut off from the server: the end-to-end tests of that, with more jobs and many more partitions.
//!
//! The tests know how to make networks, to cut them and to judge what is left; here they are only told how much. The
//! control comes first: machines that cannot stop their jobs, because queuectl is held there, must be found out.

use std::fs;

use anyhow::{Context, bail, ensure};

use queuectl_devkit::{BIN_DIR, Binaries, Profile, cargo, heading};

const EXACTLY_ONCE: &str = "postgres::net::three_machines_run_every_job_exactly_once";
const PLAIN: &str = "postgres::storm::machines_that_are_cut_off_at_random_lose_and_double_nothing";
const LIMITED: &str = "postgres::storm::machines_that_are_cut_off_at_random_exceed_no_limit";

/// Names the file with the names of skipped tests.
const SKIPS: &str = "QUEUECTL_TEST_SKIPS";

/// How much of what; nothing of what is zero.
pub struct Plan {
    /// Jobs that three machines run before, exactly once each.
    pub jobs: u32,
    /// How often machines are cut off.
    pub partitions: u32,
    /// The same while they run jobs of limited keys.
    pub limited: u32,
    pub machines: u32,
    pub seed: u64,
}

/// Runs it; an error if a promise was broken.
pub fn run(plan: &Plan) -> anyhow::Result<()> {
    let (machines, seed) = (plan.machines, plan.seed);
    heading("Building");
    let built = Binaries::build(Profile::Dev, &["shell"])?;
    let scratch = tempfile::tempdir().context("cannot make a temporary folder")?;
    let skips = scratch.path().join("skips");
    let test = |name: &str, told: &[(&str, u64)]| -> anyhow::Result<()> {
        let mut cargo = cargo(["test", "--package", "queuectl-cli"]);
        cargo.args(["--test", "end_to_end", "--", "--exact", name]);
        cargo
            .args(["--include-ignored", "--nocapture"])
            .env(SKIPS, &skips)
            .env(BIN_DIR, built.folder());
        for (what, value) in told {
            cargo.env(format!("QUEUECTL_TORTURE_{what}"), value.to_string());
        }
        let status = cargo.status().context("cannot start cargo")?;
        ensure!(status.success(), "{name} failed with {told:?}");
        match fs::read_to_string(&skips) {
            Ok(why) => bail!("{}", why.trim()),
            Err(_) => Ok(()),
        }
    };
    if plan.jobs > 0 {
        heading(&format!(
            "{} jobs on three machines, exactly once each",
            plan.jobs
        ));
        test(EXACTLY_ONCE, &[("JOBS", plan.jobs.into())])?;
    }
    for (storm, partitions, jobs) in [
        (PLAIN, plan.partitions, "jobs"),
        (LIMITED, plan.limited, "jobs of limited keys"),
    ] {
        if partitions == 0 {
            continue;
        }
        heading(&format!(
            "The control: machines that cannot stop their {jobs}, seed {seed}"
        ));
        let much = [("PARTITIONS", 12), ("MACHINES", 4), ("SEED", seed)];
        test(storm, &[&much[..], &[("CONTROL", 1)]].concat())?;
        heading(&format!(
            "{partitions} partitions of {machines} machines with {jobs}, seed {seed}"
        ));
        let much = [("PARTITIONS", partitions.into()), ("MACHINES", machines.into())];
        test(storm, &[&much[..], &[("SEED", seed)]].concat())?;
    }
    Ok(())
}
