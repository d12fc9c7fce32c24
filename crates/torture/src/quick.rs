//! A handful of everything, for `cargo xtask test`: the same campaigns, rigs and verdicts as the long runs.
//!
//! The binary is the one that the other end-to-end tests use; without `cargo xtask test` the one in the target folder. What
//! this machine cannot do is reported as skipped.

use fastrand::Rng;
use queuectl_devkit::Binaries;

use super::flow::{self, Part, stage::Database};
use super::rig::Rig;
use super::scene::World;
use super::{damage, power, procs, strace, syscalls};

fn skipped(test: &str, reason: &str) {
    queuectl_testkit::skipped(&format!("torture::quick::{test}"), reason);
}

fn with_rig(campaign: impl FnOnce(&Rig) -> anyhow::Result<()>) {
    let rig = Binaries::find(&["shell"]).and_then(|built| Rig::new(&built));
    if let Err(error) = rig.and_then(|rig| campaign(&rig)) {
        panic!("{error:#}");
    }
}

fn is_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skipped(test, "only root can mount disks");
    }
    root
}

/// Some faults in each kind of world, and the control.
#[test]
fn some_faults_of_processes() {
    if !is_root("some_faults_of_processes") {
        return;
    }
    let plan = procs::Plan {
        faults: 36,
        era: 12,
        lanes: 3,
        worlds: vec![World::Whole, World::Clock, World::Disk],
        seed: 1,
        control: 12,
    };
    with_rig(|rig| procs::run(rig, &plan));
}

#[test]
fn some_faults_of_system_calls() {
    if let Some(reason) = strace::impossible() {
        return skipped("some_faults_of_system_calls", &reason);
    }
    let plan = syscalls::Plan {
        cuts: 0,
        flips: 0,
        step: 30,
        operations: vec!["enqueue".to_owned(), "turns".to_owned()],
        seed: 1,
    };
    with_rig(|rig| {
        let faults = syscalls::inject(rig, &plan, &mut Rng::with_seed(plan.seed))?;
        assert!(faults.faults > 5, "{faults:?}");
        Ok(())
    });
}

#[test]
fn some_power_cuts() {
    let test = "some_power_cuts";
    if !is_root(test) {
        return;
    }
    with_rig(|rig| {
        if let Some(reason) = power::impossible(rig) {
            skipped(test, &reason);
            return Ok(());
        }
        let cuts = power::cut(rig, 5, &mut Rng::with_seed(1), true)?;
        assert_eq!(cuts.cuts, 5, "{cuts:?}");
        Ok(())
    });
}

#[test]
fn some_damage() {
    with_rig(|rig| {
        let damaged = damage::damage(rig, 12, &mut Rng::with_seed(1), true)?;
        assert_eq!(damaged.files, 12, "{damaged:?}");
        Ok(())
    });
}

/// Few jobs and faults, and a control.
fn flow_control(part: Part, jobs: u32, kills: u32) {
    let plan = flow::Plan {
        database: Database::Sqlite,
        jobs: Some(jobs),
        kills: Some(kills),
        seed: 1,
    };
    with_rig(|rig| flow::run(rig, &plan, &[part]));
}

#[test]
fn some_limits() {
    flow_control(Part::Limits, 300, 5);
}

#[test]
fn some_ticks() {
    flow_control(Part::Ticks, 400, 4);
}

#[test]
fn a_small_graph() {
    flow_control(Part::Graph, 200, 4);
}

#[test]
fn some_starts_of_a_rate() {
    flow_control(Part::Rates, 60, 3);
}

#[test]
fn some_unique_keys() {
    flow_control(Part::Unique, 100, 3);
}

#[test]
fn some_faults_of_an_outcome() {
    if let Some(reason) = strace::cannot_attach() {
        return skipped("some_faults_of_an_outcome", &reason);
    }
    flow_control(Part::Atomic, 20, 0);
}

#[test]
fn some_groups() {
    flow_control(Part::Groups, 400, 3);
}
