//! `bench`: what queuectl costs, measured with the release build and real processes.
//!
//! What is compared runs in turn, A B A B, in one go, so that a machine whose speed drifts does not decide. Each figure
//! is the median of the runs with the smallest and the largest. Nothing is judged here; figures are for reading.

mod bloat;
mod contention;
mod figures;
mod postgres;
mod retention;
mod rig;
mod scale;
mod scenarios;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, bail};

use crate::build::{self, Profile, Scope};
use crate::report::heading;
use crate::workspace::Workspace;
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

/// Measures.
pub fn run(
    workspace: &Workspace,
    names: &[String],
    runs: u32,
    jobs: u64,
    minutes: u32,
    json: Option<PathBuf>,
) -> anyhow::Result<()> {
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
    let built = build::build(workspace, Profile::Release, Scope::Shell)?;
    let rig = Rig::new(workspace, &built, runs, jobs, minutes)?;
    let mut figures = Figures::new(machine(workspace, &rig)?);
    for (name, about, measure) in SCENARIOS {
        if names.is_empty() || names.iter().any(|wanted| wanted == name) {
            heading(&format!("{name}: {about}"));
            figures.scenario(name);
            measure(&rig, &mut figures)?;
        }
    }
    heading("Figures");
    print!("{}", figures.table());
    if let Some(path) = json {
        let text = serde_json::to_string_pretty(&figures.json())?;
        fs::write(&path, text + "\n").with_context(|| format!("cannot write {}", path.display()))?;
        println!("\nwritten to {}", path.display());
    }
    Ok(())
}
