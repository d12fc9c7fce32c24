//! The folder beside the database file: which nodes live, how they are woken, and which writer is next.
//!
//! A node holds an operating-system lock on `nodes/ID.lock` while it lives; the kernel lets go of it when the node
//! dies, however it dies, so no clock is needed to tell the living from the dead. Its worker processes hold one on
//! `nodes/ID.workers`, for those who cannot see whether these live. `nodes/ID.wake` wakes it.
//! `turn` is the write lock, `next` and `next-user` are the queues for it. `id` is the store's number. `output/` holds long outputs.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use queuectl_core::NodeId;
use queuectl_sys::Draft;

use crate::env::process_scope;
use crate::error::Problem;
use crate::os::{self, WakePipe};
use crate::{Location, StoreError};

pub use self::write_lock::{Lane, WriteLock};
use self::write_lock::{Locks, WRITE_LOCK_MOST, lock_in_time};

pub mod outputs;
mod write_lock;

/// For how long a new node waits for one of a queue that was here before.
const PREDECESSOR_MOST: Duration = Duration::from_secs(5);
const PREDECESSOR_POLL: Duration = Duration::from_millis(20);
#[derive(Clone)]
pub struct StateDir {
    folder: PathBuf,
    locks: Locks,
}

/// Held by a living node; the locks and pipes go when it is dropped or the process ends.
pub struct NodeGuard {
    lock: Option<File>,
    /// What is removed when the guard is dropped.
    paths: Vec<PathBuf>,
}

impl NodeGuard {
    /// Lets go of the lock and leaves its file to whoever tries next.
    pub(crate) fn let_go(mut self) {
        self.paths.clear();
    }

    /// For a node of another machine, which has its lock there.
    pub(crate) fn without_lock() -> NodeGuard {
        NodeGuard {
            lock: None,
            paths: Vec::new(),
        }
    }
}

impl Drop for NodeGuard {
    fn drop(&mut self) {
        // Another queue may have come here, and a node of it may have files of the same names.
        let lock_path = self
            .paths
            .iter()
            .find(|path| path.extension().is_some_and(|kind| kind == "lock"));
        if let (Some(lock), Some(path)) = (&self.lock, lock_path)
            && path.symlink_metadata().is_ok()
            && !os::is_at(lock, path)
        {
            return;
        }
        // What cannot be removed is removed by whoever finds the node gone.
        for path in &self.paths {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Whether the content of a lock is that of the node with this mark, and it is of this machine. Nodes of before wrote their
/// mark alone.
fn is_here(content: &str, cookie: &str) -> bool {
    match content.split_once('\n') {
        Some((mark, place)) => mark == cookie && place == process_scope(),
        None => content == cookie,
    }
}

/// Whether the content of a lock is that of a node of another kernel or namespace of processes. Nodes of before did not
/// say where they were.
fn is_elsewhere(content: &str) -> bool {
    content
        .split_once('\n')
        .is_some_and(|(_, place)| place != process_scope())
}

/// Makes a file, or empties it, for the owner only, whatever the umask is.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    os::open_private(&mut options, path)
}

impl StateDir {
    pub fn new(location: &Location) -> StateDir {
        StateDir {
            folder: location.state_dir(),
            locks: Locks::default(),
        }
    }

    fn node_file(&self, node: NodeId, kind: &str) -> PathBuf {
        self.folder.join("nodes").join(format!("{node}.{kind}"))
    }

    /// Waits for the write lock; see [`write_lock`]. None if this writer goes ahead without it.
    pub fn lock_for_writing(&mut self, lane: Lane) -> Option<WriteLock> {
        self.locks.lock(&self.folder, lane)
    }

    /// Where it is noted which log is the file's.
    pub fn pair_note(&self) -> PathBuf {
        self.folder.join("pair")
    }

    /// Whether the folder is there and this user's own.
    pub fn is_mine(&self) -> bool {
        self.folder
            .symlink_metadata()
            .is_ok_and(|found| os::is_mine(&found))
    }

    /// Refuses a state directory with a folder that is another user's link: what is written there would land where that user
    /// says. Root's links and one's own are followed. A link that takes a folder's place later is not noticed.
    ///
    /// # Errors
    /// [`StoreError::File`] names the link.
    pub fn check_links(&self) -> Result<(), StoreError> {
        for folder in [
            self.folder.clone(),
            self.folder.join("nodes"),
            self.folder.join("output"),
        ] {
            if folder
                .symlink_metadata()
                .is_ok_and(|found| os::is_foreign_link(&found))
            {
                let why =
                    "it is a link of another user, neither of root nor of you; put a folder in its place";
                return Err(StoreError::file("use", folder)(io::Error::other(why)));
            }
        }
        Ok(())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// Whether the folder is there.
    pub fn exists(&self) -> bool {
        self.folder.symlink_metadata().is_ok()
    }

    /// Waits until nobody else is making the file. The lock is gone with what is returned.
    ///
    /// # Errors
    /// [`StoreError::File`]; [`StoreError::Database`] with [`Problem::Busy`] if it takes too long.
    pub fn lock_creation(&self) -> Result<WriteLock, StoreError> {
        os::create_private_dir(&self.folder).map_err(StoreError::file("create the folder", &self.folder))?;
        let path = self.folder.join("create");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = os::open_private(&mut options, &path).map_err(StoreError::file("open", &path))?;
        let file = Arc::new(file);
        if lock_in_time(&file, WRITE_LOCK_MOST) {
            return Ok(WriteLock::of(file));
        }
        Err(StoreError::Database {
            problem: Problem::Busy,
            detail: "another process is making the file".to_owned(),
        })
    }

    /// The store's number, which no other store has, also on another machine under the same path. `fresh` becomes it if
    /// it has none. A copy of the database without this folder is another store.
    pub fn identity(&mut self, fresh: u64) -> Result<u64, StoreError> {
        let path = self.folder.join("id");
        let read = || u64::from_str_radix(std::fs::read_to_string(&path).ok()?.trim(), 16).ok();
        if let Some(known) = read() {
            return Ok(known);
        }
        // Others may be doing the same.
        let _lock = self.lock_for_writing(Lane::User);
        if let Some(known) = read() {
            return Ok(known);
        }
        os::create_private_dir(&self.folder).map_err(StoreError::file("create the folder", &self.folder))?;
        Draft::beside(&path)
            .and_then(|draft| {
                draft.file().write_all(format!("{fresh:016x}\n").as_bytes())?;
                draft.replace()
            })
            .map_err(StoreError::file("write", &path))?;
        Ok(fresh)
    }

    /// Takes the lock of a node that is being registered, and makes its wake-up pipe.
    pub fn enter(&self, node: NodeId, cookie: &str) -> Result<(NodeGuard, WakePipe), StoreError> {
        let mut guard = self.lock(node, cookie)?;
        let workers_path = self.node_file(node, "workers");
        create_private(&workers_path).map_err(StoreError::file("create", &workers_path))?;
        let wake_path = self.node_file(node, "wake");
        let pipe = WakePipe::create(&wake_path).map_err(StoreError::file("create", &wake_path))?;
        guard.paths = vec![wake_path, workers_path, self.node_file(node, "lock")];
        Ok((guard, pipe))
    }

    /// Takes the lock of a node that is being registered. Its file stays when the guard is dropped: that nobody holds
    /// it any more is what tells others that the node is dead. See [`StateDir::forget`].
    pub fn lock(&self, node: NodeId, cookie: &str) -> Result<NodeGuard, StoreError> {
        let nodes = self.folder.join("nodes");
        os::create_private_dir(&nodes).map_err(StoreError::file("create the folder", &nodes))?;
        let lock_path = self.node_file(node, "lock");
        let mut lock = self.take_new_lock(&lock_path)?;
        let whose = format!("{cookie}\n{}", process_scope());
        lock.write_all(whose.as_bytes())
            .map_err(StoreError::file("write", &lock_path))?;
        Ok(NodeGuard {
            lock: Some(lock),
            paths: Vec::new(),
        })
    }

    /// Makes the lock file of a new node and locks it. Only a node of a queue that was here before can hold it: it notices
    /// within a second that its file is gone, and ends when its jobs have.
    fn take_new_lock(&self, path: &Path) -> Result<File, StoreError> {
        let until = Instant::now() + PREDECESSOR_MOST;
        loop {
            let lock = create_private(path).map_err(StoreError::file("create", path))?;
            match lock.try_lock() {
                // Its last owner may have removed it just before we locked it.
                Ok(()) if os::is_at(&lock, path) => return Ok(lock),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) if Instant::now() < until => thread::sleep(PREDECESSOR_POLL),
                Err(TryLockError::WouldBlock) => {
                    let why = "a node of the queue that was here before still runs; stop that process, then start again";
                    return Err(StoreError::file("lock", path)(io::Error::new(
                        io::ErrorKind::WouldBlock,
                        why,
                    )));
                }
                Err(TryLockError::Error(error)) => return Err(StoreError::file("lock", path)(error)),
            }
        }
    }

    /// Removes the files of a node that is no more.
    pub fn forget(&self, node: NodeId) {
        let _ = std::fs::remove_file(self.node_file(node, "lock"));
        let _ = std::fs::remove_file(self.node_file(node, "lease"));
    }

    /// Takes the lock of a node of this machine if its owner is gone; none while the owner lives, and none if the node
    /// is not of this machine, which may share the folder with others: what it left running could not be killed from here.
    /// The mark in the file tells the node from others that had its number in other stores.
    pub fn take_lock(&self, node: NodeId, cookie: &str) -> Result<Option<NodeGuard>, StoreError> {
        let lock_path = self.node_file(node, "lock");
        let mut lock = match File::options().read(true).write(true).open(&lock_path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::file("open", &lock_path)(error)),
        };
        let mut whose = String::new();
        lock.read_to_string(&mut whose)
            .map_err(StoreError::file("read", &lock_path))?;
        if !is_here(&whose, cookie) {
            return Ok(None);
        }
        try_lock(lock, lock_path)
    }

    /// Whether a node is of this machine and its process is gone.
    pub fn is_gone(&self, node: NodeId, cookie: &str) -> Result<bool, StoreError> {
        let whose = std::fs::read_to_string(self.node_file(node, "lock")).unwrap_or_default();
        Ok(!cookie.is_empty() && is_here(&whose, cookie) && !self.lives(node)?)
    }

    /// Takes over the lock of a node if its owner is gone; none while the owner lives. Whoever holds the guard is
    /// the only one to rescue that node's jobs.
    ///
    /// What a node of another container left running cannot be killed from here. Its worker processes end their jobs and
    /// leave when they have lost their dispatcher, so it is taken over when none of them is left.
    pub fn take_over(&self, node: NodeId) -> Result<Option<NodeGuard>, StoreError> {
        let lock_path = self.node_file(node, "lock");
        // Created if it is missing: a store that was copied or restored without its folder has no living nodes.
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let nodes = self.folder.join("nodes");
        os::create_private_dir(&nodes).map_err(StoreError::file("create the folder", &nodes))?;
        let lock = options
            .open(&lock_path)
            .map_err(StoreError::file("open", &lock_path))?;
        let Some(mut guard) = try_lock(lock, lock_path.clone())? else {
            return Ok(None);
        };
        let mut whose = String::new();
        if let Some(lock) = &mut guard.lock {
            lock.read_to_string(&mut whose)
                .map_err(StoreError::file("read", &lock_path))?;
        }
        // Several hold that one at the same time, so only an exclusive lock shows that none does.
        if is_elsewhere(&whose) && self.is_held(node, "workers", File::try_lock)? {
            guard.let_go();
            return Ok(None);
        }
        guard
            .paths
            .extend(["wake", "workers"].map(|kind| self.node_file(node, kind)));
        Ok(Some(guard))
    }

    /// Whether a node holds its lock. Asks for a shared lock, for a moment: several may look at the same time, and
    /// unlike a take-over nothing is created or removed.
    pub fn lives(&self, node: NodeId) -> Result<bool, StoreError> {
        self.is_held(node, "lock", File::try_lock_shared)
    }

    /// Whether anybody holds that lock of a node, so that `ask` gets none.
    fn is_held(
        &self,
        node: NodeId,
        kind: &str,
        ask: fn(&File) -> Result<(), TryLockError>,
    ) -> Result<bool, StoreError> {
        let lock_path = self.node_file(node, kind);
        let lock = match File::open(&lock_path) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(StoreError::file("open", &lock_path)(error)),
        };
        match ask(&lock) {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => Err(StoreError::file("lock", &lock_path)(error)),
        }
    }

    /// Wakes every node of this store.
    pub fn wake_all(&self) {
        let Ok(entries) = std::fs::read_dir(self.folder.join("nodes")) else {
            return;
        };
        for entry in entries.flatten() {
            if entry.path().extension().is_some_and(|kind| kind == "wake") {
                os::wake(&entry.path());
            }
        }
    }
}

fn try_lock(lock: File, path: PathBuf) -> Result<Option<NodeGuard>, StoreError> {
    match lock.try_lock() {
        Ok(()) => Ok(Some(NodeGuard {
            lock: Some(lock),
            paths: vec![path],
        })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(StoreError::file("lock", &path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two containers may share a file. What the dead node of one left running cannot be killed from the other.
    #[test]
    fn a_node_of_another_container_is_taken_over_when_its_worker_processes_are_gone() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = StateDir::new(&Location::Sqlite(folder.path().join("queue.db")));
        let node = NodeId(7);
        let takes = || {
            state_dir
                .take_over(node)
                .unwrap()
                .map(NodeGuard::let_go)
                .is_some()
        };
        let (guard, _pipe) = state_dir.enter(node, "mark").unwrap();
        let workers = || {
            let file = File::open(state_dir.node_file(node, "workers")).unwrap();
            file.try_lock_shared().unwrap();
            file
        };
        let held = [workers(), workers()];
        assert!(!takes(), "it lives");
        guard.let_go();
        assert!(takes(), "its worker processes can be killed from here");
        std::fs::write(state_dir.node_file(node, "lock"), "mark\nelsewhere").unwrap();
        assert!(!takes());
        let [first, second] = held;
        drop(first);
        assert!(!takes(), "one is left");
        drop(second);
        assert!(takes());
    }

    /// Two machines may share a folder, as a home on a network. A lock that is free says nothing of what runs elsewhere.
    #[test]
    fn only_a_node_of_this_machine_is_known_to_be_gone() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = StateDir::new(&Location::Sqlite(folder.path().join("queue.db")));
        let node = NodeId(7);
        let path = state_dir.node_file(node, "lock");
        let looks = |mark| {
            let taken = state_dir.take_lock(node, mark).unwrap();
            let taken = taken.map(NodeGuard::let_go).is_some();
            (state_dir.is_gone(node, mark).unwrap(), taken)
        };
        let guard = state_dir.lock(node, "mark").unwrap();
        let content = std::fs::read_to_string(&path).unwrap();
        assert_eq!(looks("mark"), (false, false), "it lives");
        drop(guard);
        assert_eq!(looks("mark"), (true, true));
        assert_eq!(looks("another"), (false, false));
        std::fs::write(&path, format!("{content}.")).unwrap();
        assert_eq!(looks("mark"), (false, false), "it is of another machine");
        std::fs::write(&path, "mark").unwrap();
        assert_eq!(
            looks("mark"),
            (true, true),
            "of a version that did not say where it was"
        );
    }

    /// Somebody else's link would have this user write where that one says.
    #[cfg(unix)]
    #[test]
    fn links_of_other_users_are_refused_and_ones_own_are_followed() {
        let test = "links_of_other_users_are_refused_and_ones_own_are_followed";
        if !nix::unistd::geteuid().is_root() {
            queuectl_testkit::skipped(test, "only root can make another user's link");
            return;
        }
        for name in ["", "nodes", "output"] {
            let folder = tempfile::tempdir().unwrap();
            let state_dir = StateDir::new(&Location::Sqlite(folder.path().join("queue.db")));
            let elsewhere = folder.path().join("elsewhere");
            std::fs::create_dir(&elsewhere).unwrap();
            let link = match name {
                "" => state_dir.path().to_owned(),
                name => {
                    std::fs::create_dir(state_dir.path()).unwrap();
                    state_dir.path().join(name)
                }
            };
            std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
            assert!(state_dir.check_links().is_ok(), "one's own '{name}'");
            std::os::unix::fs::lchown(&link, Some(65534), None).unwrap();
            let refused = state_dir.check_links().unwrap_err().to_string();
            assert!(refused.contains(&link.display().to_string()), "{refused}");
            assert!(refused.contains("a link of another user"), "{refused}");
        }
    }
}
