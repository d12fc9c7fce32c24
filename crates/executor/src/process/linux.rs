//! What only Linux offers: being the subreaper of one's descendants, and `/proc` to find those that got away.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::libc;
use nix::unistd::getpgrp;

use super::birthmark::{Birthmark, Pattern};
use super::cgroup::MarkedGroups;
use super::origin::RunOrigin;
use super::procfs::{Environment, Stat, all};
use super::wait_unix::reap;

/// How long the blocking sweeps go on for processes that do not die (in an uninterruptible wait, or not ours to kill).
const SWEEP: Duration = Duration::from_secs(10);
/// Looks at an environment that is never whole (a process may unmap its own) before it counts as it is. Starting a
/// program is over after one or two.
const LOOKS: u32 = 100;

/// Whether all children of this process are its own, or orphans of what it started. Not those of a process that had
/// children before it became this program (`sidecar & exec queuectl ...`), whose orphans come here as well, and not those of
/// the first process of all, which gets everybody's.
static ALONE: OnceLock<bool> = OnceLock::new();

/// Orphans of this process's descendants are handed to this process from now on.
pub(crate) fn become_subreaper() -> io::Result<()> {
    ALONE.get_or_init(|| std::process::id() != 1 && !has_children());
    nix::sys::prctl::set_child_subreaper(true).map_err(Into::into)
}

/// Descendants that left their process group and came to this process as orphans.
pub(crate) struct Orphans {
    /// The main thread's list of children: the kernel hands orphans to the first thread, and the supervisor's own
    /// children are in the list of another.
    children: Option<File>,
    own_group: u32,
    birthmark: Birthmark,
    /// Orphans whose environment could not be seen as a whole, and how often it was tried.
    unsettled: HashMap<(u32, u64), u32>,
    /// Orphans that may not be killed, which was said.
    untouchable: HashSet<(u32, u64)>,
}

impl Orphans {
    pub(crate) fn new(birthmark: Birthmark) -> Orphans {
        let pid = std::process::id();
        // Absent on kernels without CONFIG_PROC_CHILDREN.
        let children = File::open(format!("/proc/{pid}/task/{pid}/children")).ok();
        Orphans {
            children,
            own_group: getpgrp().as_raw().cast_unsigned(),
            birthmark,
            unsettled: HashMap::new(),
            untouchable: HashSet::new(),
        }
    }

    /// Whether a group has living members beside its leader, which ended.
    pub(crate) fn group_lives(leader: u32) -> bool {
        all().any(|stat| stat.group == leader && stat.pid != leader && !stat.is_dead())
    }

    /// Kills the orphans that carry `marks`, and with `unmarked` all others, too. `is_main` tells the main processes of
    /// runs. Returns whether none was left to kill.
    pub(crate) fn sweep(&mut self, origin: RunOrigin, unmarked: bool, is_main: &dyn Fn(u32) -> bool) -> bool {
        if unmarked && !has_children() {
            return true;
        }
        loop {
            let (mut clean, mut reaped) = (true, false);
            for stat in self
                .list()
                .into_iter()
                .filter(|pid| !is_main(*pid))
                .filter_map(Stat::of)
            {
                // What a plugin started itself shares our group. What a job started may have moved there.
                let birth_number = self.birthmark.run_of(stat.pid);
                let foreign = stat.group == self.own_group && birth_number.is_none();
                if stat.is_dead() {
                    reaped |= !foreign && reap(stat.pid);
                    continue;
                }
                // Without others running, whatever carries no or other marks has no living owner.
                let anybodys = unmarked && !foreign;
                let (ours, unsettled) = match birth_number {
                    Some(birth_number) => (birth_number == origin.birth_number || anybodys, false),
                    None => {
                        let environment = Environment::of(stat.pid);
                        (carries(&environment, origin) || anybodys, environment.unsettled)
                    }
                };
                if ours {
                    clean &= !self.kill(&stat);
                }
                if unsettled {
                    let looks = self.unsettled.entry((stat.pid, stat.start)).or_default();
                    *looks += 1;
                    clean &= *looks > LOOKS;
                }
            }
            // What a dead one had started may have come to us after the list was made.
            if !reaped {
                if clean && self.unsettled.len() > 1000 {
                    self.unsettled.clear();
                }
                return clean;
            }
        }
    }

    /// Kills an orphan. Returns whether its end can be waited for.
    fn kill(&mut self, stat: &Stat) -> bool {
        let may = stat.kill();
        if !may && self.untouchable.insert((stat.pid, stat.start)) {
            tracing::error!(
                pid = stat.pid,
                "a job left a process of another user, which cannot be killed"
            );
        }
        may
    }

    fn list(&self) -> Vec<u32> {
        let Some(file) = &self.children else {
            return children_by_parent();
        };
        let mut text = vec![0; 4096];
        let mut len = 0;
        // A positioned read from the start makes the kernel list them afresh.
        while let Ok(n) = file.read_at(&mut text[len..], len as u64) {
            len += n;
            if n == 0 {
                break;
            }
            if len == text.len() {
                text.resize(len * 2, 0);
            }
        }
        let text = String::from_utf8_lossy(&text[..len]);
        text.split_ascii_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect()
    }
}

/// Whether a process belongs to the run with these marks.
pub(super) fn carries(environment: &Environment, origin: RunOrigin) -> bool {
    let fence = origin.fence.to_string();
    [
        ("COOKIE", origin.cookie),
        ("JOB_ID", origin.job),
        ("FENCE", &fence),
    ]
    .into_iter()
    .all(|(name, value)| environment.get(&format!("QUEUECTL_{name}")) == Some(value.as_bytes()))
}

fn has_children() -> bool {
    // SAFETY: all-zero is a valid siginfo_t.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: `info` may be written; no child is waited for for good, and the call does not block.
    unsafe {
        libc::waitid(
            libc::P_ALL,
            0,
            &raw mut info,
            libc::WEXITED | libc::WNOWAIT | libc::WNOHANG,
        ) == 0
    }
}

fn children_by_parent() -> Vec<u32> {
    let own = std::process::id();
    all()
        .filter(|stat| stat.parent == own)
        .map(|stat| stat.pid)
        .collect()
}

/// Kills every child of this process that is not `known`, and theirs as they come to us; where others than jobs' may come,
/// those that carry `mark`. Returns how many.
pub(crate) fn kill_adopted(known: &[u32], mark: &str) -> usize {
    let (own, pattern) = (std::process::id(), Pattern::of(mark));
    let alone = ALONE.get().copied().unwrap_or_default();
    let unknown = |stat: &Stat| {
        let is_child = stat.parent == own && !known.contains(&stat.pid);
        is_child && (alone || carries_cookie(stat.pid, mark, pattern, &Environment::of(stat.pid)))
    };
    sweep("adopted", || (all().filter(unknown).collect(), HashSet::new()))
}

/// Kills every process whose cookie starts with `prefix`, and their descendants. Returns how many.
pub(crate) fn kill_marked(prefix: &str) -> usize {
    let own = std::process::id();
    let (groups, pattern) = (MarkedGroups::find(prefix), Pattern::of(prefix));
    let killed = sweep("marked", || {
        let others: Vec<Stat> = all().filter(|stat| stat.pid != own).collect();
        // Whatever their environment says by now.
        let (mut found, mut unsettled) = (groups.kill(), HashSet::new());
        for stat in &others {
            let environment = Environment::of(stat.pid);
            if environment.unsettled && Stat::of(stat.pid).is_some_and(|now| now.is(stat) && !now.is_dead()) {
                unsettled.insert((stat.pid, stat.start));
            }
            if carries_cookie(stat.pid, prefix, pattern, &environment)
                && found.iter().all(|known| known.pid != stat.pid)
            {
                found.push(*stat);
            }
        }
        let mut at = 0;
        while let Some(parent) = found.get(at).map(|stat| stat.pid) {
            for stat in others.iter().filter(|stat| stat.parent == parent) {
                if found.iter().all(|known| known.pid != stat.pid) {
                    found.push(*stat);
                }
            }
            at += 1;
        }
        (found, unsettled)
    });
    groups.remove();
    killed
}

/// Whether a process carries a mark that begins like that, in its environment or since its birth.
fn carries_cookie(pid: u32, prefix: &str, pattern: Option<Pattern>, environment: &Environment) -> bool {
    let cookie = environment.get("QUEUECTL_COOKIE");
    cookie.is_some_and(|cookie| !prefix.is_empty() && cookie.starts_with(prefix.as_bytes()))
        || pattern.is_some_and(|pattern| pattern.is_on(pid))
}

/// Kills what `find` finds until two looks in a row find nothing alive. `find` also says whose environment could not be
/// seen: a look is over when each of them was seen, or is gone. It is not put off by those that come after it, of which
/// there is always one on a busy machine; the next look is about them. Returns how many processes it was.
fn sweep(what: &str, mut find: impl FnMut() -> (Vec<Stat>, HashSet<(u32, u64)>)) -> usize {
    let (mut killed, mut quiet, begun) = (HashSet::new(), 0, Instant::now());
    let own = std::process::id();
    let (mut unseen, mut tries) = (None::<HashSet<_>>, 0);
    let mut untouchable = HashSet::new();
    while quiet < 2 {
        let (mut alive, mut reaped) = (0, 0);
        let (found, unsettled) = find();
        for stat in found {
            if !stat.is_dead() {
                if stat.kill() {
                    killed.insert((stat.pid, stat.start));
                    alive += 1;
                } else {
                    untouchable.insert((stat.pid, stat.start));
                }
            } else if stat.parent == own {
                reaped += usize::from(reap(stat.pid));
            }
        }
        // What a dead one had started may have come to us after the look.
        let mut left = match unseen.take() {
            Some(earlier) => &earlier & &unsettled,
            None => unsettled,
        };
        tries += 1;
        if tries > LOOKS {
            left.clear();
        }
        if alive + reaped > 0 {
            (quiet, tries) = (0, 0);
        } else if left.is_empty() {
            (quiet, tries) = (quiet + 1, 0);
        } else {
            unseen = Some(left);
        }
        if begun.elapsed() > SWEEP {
            match (alive, &unseen) {
                (0, None) => {}
                (0, Some(left)) => {
                    tracing::error!("the environment of {} processes cannot be seen", left.len())
                }
                _ => tracing::error!(
                    "{alive} {what} processes do not die; they may be in an uninterruptible wait"
                ),
            }
            break;
        }
        if alive > 0 || unseen.is_some() {
            // Dying, or starting another program, takes the kernel a moment.
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    if !untouchable.is_empty() {
        tracing::error!(
            "{} {what} processes are another user's and cannot be killed",
            untouchable.len()
        );
    }
    killed.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// On a busy machine somebody is always just starting a program.
    #[test]
    fn a_sweep_waits_for_those_it_could_not_see_and_not_for_those_that_come_later() {
        let mut looks = 0;
        let sleeping = 7;
        let killed = sweep("marked", || {
            looks += 1;
            // One that takes five looks, and another one each time.
            let slow = (looks <= 5).then_some((sleeping, 0));
            (Vec::new(), slow.into_iter().chain([(100 + looks, 0)]).collect())
        });
        assert_eq!(killed, 0);
        assert_eq!(
            looks, 8,
            "six until the slow one was seen, two for the one that had come since"
        );
    }

    /// One that can never be seen does not keep the others waiting for ever.
    #[test]
    fn a_sweep_gives_up_on_what_cannot_be_seen() {
        let mut looks = 0;
        sweep("marked", || {
            looks += 1;
            (Vec::new(), HashSet::from([(7, 0)]))
        });
        assert_eq!(looks, 2 * (LOOKS + 1));
    }
}
