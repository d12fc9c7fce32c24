//! Machines that are cut off from the server: the end-to-end tests of that, with more jobs and many more partitions.
//!
//! The tests know how to make networks, to cut them and to judge what is left; here they are only told how much. The
//! control comes first: machines that cannot stop their jobs, because queuectl is held there, must be found out.

use std::fs;

use anyhow::{Context, bail, ensure};

use queuectl_devkit::{BIN_DIR, Binaries, Profile, cargo, heading};

const EXACTLY_ONCE: &str = "postgres::net::three_machines_run_every_job_exactly_once";
const STORM: &str = "postgres::storm::machines_that_are_cut_off_at_random_lose_and_double_nothing";

/// Names the file with the names of skipped tests.
const SKIPS: &str = "QUEUECTL_TEST_SKIPS";

/// Runs it; an error if a promise was broken.
pub fn run(partitions: u32, machines: u32, jobs: u32, seed: u64) -> anyhow::Result<()> {
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
    heading(&format!("{jobs} jobs on three machines, exactly once each"));
    test(EXACTLY_ONCE, &[("JOBS", jobs.into())])?;
    heading("The control: machines that cannot stop their jobs");
    test(
        STORM,
        &[
            ("PARTITIONS", 12),
            ("MACHINES", 4),
            ("SEED", seed),
            ("CONTROL", 1),
        ],
    )?;
    heading(&format!(
        "{partitions} partitions of {machines} machines, seed {seed}"
    ));
    test(
        STORM,
        &[
            ("PARTITIONS", partitions.into()),
            ("MACHINES", machines.into()),
            ("SEED", seed),
        ],
    )
}
