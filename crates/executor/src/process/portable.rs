//! Sweeps for systems other than Linux, on top of `sysinfo`. There are no subreapers there, so orphans cannot be told
//! from other processes unless they carry the cookie.

use std::collections::HashSet;
use std::io;
use std::time::{Duration, Instant};

use sysinfo::{Pid, Process, ProcessRefreshKind, ProcessesToUpdate, System, UpdateKind};

use super::origin::RunOrigin;

/// How long the sweeps go on for processes that do not die.
const SWEEP: Duration = Duration::from_secs(10);

/// Not offered by this system.
pub(crate) fn become_subreaper() -> io::Result<()> {
    Ok(())
}

/// The largest number of a run.
pub(crate) const RUN_MOST: u32 = u32::MAX;

/// A number that processes inherit, which only Linux has one for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Birthmark;

impl Birthmark {
    pub(crate) fn put_on(_cookie: &str) -> Birthmark {
        Birthmark
    }

    pub(crate) fn during<T>(self, _run: u32, start: impl FnOnce() -> T) -> T {
        start()
    }
}

/// A group of processes with limits of its own, which unix systems other than Linux do not have.
#[cfg(unix)]
pub(crate) struct Group;

#[cfg(unix)]
impl Group {
    pub(crate) fn create(
        _origin: RunOrigin,
        _memory: Option<u64>,
        _pids: Option<u64>,
    ) -> Result<Group, String> {
        Err("this system cannot limit the memory or the number of all processes of a job".to_owned())
    }

    pub(super) fn entrance(&self) -> Result<std::os::fd::OwnedFd, String> {
        Err("there is no such group".to_owned())
    }

    pub(super) fn kill(&self) {}

    pub(super) fn freeze(&self) -> bool {
        false
    }

    pub(super) fn thaw(&self) {}

    pub(super) fn is_empty(&self) -> bool {
        true
    }

    pub(super) fn limit_hit(&self) -> Option<String> {
        None
    }
}

/// Descendants that got away; here those that carry the run's marks.
pub(crate) struct Orphans;

impl Orphans {
    pub(crate) fn new(_birthmark: Birthmark) -> Orphans {
        Orphans
    }

    /// Whether a group has living members beside its leader, which ended. Zombies do not count for `kill` here.
    #[cfg(unix)]
    pub(crate) fn group_lives(leader: u32) -> bool {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(-leader.cast_signed()), None).is_ok()
    }

    /// Looking at every process after every job would cost more than it finds: orphans are left to [`kill_marked`],
    /// before a rescue.
    pub(crate) fn sweep(
        &mut self,
        _origin: RunOrigin,
        _unmarked: bool,
        _is_main: &dyn Fn(u32) -> bool,
    ) -> bool {
        true
    }
}

/// Descendants that left their process group, which are not found here.
#[cfg(unix)]
pub(crate) struct Strays;

#[cfg(unix)]
impl Strays {
    pub(super) fn stop(_origin: RunOrigin, _birthmark: Birthmark, _leader: u32) -> Strays {
        Strays
    }

    pub(super) fn resume(&self) {}
}

/// No process is adopted here. On Windows a process keeps the number of a parent that ended, which may be another process's by
/// now; what a worker process started is in its Job Object, and ends with that.
pub(crate) fn kill_adopted(_known: &[u32], _mark: &str) -> usize {
    0
}

/// Kills every process whose cookie starts with `prefix`, and their descendants. Returns how many.
pub(crate) fn kill_marked(prefix: &str) -> usize {
    let own = Pid::from_u32(std::process::id());
    let start = format!("QUEUECTL_COOKIE={prefix}");
    sweep(|system| {
        let marked = |p: &&Process| {
            p.environ()
                .iter()
                .any(|entry| entry.to_string_lossy().starts_with(&start))
        };
        let all = system.processes();
        let mut found: Vec<Pid> = all
            .values()
            .filter(marked)
            .map(Process::pid)
            .filter(|pid| *pid != own)
            .collect();
        let mut at = 0;
        while let Some(parent) = found.get(at).copied() {
            // Who is older than the parent was started by another process, which had this number before.
            let since = all.get(&parent).map_or(0, Process::start_time);
            let children = all
                .values()
                .filter(|p| p.parent() == Some(parent) && p.start_time() >= since)
                .map(Process::pid);
            let more: Vec<Pid> = children
                .filter(|pid| *pid != own && !found.contains(pid))
                .collect();
            found.extend(more);
            at += 1;
        }
        found
    })
}

/// Kills what `find` finds until two looks in a row find nothing. Returns how many processes it was.
fn sweep(find: impl Fn(&System) -> Vec<Pid>) -> usize {
    let (mut killed, mut quiet, begun) = (HashSet::new(), 0, Instant::now());
    while quiet < 2 && begun.elapsed() < SWEEP {
        let Ok(mut system) = System::new() else {
            tracing::error!("this system does not list its processes; nothing could be killed");
            break;
        };
        let kind = ProcessRefreshKind::nothing().with_environ(UpdateKind::Always);
        system.refresh_processes_specifics(ProcessesToUpdate::All, true, kind);
        let dead = [sysinfo::ProcessStatus::Zombie, sysinfo::ProcessStatus::Dead];
        let alive = |pid: &Pid| system.process(*pid).filter(|p| !dead.contains(&p.status()));
        let found: Vec<Pid> = find(&system);
        let found: Vec<&Process> = found.iter().filter_map(alive).collect();
        for process in &found {
            process.kill();
            killed.insert((process.pid(), process.start_time()));
        }
        quiet = if found.is_empty() { quiet + 1 } else { 0 };
        if !found.is_empty() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    killed.len()
}

#[cfg(all(test, windows))]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    fn start(cookie: &str) -> Child {
        let mut command = Command::new("cmd");
        command
            .args(["/D", "/C", "ping -n 1000 127.0.0.1"])
            .env("QUEUECTL_COOKIE", cookie)
            .stdout(Stdio::null());
        command.spawn().unwrap()
    }

    #[test]
    fn who_is_marked_is_killed_and_nobody_else() {
        let (mut one, mut two) = (start("sweep-me-1"), start("sweep-me-2"));
        let mut bystander = start("another-1");
        assert!(kill_marked("sweep-me-") >= 2);
        // They would run for longer than anybody waits.
        one.wait().unwrap();
        two.wait().unwrap();
        assert_eq!(bystander.try_wait().unwrap(), None);
        assert_eq!(kill_adopted(&[], ""), 0);
        assert_eq!(bystander.try_wait().unwrap(), None);
        assert!(kill_marked("another-") >= 1);
        bystander.wait().unwrap();
    }
}
