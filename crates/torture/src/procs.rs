//! `torture procs`: what happens to processes.
//!
//! A [`Scene`] is a queue with two nodes that run a steady stream of jobs while faults hit them, aimed at the holder of a
//! job. Every [`ERA`] faults the nodes heal, the queue is drained and judged, and another scene begins. A scene mostly waits,
//! so some are played at a time, each in a lane of its own, with nothing in common but the machine.

use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

use anyhow::{Context, ensure};
use fastrand::Rng;

use super::chaos::{Fault, Tally};
use super::rig::Rig;
use super::scene::{Scene, World, fatal_plugin, worlds};
use super::storage::must_fail;
use queuectl_devkit::heading;

/// Faults that one queue lives through.
pub const ERA: u32 = 150;
/// Faults of the control.
pub const CONTROL: u32 = 40;

/// How much of what.
pub struct Plan {
    pub faults: u32,
    pub lanes: u32,
    /// In what kinds of world.
    pub worlds: Vec<World>,
    /// Faults that one queue lives through.
    pub era: u32,
    pub seed: u64,
    /// Faults of the control; without any there is none.
    pub control: u32,
}

/// What happened so far, and what is left to do.
struct Sum {
    /// Eras that have begun.
    eras: u32,
    /// Faults that no lane has begun with.
    left: u32,
    faults: u32,
    jobs: usize,
    tally: Tally,
    others: Tally,
    violation: Option<anyhow::Error>,
}

/// Causes this many faults. The first violation is the error.
pub fn run(rig: &Rig, plan: &Plan) -> anyhow::Result<()> {
    heading("faults of processes");
    println!("seed {}", plan.seed);
    let plugin = fatal_plugin(rig)?;
    let worlds = worlds(rig, &plan.worlds);
    ensure!(!worlds.is_empty(), "this machine can make none of these worlds");
    let sum = Mutex::new(Sum {
        eras: 0,
        left: plan.faults,
        faults: 0,
        jobs: 0,
        tally: Tally::new(),
        others: Tally::new(),
        violation: None,
    });
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for lane in 0..plan.lanes {
            let (sum, worlds, plugin) = (&sum, &worlds, plugin.as_deref());
            scope.spawn(move || {
                while let Some((era, wanted)) = next(sum, plan.era) {
                    let world = worlds[era as usize % worlds.len()];
                    let (before, name) = (Instant::now(), format!("procs-{lane}"));
                    let mut rng = Rng::with_seed(plan.seed.wrapping_add(u64::from(era) << 32));
                    let played = play(rig, &name, world, plugin, wanted, &mut rng);
                    note(sum, era, world, wanted, before, played);
                }
            });
        }
    });
    let sum = sum
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    println!(
        "{} faults in {:.0} s, {} jobs: {}",
        sum.faults,
        begun.elapsed().as_secs_f64(),
        sum.jobs,
        listed(&sum.tally)
    );
    println!("beside them: {}", listed(&sum.others));
    if let Some(violation) = sum.violation {
        return Err(violation.context(format!("seed {}", plan.seed)));
    }
    println!("no violation");
    if plan.control > 0 && rig.has_controls() {
        for world in [World::Whole, World::Containers] {
            if worlds.contains(&world) {
                let mut rng = Rng::with_seed(plan.seed);
                let mut scene = Scene::new(rig, "procs-control", world, None, Some("sweep"), &mut rng)?;
                scene.live(plan.control, &[Fault::KillNode], &mut rng)?;
                let what = format!("no sweep before a rescue, {world:?}");
                must_fail(&what, scene.judge())?;
            }
        }
    }
    Ok(())
}

/// The next era and its faults; none if all is done or something was found.
fn next(sum: &Mutex<Sum>, most: u32) -> Option<(u32, u32)> {
    let mut sum = sum.lock().ok()?;
    let wanted = most.min(sum.left);
    if wanted == 0 || sum.violation.is_some() {
        return None;
    }
    sum.left -= wanted;
    sum.eras += 1;
    Some((sum.eras - 1, wanted))
}

/// What became of an era: faults, other disturbances, and jobs.
type Played = (Tally, Tally, usize);

fn play(
    rig: &Rig,
    name: &str,
    world: World,
    plugin: Option<&Path>,
    wanted: u32,
    rng: &mut Rng,
) -> anyhow::Result<Played> {
    let mut scene = Scene::new(rig, name, world, plugin, None, rng)?;
    let mut kinds = Fault::ALL.to_vec();
    if world == World::Containers {
        kinds.push(Fault::RemoveContainer);
    }
    let lived = scene.live(wanted, &kinds, rng);
    let judged = lived.and_then(|tally| Ok((tally, scene.judge()?)));
    let (tally, jobs) = judged.with_context(|| format!("see {}", scene.keep().display()))?;
    Ok((tally, scene.others(), jobs))
}

fn note(
    sum: &Mutex<Sum>,
    era: u32,
    world: World,
    wanted: u32,
    begun: Instant,
    played: anyhow::Result<Played>,
) {
    let Ok(mut sum) = sum.lock() else { return };
    match played {
        Ok((tally, others, jobs)) => {
            sum.faults += wanted;
            sum.jobs += jobs;
            add(&mut sum.tally, tally);
            add(&mut sum.others, others);
            let took = begun.elapsed().as_secs_f64();
            println!(
                "  {} faults, {} jobs; era {era}, {world:?}, {took:.1} s",
                sum.faults, sum.jobs
            );
        }
        Err(error) => {
            let error = error.context(format!("era {era}, {world:?}"));
            println!("  violation: {error:#}");
            sum.violation.get_or_insert(error);
        }
    }
}

fn add(to: &mut Tally, more: Tally) {
    for (kind, count) in more {
        *to.entry(kind).or_default() += count;
    }
}

fn listed(tally: &Tally) -> String {
    let all: Vec<String> = tally
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    all.join(", ")
}
