//! Control groups (version 2): limits that hold for all processes of a run together.
//!
//! Runs that ask for such a limit get a group each, below the group of the node. There has to be one in which the node
//! may make groups: that of a service with `Delegate=yes`, say. Nothing here falls back to running without the limit.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use super::origin::RunOrigin;
use super::procfs::Stat;
use crate::os::error_text;

/// How the groups of runs are called, before the cookie.
const PREFIX: &str = "queuectl.";
/// The group into which the node's own processes move: one that has processes cannot pass its controllers on.
const NODE: &str = "queuectl-node";
/// Times that processes are moved out of the way, should new ones appear.
const MOVES: u32 = 100;

/// The group of one run. It is removed when this is dropped, if it is empty.
pub(crate) struct Group {
    path: PathBuf,
    /// How the names of all groups of this worker process begin.
    stem: String,
    memory: Option<u64>,
    pids: Option<u64>,
}

impl Group {
    /// Makes a group with these limits for a run.
    ///
    /// # Errors
    /// Why that cannot be done here, in words.
    pub(crate) fn create(origin: RunOrigin, memory: Option<u64>, pids: Option<u64>) -> Result<Group, String> {
        let wanted = [("memory", memory.is_some()), ("pids", pids.is_some())];
        let wanted: Vec<&str> = wanted
            .iter()
            .filter(|(_, wanted)| *wanted)
            .map(|(name, _)| *name)
            .collect();
        let cannot = |why: String| {
            let what = if memory.is_some() { "memory" } else { "processes" };
            format!("its limit of {what} needs a control group (cgroup v2), and {why}")
        };
        let base = Tree::of_this_process()
            .and_then(|tree| tree.base(&wanted))
            .map_err(cannot)?;
        let stem = file_name(origin.cookie);
        let path = base.join(format!("{stem}{}-{}", part(origin.job), origin.fence));
        let failed = |what: &str, error: &io::Error| {
            cannot(format!("{what} {} failed: {}", path.display(), error_text(error)))
        };
        fs::create_dir(&path).map_err(|error| failed("making", &error))?;
        let group = Group {
            path: path.clone(),
            stem,
            memory,
            pids,
        };
        let set = |file: &str, value: &str| fs::write(group.path.join(file), value);
        if let Some(bytes) = memory {
            set("memory.max", &bytes.to_string())
                .map_err(|error| failed("limiting the memory of", &error))?;
            // Absent where the kernel does not count it.
            let _ = set("memory.swap.max", "0");
            // A job that lost one of its processes could go on and do half of its work.
            let _ = set("memory.oom.group", "1");
        }
        if let Some(most) = pids {
            set("pids.max", &most.to_string())
                .map_err(|error| failed("limiting the processes of", &error))?;
        }
        Ok(group)
    }

    /// Where a process writes `0` to become a member.
    pub(super) fn entrance(&self) -> Result<OwnedFd, String> {
        let list = OpenOptions::new()
            .write(true)
            .open(self.path.join("cgroup.procs"));
        list.map(OwnedFd::from).map_err(|error| {
            format!(
                "the control group {} cannot be entered: {}",
                self.path.display(),
                error_text(&error)
            )
        })
    }

    /// Kills every member at once.
    pub(super) fn kill(&self) {
        kill(&self.path);
    }

    /// Suspends every member, and whatever they would start. False where the kernel cannot do that.
    pub(super) fn freeze(&self) -> bool {
        fs::write(self.path.join("cgroup.freeze"), "1").is_ok()
    }

    /// Undoes [`Self::freeze`].
    pub(super) fn thaw(&self) {
        if let Err(error) = fs::write(self.path.join("cgroup.freeze"), "0") {
            tracing::error!(%error, group = %self.path.display(), "cannot resume the processes of a control group");
        }
    }

    /// Whether no member is alive.
    pub(super) fn is_empty(&self) -> bool {
        number(&self.path, "cgroup.events", "populated ").unwrap_or(0) == 0
    }

    /// Which limit the run hit, if it did.
    pub(super) fn limit_hit(&self) -> Option<String> {
        let count = |file, event| number(&self.path, file, event).unwrap_or(0);
        match (self.memory, self.pids) {
            (Some(bytes), _) if count("memory.events", "oom_kill ") > 0 => {
                Some(format!("out of memory, its limit is {}", size(bytes)))
            }
            (_, Some(most)) if count("pids.events", "max ") > 0 => {
                Some(format!("its limit of {most} processes was reached"))
            }
            _ => None,
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
        // Also those of earlier runs whose processes were left and have ended since.
        for path in self
            .path
            .parent()
            .into_iter()
            .flat_map(below)
            .filter(|path| named(path, &self.stem))
        {
            let _ = fs::remove_dir(path);
        }
    }
}

/// A text as part of a folder's name. No name of a job has the sign in it that stands for a slash, so no two become one.
fn part(text: &str) -> String {
    text.replace('/', "%")
}

/// The name of a group's folder.
fn file_name(name: &str) -> String {
    format!("{PREFIX}{}", part(name))
}

fn named(path: &Path, start: &str) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(start))
}

fn below(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
}

fn members(group: &Path) -> Vec<u32> {
    let list = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    list.lines().filter_map(|line| line.parse().ok()).collect()
}

fn kill(group: &Path) {
    // Kernels before 5.14 have no such file.
    if fs::write(group.join("cgroup.kill"), "1").is_err() {
        members(group)
            .into_iter()
            .filter_map(Stat::of)
            .for_each(|stat| _ = stat.kill());
    }
}

/// The number after a word in a file of such lines.
fn number(group: &Path, file: &str, word: &str) -> Option<u64> {
    let text = fs::read_to_string(group.join(file)).ok()?;
    text.lines()
        .find_map(|line| line.strip_prefix(word)?.trim().parse().ok())
}

fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    match units
        .iter()
        .find(|(shift, _)| bytes >= 1 << shift && bytes.is_multiple_of(1 << shift))
    {
        Some((shift, unit)) => format!("{} {unit}", bytes >> shift),
        None => format!("{bytes} bytes"),
    }
}

/// Every run's group whose cookie begins like that, on the whole machine.
pub(super) struct MarkedGroups(Vec<PathBuf>);

impl MarkedGroups {
    pub(super) fn find(cookie: &str) -> MarkedGroups {
        let (mut found, start) = (Vec::new(), file_name(cookie));
        let mut folders: Vec<PathBuf> = mount_point().into_iter().map(|(point, _)| point).collect();
        while let Some(folder) = folders.pop() {
            let (marked, others): (Vec<_>, Vec<_>) = below(&folder).partition(|path| named(path, &start));
            found.extend(marked);
            folders.extend(others);
        }
        MarkedGroups(found)
    }

    /// Kills all members, and says who they were.
    pub(super) fn kill(&self) -> Vec<Stat> {
        let seen: Vec<Stat> = self
            .0
            .iter()
            .flat_map(|group| members(group))
            .filter_map(Stat::of)
            .collect();
        if !seen.is_empty() {
            self.0.iter().for_each(|group| kill(group));
        }
        seen
    }

    /// Removes those that are empty.
    pub(super) fn remove(&self) {
        for group in &self.0 {
            let _ = fs::remove_dir(group);
        }
    }
}

/// Where control groups of version 2 are mounted, and which of them is the root of that mount.
fn mount_point() -> Option<(PathBuf, PathBuf)> {
    parse_mounts(&fs::read_to_string("/proc/self/mountinfo").ok()?)
}

fn parse_mounts(text: &str) -> Option<(PathBuf, PathBuf)> {
    text.lines().find_map(|line| {
        let (mount, kind) = line.split_once(" - ")?;
        if kind.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        let root = fields.next()?;
        // Blanks are written as octal numbers; no system mounts this in such a place.
        Some((PathBuf::from(fields.next()?), PathBuf::from(root)))
    })
}

/// The group of this process, and who belongs to the node.
struct Tree {
    own: PathBuf,
}

impl Tree {
    fn of_this_process() -> Result<Tree, String> {
        let (point, root) = mount_point().ok_or("none are mounted on this machine")?;
        let text = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = text
            .lines()
            .find_map(|line| line.strip_prefix("0::"))
            .ok_or("this process is in none")?;
        let inside = Path::new(own)
            .strip_prefix(&root)
            .map_err(|_| format!("that of the node, {own}, cannot be seen here"))?;
        Ok(Tree {
            own: point.join(inside),
        })
    }

    /// The group in which runs get theirs, with these controllers passed on.
    fn base(&self, wanted: &[&str]) -> Result<PathBuf, String> {
        let base = if self.own.ends_with(NODE) {
            self.own.parent().unwrap_or(&self.own)
        } else {
            &self.own
        };
        let words = |file: &str| fs::read_to_string(base.join(file)).unwrap_or_default();
        let shown = base.display();
        let there = words("cgroup.controllers");
        if let Some(missing) = wanted
            .iter()
            .find(|name| !there.split_whitespace().any(|word| word == **name))
        {
            return Err(format!("the controller '{missing}' is not there in {shown}"));
        }
        let ask: Vec<String> = wanted.iter().map(|name| format!("+{name}")).collect();
        // The root of all groups is the only one that has both processes and groups with limits below it.
        let is_root = !base.join("cgroup.type").exists();
        for _ in 0..MOVES {
            // As long as there are processes in it, `memory` is refused, and `pids` comes in a form that no group of a
            // run can use.
            if !is_root && !members(base).is_empty() {
                make_room(base)?;
                continue;
            }
            let passed = words("cgroup.subtree_control");
            if wanted
                .iter()
                .all(|name| passed.split_whitespace().any(|word| word == *name))
            {
                return Ok(base.to_owned());
            }
            match fs::write(base.join("cgroup.subtree_control"), ask.join(" ")) {
                Err(error) if error.kind() != ErrorKind::ResourceBusy => {
                    return Err(format!(
                        "the node may not use {shown}: {}; run it as a service with Delegate=yes",
                        error_text(&error)
                    ));
                }
                // Looked at once more: a process may have come in between.
                _ => {}
            }
        }
        Err(format!("processes keep coming into {shown}"))
    }
}

/// Moves the processes of a node out of its own group, into one below it.
fn make_room(base: &Path) -> Result<(), String> {
    let top = top_of_node();
    let foreign = |pid: &u32| Stat::of(*pid).is_some_and(|stat| !stat.is_dead() && !descends(stat, top));
    let processes = members(base);
    if let Some(other) = processes.iter().find(|pid| foreign(pid)) {
        return Err(format!(
            "that of the node, {}, is also that of others (process {other}); run the node as a service of its own with \
             Delegate=yes",
            base.display()
        ));
    }
    let room = base.join(NODE);
    let failed = |error: &io::Error| {
        format!(
            "the node may not use {}: {}; run it as a service with Delegate=yes",
            room.display(),
            error_text(error)
        )
    };
    match fs::create_dir(&room) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(failed(&error)),
        _ => {}
    }
    let mut list = File::options()
        .write(true)
        .open(room.join("cgroup.procs"))
        .map_err(|error| failed(&error))?;
    for pid in processes {
        match list.write_all(pid.to_string().as_bytes()) {
            // It has ended since.
            Err(error) if error.raw_os_error() == Some(nix::libc::ESRCH) => {}
            other => other.map_err(|error| failed(&error))?,
        }
    }
    Ok(())
}

/// The first process of the node: our parent, if that is the same program, else ourselves.
fn top_of_node() -> u32 {
    let program = |pid: u32| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let (own, parent) = (std::process::id(), std::os::unix::process::parent_id());
    if program(own).is_some() && program(own) == program(parent) {
        parent
    } else {
        own
    }
}

/// Whether a process is `top` or comes from it.
fn descends(mut stat: Stat, top: u32) -> bool {
    // Chains are short; one that changes while it is followed could have no end.
    for _ in 0..1000 {
        if stat.pid == top {
            return true;
        }
        match Stat::of(stat.parent) {
            Some(parent) => stat = parent,
            None => return false,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_of_similar_names_have_groups_of_their_own() {
        assert_ne!(part("a/b"), part("a_b"));
        assert!(!part("a/b/c").contains('/'));
    }

    #[test]
    fn the_mount_is_found_among_others() {
        let text = "\
24 31 0:22 / /proc rw,nosuid - proc proc rw
32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
41 31 0:38 /a/b /sys/fs/cgroup/unified rw,relatime shared:7 - cgroup2 cgroup2 rw
";
        let (point, root) = parse_mounts(text).unwrap();
        assert_eq!((point, root), ("/sys/fs/cgroup/unified".into(), "/a/b".into()));
        assert_eq!(parse_mounts("32 31 0:29 / /x rw - cgroup cgroup rw,cpu"), None);
    }

    #[test]
    fn numbers_are_read_by_their_word() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(
            folder.path().join("memory.events"),
            "oom 3\noom_kill 2\noom_group_kill 1\n",
        )
        .unwrap();
        assert_eq!(number(folder.path(), "memory.events", "oom_kill "), Some(2));
        assert_eq!(number(folder.path(), "memory.events", "max "), None);
        assert_eq!(number(folder.path(), "absent", "oom "), None);
    }

    #[test]
    fn sizes_read_well() {
        assert_eq!(
            [size(64 << 20), size(1 << 30), size(1000)],
            ["64 MiB", "1 GiB", "1000 bytes"]
        );
    }

    #[test]
    fn our_own_processes_are_told_from_others() {
        let (own, parent) = (std::process::id(), std::os::unix::process::parent_id());
        assert!(descends(Stat::of(own).unwrap(), parent));
        assert!(!descends(Stat::of(parent).unwrap(), own));
        assert!(!descends(Stat::of(1).unwrap(), own));
    }

    #[test]
    fn a_cookie_makes_one_folder() {
        assert_eq!(file_name("a/b.1"), "queuectl.a%b.1");
        assert!(named(Path::new("/x/queuectl.a.1.2"), &file_name("a.1.")));
        assert!(!named(Path::new("/x/queuectl.a.12.2"), &file_name("a.1.")));
    }
}
