//! The descendants of a run that left its process group, while the run is suspended.
//!
//! The group itself is signalled as a whole by `Process`. Nothing here ends a process.

use std::collections::HashSet;

use nix::libc::{SIGCONT, SIGSTOP};

use super::birthmark::Birthmark;
use super::linux::carries;
use super::origin::RunOrigin;
use super::procfs::{Environment, Stat, all};

/// Most looks for descendants that have come since the look before.
const LOOKS: u32 = 10;

/// Descendants outside the group that were stopped.
pub(crate) struct Strays(Vec<Stat>);

impl Strays {
    /// Stops the descendants of a run that are not in the group of its leader, which was stopped before. What is stopped starts
    /// nothing, so a look that finds no other has found all.
    pub(super) fn stop(origin: RunOrigin, birthmark: Birthmark, leader: u32) -> Strays {
        let mut stopped: Vec<Stat> = Vec::new();
        for _ in 0..LOOKS {
            let known: HashSet<(u32, u64)> = stopped.iter().map(|stat| (stat.pid, stat.start)).collect();
            let is_new = |stat: &Stat| !stat.is_dead() && !known.contains(&(stat.pid, stat.start));
            let found: Vec<Stat> = of_run(origin, birthmark, leader)
                .into_iter()
                .filter(is_new)
                .collect();
            if found.is_empty() {
                break;
            }
            for stat in found {
                if !stat.send(SIGSTOP) {
                    tracing::warn!(
                        pid = stat.pid,
                        job = origin.job,
                        "a process of the job is another user's and runs on while the job is suspended"
                    );
                }
                // Also one that may not be stopped, so that it is not looked for again.
                stopped.push(stat);
            }
        }
        Strays(stopped)
    }

    /// Has them continue.
    pub(super) fn resume(&self) {
        for stat in &self.0 {
            stat.send(SIGCONT);
        }
    }
}

/// All processes outside the group that carry the marks of a run or descend from one that does, or from the group.
fn of_run(origin: RunOrigin, birthmark: Birthmark, leader: u32) -> Vec<Stat> {
    let everything: Vec<Stat> = all().collect();
    let own = std::process::id();
    let is_marked = |stat: &Stat| match birthmark.run_of(stat.pid) {
        Some(number) => number == origin.birth_number,
        None => carries(&Environment::of(stat.pid), origin),
    };
    let (group, others): (Vec<Stat>, Vec<Stat>) = everything
        .into_iter()
        .filter(|stat| stat.pid != own)
        .partition(|stat| stat.group == leader || stat.pid == leader);
    let (mut found, mut rest): (Vec<Stat>, Vec<Stat>) = others.into_iter().partition(is_marked);
    let mut parents: HashSet<u32> = group.iter().chain(&found).map(|stat| stat.pid).collect();
    loop {
        let (children, others): (Vec<Stat>, Vec<Stat>) =
            rest.into_iter().partition(|stat| parents.contains(&stat.parent));
        if children.is_empty() {
            return found;
        }
        parents.extend(children.iter().map(|stat| stat.pid));
        found.extend(children);
        rest = others;
    }
}
