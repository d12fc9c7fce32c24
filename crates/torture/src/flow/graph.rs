//! A graph in layers from one file, and chains whose first job fails and is tried again, while nodes are killed and parents
//! are purged: no job starts before those it waits for have ended, and none is left waiting.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use serde_json::{Value, json};

use super::Plan;
use super::spans::{self, Span};
use super::stage::{Stage, enqueue};
use crate::chaos::Tally;
use crate::rig::{PATIENCE, Rig};
use crate::storage::must_fail;

/// Jobs in layers, and faults for them, unless the plan says otherwise.
const JOBS: u32 = 10_000;
const KILLS: u32 = 100;
const LAYERS: usize = 100;
/// Layered jobs for one chain.
const JOBS_PER_CHAIN: usize = 100;
/// The queue whose jobs are purged as they complete.
const PURGED: &str = "purged";
/// Time between two purges, which also try failed jobs again.
const PAUSE: Duration = Duration::from_millis(700);

/// It writes its place, see [`name`].
const JOB: &str = "say() { echo $1 ${QUEUECTL_JOB_ID#g} $QUEUECTL_FENCE >> log; }; say s; say e";

/// What is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    None,
    /// Jobs that wait are made ready in the database, in which nothing says any more what they wait for.
    Edges,
    /// The end of a job settles nothing.
    Settling,
}

/// Runs the campaign and its controls.
pub fn run(rig: &Rig, plan: &Plan) -> anyhow::Result<()> {
    let (jobs, kills) = (plan.jobs.unwrap_or(JOBS) as usize, plan.kills.unwrap_or(KILLS));
    campaign(rig, plan, jobs, kills, Control::None)?;
    let few = jobs.min(300);
    must_fail("no job waits", campaign(rig, plan, few, 0, Control::Edges))?;
    if rig.has_controls() {
        let control = campaign(rig, plan, few, 0, Control::Settling);
        must_fail("the end of a job settles nothing", control)?;
    }
    Ok(())
}

fn campaign(rig: &Rig, plan: &Plan, count: usize, kills: u32, control: Control) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(plan.seed);
    let mut stage = Stage::new(rig, "graph", plan.database)?;
    if control != Control::None {
        stage.make_control((control == Control::Settling).then_some("dependencies"));
        stage.patience = Duration::from_secs(10);
    }
    fs::write(stage.queue.work.join("job.sh"), JOB)?;
    let graph = Graph::new(count, &mut rng);
    enqueue(&stage.queue, "jobs", &graph.lines())?;
    if control == Control::Edges {
        stage.sql("DELETE FROM edges; UPDATE jobs SET state = 1, waits = 0 WHERE state = 0")?;
    }
    stage.start(&[])?;
    let lived = match control {
        // The store counts wrong then.
        Control::Edges => stage.live_until(graph.jobs.len() / 2, 0, &mut rng, |_| Ok(true)),
        _ => live(&mut stage, &graph, kills, &mut rng),
    };
    stage.conclude(lived, |stage| {
        let attempts = judge(stage, &graph)?;
        Ok(format!(
            "{count} jobs in layers, {} chains whose first job fails, {} edges; {attempts} attempts",
            graph.roots.len(),
            graph.jobs.iter().map(|job| job.parents.len()).sum::<usize>(),
        ))
    })
}

/// A job; its name is its place.
struct Job {
    parents: Vec<usize>,
    queue: &'static str,
    /// Fails until the folder has the file `fixed`.
    fails: bool,
}

struct Graph {
    jobs: Vec<Job>,
    /// The first jobs of the chains.
    roots: Vec<usize>,
}

impl Graph {
    /// Layers in which each job waits for one to three of the layer before, and at last one job that waits for the last
    /// layer. Then the chains: a root that fails, three children, of which one also waits for a layered job, and a job that
    /// waits for these (a diamond).
    fn new(count: usize, rng: &mut Rng) -> Graph {
        let wide = (count / LAYERS).max(1);
        let mut jobs: Vec<Job> = Vec::new();
        for place in 0..count {
            let layer = place / wide;
            let mut parents = HashSet::new();
            if layer > 0 {
                for _ in 0..rng.usize(1..=3) {
                    parents.insert((layer - 1) * wide + rng.usize(..wide));
                }
            }
            let queue = if rng.u8(..5) == 0 { PURGED } else { "default" };
            jobs.push(Job {
                parents: parents.into_iter().collect(),
                queue,
                fails: false,
            });
        }
        let mut roots = Vec::new();
        for _ in 0..(count / JOBS_PER_CHAIN).max(2) {
            let root = jobs.len();
            roots.push(root);
            let chain = |parents: Vec<usize>| Job {
                fails: parents.is_empty(),
                parents,
                queue: "default",
            };
            jobs.push(chain(vec![]));
            for child in 0..3 {
                let mut parents = vec![root];
                if child == 0 {
                    parents.push(rng.usize(..count));
                }
                jobs.push(chain(parents));
            }
            jobs.push(chain(vec![root + 1, root + 2, root + 3]));
        }
        Graph { jobs, roots }
    }

    fn lines(&self) -> String {
        let line = |(place, job): (usize, &Job)| {
            let mut line = json!({"id": name(place), "command": ["sh", "job.sh"], "queue": job.queue});
            if !job.parents.is_empty() {
                line["after"] = job.parents.iter().map(|parent| name(*parent)).collect::<Value>();
            }
            if job.fails {
                line["command"] = json!("test -e fixed && sh job.sh");
                line["max_retries"] = json!(0);
            }
            format!("{line}\n")
        };
        self.jobs.iter().enumerate().map(line).collect()
    }
}

fn name(place: usize) -> String {
    format!("g{place}")
}

/// Lets it run. Chains fail and take their children along, and are fixed when half is done.
fn live(stage: &mut Stage, graph: &Graph, kills: u32, rng: &mut Rng) -> anyhow::Result<Tally> {
    let layered = graph.jobs.len() - graph.roots.len() * 5;
    // What the roots take along has ended, too, as long as they are not fixed.
    let mut tally = stage.live_until(layered / 2, kills / 2, rng, |_| Ok(true))?;
    let broken = |stage: &Stage| {
        let jobs = stage
            .queue
            .json(["list", "--state", "dead", "--limit", "1000000"])?;
        anyhow::Ok(jobs.as_array().map_or(0, Vec::len))
    };
    let until = Instant::now() + PATIENCE;
    while broken(stage)? < graph.roots.len() {
        stage.tend()?;
        ensure!(Instant::now() < until, "the roots of the chains do not fail");
        std::thread::sleep(PAUSE);
    }
    fs::write(stage.queue.work.join("fixed"), "")?;
    let mut last = Instant::now();
    let more = stage.live_until(graph.jobs.len(), kills - kills / 2, rng, |stage| {
        if last.elapsed() > PAUSE {
            stage.queue.ok(["dlq:retry", "--all"])?;
            stage.queue.ok(["purge", "--queue", PURGED, "--yes"])?;
            last = Instant::now();
        }
        Ok(stage.unfinished()? == 0 && broken(stage)? == 0)
    })?;
    for (kind, count) in more {
        *tally.entry(kind).or_default() += count;
    }
    Ok(tally)
}

/// How many attempts there were.
fn judge(stage: &Stage, graph: &Graph) -> anyhow::Result<usize> {
    let spans = spans::read(&stage.queue.work.join("log"))?;
    let mut of: HashMap<usize, Vec<Span>> = HashMap::new();
    for span in &spans {
        of.entry(usize::try_from(span.job)?).or_default().push(*span);
    }
    for (place, job) in graph.jobs.iter().enumerate() {
        let attempts = of
            .get(&place)
            .with_context(|| format!("{} never ran", name(place)))?;
        ensure!(
            attempts.iter().any(|span| span.ended),
            "{} never ended",
            name(place)
        );
        let Some(first) = attempts.iter().map(|span| span.first).min() else {
            bail!("{} never ran", name(place));
        };
        for parent in &job.parents {
            let ended = of.get(parent).into_iter().flatten().map(|span| span.last).max();
            ensure!(
                ended.is_some_and(|ended| ended < first),
                "{} started before {} ended",
                name(place),
                name(*parent)
            );
        }
    }
    for job in stage.queue.jobs()? {
        ensure!(job["state"] == "completed", "{job}");
    }
    stage.queue.check()?;
    Ok(spans.len())
}
