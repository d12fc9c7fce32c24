//! Groups whose members run while nodes are killed, and which are closed before, during or after that: one callback for
//! each, stored after the end of the last member.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, bail, ensure};
use fastrand::Rng;
use serde_json::{Value, json};

use super::Plan;
use super::spans;
use super::stage::{SHORT, Stage, store};
use crate::rig::{Queue, Rig};
use crate::storage::must_fail;

/// Members, and faults for them, unless the plan says otherwise.
const JOBS: u32 = 100_000;
const KILLS: u32 = 200;
/// Members of each group.
const MEMBERS: usize = 100;
/// Members that are stored at a time.
const BATCH: usize = 5_000;

const CALLBACK: &str = "echo c $QUEUECTL_JOB_ID $QUEUECTL_FENCE $QUEUECTL_GROUP $QUEUECTL_GROUP_TOTAL \
    $QUEUECTL_GROUP_COMPLETED $QUEUECTL_GROUP_DEAD >> log; echo e $QUEUECTL_JOB_ID $QUEUECTL_FENCE >> log";

/// What a member of each group does in the control after its other lines: it lives until some callback has run, which comes
/// too early then, or for half a minute.
const OUTLIVE: &str = "for i in $(seq 300); do grep -q '^[cf] ' log && break; sleep 0.1; done; say t";

/// Runs the campaign and its control.
pub fn run(rig: &Rig, plan: &Plan) -> anyhow::Result<()> {
    let (jobs, kills) = (plan.jobs.unwrap_or(JOBS) as usize, plan.kills.unwrap_or(KILLS));
    campaign(rig, plan, jobs, kills, false)?;
    let few = jobs.min(400);
    must_fail(
        "all members ended, says the database",
        campaign(rig, plan, few, 0, true),
    )
}

fn campaign(rig: &Rig, plan: &Plan, count: usize, kills: u32, is_control: bool) -> anyhow::Result<()> {
    let mut rng = Rng::with_seed(plan.seed);
    let mut stage = Stage::new(rig, "groups", plan.database)?;
    let count = count.next_multiple_of(MEMBERS);
    let groups = Groups::make(&stage.queue, count, is_control, &mut rng)?;
    if is_control {
        stage.make_control(None);
        stage.sql("UPDATE group_members SET outcome = 5")?;
    }
    stage.start(&[])?;
    let closed = AtomicBool::new(false);
    let lived = std::thread::scope(|scope| {
        let (queue, closed) = (stage.queue.clone(), &closed);
        let later = groups.later.clone();
        let closer = scope.spawn(move || {
            let done = later
                .iter()
                .try_for_each(|group| queue.ok(["group:close", group]).map(drop));
            closed.store(true, Ordering::SeqCst);
            done
        });
        // Members, and the callbacks.
        let lived = stage.live_until(count, kills, &mut rng, |stage| {
            Ok(closed.load(Ordering::SeqCst) && stage.unfinished()? == 0)
        });
        match closer.join() {
            Ok(done) => done.and(lived),
            Err(_) => bail!("the thread that closes groups broke"),
        }
    });
    stage.conclude(lived, |stage| {
        let attempts = judge(stage, &groups)?;
        Ok(format!(
            "{} groups of {MEMBERS}, {} of them with members that fail; {attempts} attempts",
            groups.names.len(),
            groups.failing.len(),
        ))
    })
}

struct Groups {
    names: Vec<String>,
    /// The group of each member.
    of: HashMap<i64, usize>,
    /// Groups with members that fail.
    failing: HashSet<usize>,
    /// Groups that are closed while the members run.
    later: Vec<String>,
}

impl Groups {
    /// Stores groups with their members. A third is closed with its last member, and the others later.
    fn make(queue: &Queue, count: usize, is_control: bool, rng: &mut Rng) -> anyhow::Result<Groups> {
        let mut groups = Groups {
            names: (0..count / MEMBERS)
                .map(|group| format!("group-{group}"))
                .collect(),
            of: HashMap::new(),
            failing: HashSet::new(),
            later: Vec::new(),
        };
        for name in &groups.names {
            let failed = CALLBACK.replacen("echo c", "echo f", 1);
            queue.ok(["group:create", name, "--then", CALLBACK, "--then-failed", &failed])?;
        }
        let mut jobs: Vec<(Value, usize)> = Vec::with_capacity(count);
        for group in 0..groups.names.len() {
            let fails = rng.u8(..5) == 0;
            for member in 0..MEMBERS {
                let mut job = json!({"command": SHORT, "group": groups.names[group]});
                if fails && member % 33 == 0 {
                    job["command"] = json!(format!("{SHORT}; exit 1"));
                    job["max_retries"] = json!(0);
                }
                if is_control && member == 1 {
                    job["command"] = json!(format!("{SHORT}; {OUTLIVE}"));
                }
                jobs.push((job, group));
            }
            if fails {
                groups.failing.insert(group);
            }
        }
        // Members of one group are not stored one after the other.
        rng.shuffle(&mut jobs);
        let mut left = vec![MEMBERS; groups.names.len()];
        for batch in jobs.chunks_mut(BATCH) {
            for (job, group) in batch.iter_mut() {
                left[*group] -= 1;
                if left[*group] == 0 && *group % 3 == 0 {
                    job["close_group"] = json!(true);
                }
            }
            let lines: String = batch.iter().map(|(job, _)| format!("{job}\n")).collect();
            let ids = store(queue, "jobs", &lines)?;
            groups
                .of
                .extend(ids.into_iter().zip(batch.iter().map(|(_, group)| *group)));
        }
        let later = groups
            .names
            .iter()
            .enumerate()
            .filter(|(group, _)| group % 3 != 0);
        groups.later = later.map(|(_, name)| name.clone()).collect();
        Ok(groups)
    }
}

/// How many attempts of members there were.
fn judge(stage: &Stage, groups: &Groups) -> anyhow::Result<usize> {
    let path = stage.queue.work.join("log");
    let members: Vec<_> = spans::read(&path)?
        .into_iter()
        .filter(|span| groups.of.contains_key(&span.job))
        .collect();
    let mut last = vec![0; groups.names.len()];
    for span in &members {
        let group = groups.of[&span.job];
        last[group] = last[group].max(span.last);
    }
    let mut called: HashMap<String, i64> = HashMap::new();
    for (line, text) in fs::read_to_string(&path)?.lines().enumerate() {
        let [what @ ("c" | "f"), job, _, name, total, completed, dead] =
            text.split(' ').collect::<Vec<_>>()[..]
        else {
            continue;
        };
        let group = groups.names.iter().position(|other| other == name);
        let group = group.context("a callback of another group")?;
        let job = job.parse()?;
        ensure!(
            line > last[group],
            "{name} called back at line {line}, before its last member ended"
        );
        let other = called.insert(name.to_owned(), job).filter(|other| *other != job);
        ensure!(other.is_none(), "{name} called back by jobs {other:?} and {job}");
        let [total, completed, dead]: [usize; 3] = [total.parse()?, completed.parse()?, dead.parse()?];
        let fails = groups.failing.contains(&group);
        ensure!(
            total == MEMBERS && completed + dead == total && (dead > 0) == fails && (what == "f") == fails,
            "{name} called {what}, and counted {completed} completed and {dead} dead of {total}"
        );
    }
    ensure!(
        called.len() == groups.names.len(),
        "{} callbacks, of {} groups",
        called.len(),
        groups.names.len()
    );
    let jobs = stage.queue.jobs()?.len();
    let wanted = groups.of.len() + groups.names.len();
    ensure!(jobs == wanted, "{jobs} jobs, of {wanted}");
    stage.queue.check()?;
    Ok(members.len())
}
