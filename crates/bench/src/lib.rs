//! `bench`: what queuectl costs, measured with the release build and real processes.
//!
//! What is compared runs in turn, A B A B, in one go, so that a machine whose speed drifts does not decide. Each figure
//! is the median of the runs with the smallest and the largest. Nothing is judged here; figures are for reading.

#![cfg(target_os = "linux")]

mod bloat;
mod contention;
mod figures;
mod gated;
mod postgres;
mod retention;
mod rig;
mod scale;
mod scenarios;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use queuectl_devkit::{Binaries, Profile, heading};

use figures::{Figures, machine};
use rig::Rig;

/// Takes its figures on the rig.
type Measure = fn(&Rig, &mut Figures) -> anyhow::Result<()>;

/// What can be measured, by name, with what it is.
const SCENARIOS: &[(&str, &str, Measure)] = &[
    (
        "drain",
        "5,000 jobs `true`, 2 workers, against xargs, a bare loop and other queues",
        scenarios::drain,
    ),
    (
        "noop",
        "100,000 jobs that do nothing, 2 workers: queuectl alone",
        scenarios::noop,
    ),
    (
        "gated",
        "100,000 jobs that do nothing and name a limit, and as many beside jobs that are blocked",
        gated::gated,
    ),
    (
        "enqueue",
        "one enqueue as a process, also beside 1,000,000 ended jobs, and 200,000 jobs from a file",
        scenarios::enqueue,
    ),
    (
        "latency",
        "from calling enqueue to the job's first sign, idle node",
        scenarios::latency,
    ),
    (
        "pg-noop",
        "on PostgreSQL: 100,000 jobs that do nothing, 1, 2 and 4 nodes, against graphile-worker",
        postgres::noop,
    ),
    (
        "pg-latency",
        "on PostgreSQL: from storing a job to its first sign, idle node",
        postgres::latency,
    ),
    (
        "idle",
        "processor time and memory of a node without work",
        scenarios::idle,
    ),
    (
        "scale",
        "a dispatcher's turn and its memory with very many jobs, against a thousand",
        scale::turns,
    ),
    (
        "pgscale",
        "a dispatcher's turn on PostgreSQL with very many jobs, against a thousand",
        scale::turns_on_postgres,
    ),
    (
        "bloat",
        "what tables on PostgreSQL grow to under steady work, with and without a long transaction beside it",
        bloat::bloat,
    ),
    (
        "pages",
        "lists and status of very many jobs, as processes",
        scale::pages,
    ),
    (
        "contention",
        "eight nodes on one queue against one, and enqueue beside four busy nodes",
        contention::contention,
    ),
    (
        "retention",
        "clean-up beside running jobs, and the file's size over many cycles",
        retention::retention,
    ),
];

/// What to measure, and how.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Only these measurements: drain, noop, gated, enqueue, latency, pg-noop, pg-latency, idle, scale, pgscale, bloat,
    /// pages, contention, retention
    /// [default: all]
    names: Vec<String>,
    /// How often each is measured
    #[arg(long, value_name = "N", default_value_t = 5)]
    runs: u32,
    /// How many jobs a large queue has; ten million take 4 GB of disk and some minutes to make
    #[arg(long, value_name = "N", default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(10_000..))]
    jobs: u64,
    /// How long `bloat` watches
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1440))]
    minutes: u32,
    /// Write the figures to this file as JSON, too
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Measures.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let names = &options.names;
    if let Some(unknown) = names
        .iter()
        .find(|name| !SCENARIOS.iter().any(|(known, ..)| known == name))
    {
        let known: Vec<&str> = SCENARIOS.iter().map(|(name, ..)| *name).collect();
        bail!(
            "there is no measurement '{unknown}'; there are: {}",
            known.join(", ")
        );
    }
    heading("Building for release");
    let built = Binaries::build(Profile::Release, &["shell"])?;
    let rig = Rig::new(&built, options.runs, options.jobs, options.minutes)?;
    let mut figures = Figures::new(machine(&rig)?);
    for (name, about, measure) in SCENARIOS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            heading(&format!("{name}: {about}"));
            figures.scenario(name);
            measure(&rig, &mut figures)?;
        }
    }
    heading("Figures");
    print!("{}", figures.table());
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&figures.json())?;
        fs::write(path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
        println!("\nwritten to {}", path.display());
    }
    Ok(())
}
