//! `torture storage`: what happens to the files.

use anyhow::{bail, ensure};
use fastrand::Rng;

use super::rig::Rig;
use super::syscalls::Plan;
use super::{damage, power, strace, syscalls};
use queuectl_devkit::heading;

/// Budgets of the controls: by then they must have found something.
const CONTROL_CUTS: u32 = 200;
const CONTROL_FLIPS: u32 = 300;

/// The parts.
const PARTS: &[&str] = &["syscalls", "power", "damage"];

/// Runs all parts, or only these. The first violation is the error.
pub fn run(rig: &Rig, plan: Plan, only: &[String]) -> anyhow::Result<()> {
    if let Some(unknown) = only.iter().find(|part| !PARTS.contains(&part.as_str())) {
        bail!("there is no part '{unknown}'; there are: {}", PARTS.join(", "));
    }
    let wanted = |part: &str| only.is_empty() || only.iter().any(|name| name == part);
    println!("seed {}", plan.seed);
    if wanted("syscalls") {
        heading("a fault at every n-th system call");
        match strace::impossible() {
            Some(reason) => rig.skip("syscalls", &reason),
            None => {
                let faults = syscalls::inject(rig, &plan, &mut Rng::with_seed(plan.seed))?;
                println!("{faults:?}, no violation");
            }
        }
    }
    if wanted("power") {
        heading("power cuts");
        match power::impossible(rig) {
            Some(reason) => rig.skip("power", &reason),
            None => {
                let cuts = power::cut(rig, plan.cuts, &mut Rng::with_seed(plan.seed), true)?;
                println!("{cuts:?}, no violation");
                let control = power::cut(rig, CONTROL_CUTS, &mut Rng::with_seed(plan.seed), false);
                must_fail("durability = normal", control)?;
            }
        }
    }
    if wanted("damage") {
        heading("flipped bits and missing ends");
        let damaged = damage::damage(rig, plan.flips, &mut Rng::with_seed(plan.seed), true)?;
        println!("{damaged:?}, no violation");
        if rig.has_controls() {
            let control = damage::damage(rig, CONTROL_FLIPS, &mut Rng::with_seed(plan.seed), false);
            must_fail("no look at checksums", control)?;
        }
    }
    Ok(())
}

/// A control: what is tested was switched off, so something must have been found.
pub fn must_fail<T>(switched_off: &str, result: anyhow::Result<T>) -> anyhow::Result<()> {
    let Err(found) = result else {
        bail!("the control found nothing with {switched_off}");
    };
    let found = format!("{found:#}");
    ensure!(
        !found.contains("hangs"),
        "the control did not come to an end: {found}"
    );
    println!("control, {switched_off}: {found}");
    Ok(())
}
