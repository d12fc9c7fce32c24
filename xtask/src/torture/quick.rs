//! A handful of everything, for `cargo xtask test`: the same campaigns, rigs and verdicts as the long runs.
//!
//! The binary is the one that the other end-to-end tests use; without `cargo xtask test` the one in the target folder. What
//! this machine cannot do is reported as skipped.

use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

use fastrand::Rng;

use super::rig::Rig;
use super::scene::World;
use super::{damage, power, procs, storage, syscalls};
use crate::build::Built;
use crate::suite;
use crate::workspace::Workspace;

fn skipped(test: &str, reason: &str) {
    let line = format!("skipped: torture::quick::{test}: {reason}\n");
    print!("{line}");
    if let Some(path) = std::env::var_os(suite::SKIPS) {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.unwrap().write_all(line.as_bytes()).unwrap();
    }
}

fn rig(workspace: &Workspace) -> Rig {
    let folder = match std::env::var_os(suite::BIN_DIR) {
        Some(folder) => PathBuf::from(folder),
        None => workspace.metadata.target_directory.as_std_path().join("debug"),
    };
    let built = Built {
        binary: folder.join("queuectl"),
        plugins: vec![folder.join(format!("{DLL_PREFIX}queuectl_plugin_shell{DLL_SUFFIX}"))],
    };
    assert!(built.binary.exists(), "build it first: cargo xtask build");
    Rig::new(workspace, &built).unwrap()
}

fn with_rig(campaign: impl FnOnce(&Rig, &Path) -> anyhow::Result<()>) {
    let workspace = Workspace::load().unwrap();
    if let Err(error) = campaign(&rig(&workspace), workspace.root()) {
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
    with_rig(|rig, root| procs::run(rig, root, &plan));
}

#[test]
fn some_faults_of_system_calls() {
    if let Some(reason) = syscalls::impossible() {
        return skipped("some_faults_of_system_calls", &reason);
    }
    let plan = storage::Plan {
        cuts: 0,
        flips: 0,
        step: 30,
        operations: vec!["enqueue".to_owned(), "turns".to_owned()],
        seed: 1,
    };
    with_rig(|rig, _| {
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
    with_rig(|rig, _| {
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
    with_rig(|rig, _| {
        let damaged = damage::damage(rig, 12, &mut Rng::with_seed(1), true)?;
        assert_eq!(damaged.files, 12, "{damaged:?}");
        Ok(())
    });
}
