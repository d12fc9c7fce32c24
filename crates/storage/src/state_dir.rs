//! The folder beside the database file: which nodes live, how they are woken, and which writer is next.
//!
//! A node holds an operating-system lock on `nodes/ID.lock` while it lives; the kernel lets go of it when the node
//! dies, however it dies, so no clock is needed to tell the living from the dead. Its worker processes hold one on
//! `nodes/ID.workers`, for those who cannot see whether these live. `nodes/ID.wake` wakes it.
//! `turn` is the write lock, `next` and `next-user` are the queues for it. `id` is the store's number. `output/` holds long outputs.
//!
//! The queue may be another user's, who can put a link in place of any name here at any time. So every use walks to its folder
//! by descriptor ([`Folder`]), and files are not opened by way of links.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use queuectl_core::NodeId;
use queuectl_sys::folder::open_file;
use queuectl_sys::{Access, Folder};

use crate::env::process_scope;
use crate::error::Problem;
use crate::os::{self, WakePipe};
use crate::{Location, StoreError};

pub use self::write_lock::{Lane, WriteLock};
use self::write_lock::{Locks, WRITE_LOCK_MOST, lock_in_time};

mod left;
#[cfg(test)]
#[cfg(unix)]
mod links;
pub mod outputs;
mod write_lock;

/// The note of which log belongs to the database file.
const PAIR_NOTE: &str = "pair";

/// For how long a new node waits for one of a queue that was here before.
const PREDECESSOR_MOST: Duration = Duration::from_secs(5);
const PREDECESSOR_POLL: Duration = Duration::from_millis(20);

/// How many names of the state directory's path are looked at: its own. In folders in it, each name more is one more.
const STATE_DIR: usize = 1;
const IN_STATE_DIR: usize = STATE_DIR + 1;

#[derive(Clone)]
pub struct StateDir {
    folder: PathBuf,
    locks: Locks,
}

/// Held by a living node; the locks and pipes go when it is dropped or the process ends.
pub struct NodeGuard {
    lock: Option<File>,
    nodes: PathBuf,
    /// What is removed there when the guard is dropped.
    files: Vec<String>,
}

impl NodeGuard {
    /// Releases the lock and leaves its file for the next node that tries.
    pub(crate) fn let_go(mut self) {
        self.files.clear();
    }

    /// For a node of another machine, which has its lock there.
    pub(crate) fn without_lock() -> NodeGuard {
        NodeGuard {
            lock: None,
            nodes: PathBuf::new(),
            files: Vec::new(),
        }
    }
}

impl Drop for NodeGuard {
    fn drop(&mut self) {
        if self.files.is_empty() {
            return;
        }
        // What cannot be removed here is removed by the process that finds the node gone.
        let Ok(nodes) = Folder::open(&self.nodes, IN_STATE_DIR) else {
            return;
        };
        // Another queue may have come here, and a node of it may have files of the same names.
        let lock_name = self.files.iter().find(|name| name.ends_with(".lock"));
        if let (Some(lock), Some(name)) = (&self.lock, lock_name)
            && nodes.has(name)
            && !nodes.holds(lock, name)
        {
            return;
        }
        for name in &self.files {
            let _ = nodes.remove(name);
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

impl StateDir {
    pub fn new(location: &Location) -> StateDir {
        StateDir {
            folder: location.state_dir(),
            locks: Locks::default(),
        }
    }

    fn nodes_path(&self) -> PathBuf {
        self.folder.join("nodes")
    }

    /// The folder of the nodes' files; none if there is none.
    fn nodes(&self) -> Result<Option<Folder>, StoreError> {
        let path = self.nodes_path();
        match Folder::open(&path, IN_STATE_DIR) {
            Ok(nodes) => Ok(Some(nodes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::file("open", path)(error)),
        }
    }

    /// The same; it is made if there is none.
    fn make_nodes(&self) -> Result<Folder, StoreError> {
        let path = self.nodes_path();
        os::make_folder(&path, IN_STATE_DIR).map_err(StoreError::file("create the folder", path))
    }

    /// Opens the folder itself, and makes it if it is missing.
    pub fn make(&self) -> Result<Folder, StoreError> {
        os::make_folder(&self.folder, STATE_DIR).map_err(StoreError::file("create the folder", &self.folder))
    }

    /// Waits for the write lock; see [`write_lock`]. None if this writer goes ahead without it.
    pub fn lock_for_writing(&mut self, lane: Lane) -> Option<WriteLock> {
        self.locks.lock(&self.folder, lane)
    }

    /// The note of which log is the file's; none if it cannot be read.
    pub fn pair_note(&self) -> Option<String> {
        let folder = Folder::open(&self.folder, STATE_DIR).ok()?;
        io::read_to_string(folder.file(PAIR_NOTE, Access::Read).ok()?).ok()
    }

    /// Writes that note, in a folder that is there and this user's own.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write_pair_note(&self, note: &str) -> io::Result<()> {
        match Folder::open(&self.folder, STATE_DIR) {
            Ok(folder) if folder.is_own() => folder.replace_lightly(PAIR_NOTE, note.as_bytes()),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Refuses a state directory with a folder that is another user's link: what is written there would land where that user
    /// says. Root's links and one's own are followed. This is for the message: each later use looks again.
    ///
    /// # Errors
    /// [`StoreError::File`] names the link.
    pub fn check_links(&self) -> Result<(), StoreError> {
        let folders = [
            (None, STATE_DIR),
            (Some("nodes"), IN_STATE_DIR),
            (Some("output"), IN_STATE_DIR),
        ];
        for (name, steps) in folders {
            let path = name.map_or_else(|| self.folder.clone(), |name| self.folder.join(name));
            let is_link = path.symlink_metadata().is_ok_and(|found| found.is_symlink());
            if is_link && let Err(error) = Folder::open(&path, steps) {
                return Err(StoreError::file("use", path)(error));
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

    /// Waits until no other process is making the file. The lock is gone with what is returned.
    ///
    /// # Errors
    /// [`StoreError::File`]; [`StoreError::Database`] with [`Problem::Busy`] if it takes too long.
    pub fn lock_creation(&self) -> Result<WriteLock, StoreError> {
        let file = os::open_in(&self.make()?, "create", Access::Make)
            .map_err(StoreError::file("open", self.folder.join("create")))?;
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
        let folder = self.folder.clone();
        let read = || {
            let folder = Folder::open(&folder, STATE_DIR).ok()?;
            let text = io::read_to_string(folder.file("id", Access::Read).ok()?).ok()?;
            u64::from_str_radix(text.trim(), 16).ok()
        };
        if let Some(known) = read() {
            return Ok(known);
        }
        // Others may be doing the same.
        let _lock = self.lock_for_writing(Lane::User);
        if let Some(known) = read() {
            return Ok(known);
        }
        self.make()?
            .replace("id", format!("{fresh:016x}\n").as_bytes())
            .map_err(StoreError::file("write", self.folder.join("id")))?;
        Ok(fresh)
    }

    /// Takes the lock of a node that is being registered, and makes its wake-up pipe.
    pub fn enter(&self, node: NodeId, cookie: &str) -> Result<(NodeGuard, WakePipe), StoreError> {
        let mut guard = self.lock(node, cookie)?;
        let nodes = self.make_nodes()?;
        let [workers, wake] = ["workers", "wake"].map(|kind| name_of(node, kind));
        os::open_in(&nodes, &workers, Access::MakeEmpty)
            .map_err(StoreError::file("create", nodes.path().join(&workers)))?;
        let pipe =
            WakePipe::create(&nodes, &wake).map_err(StoreError::file("create", nodes.path().join(&wake)))?;
        guard.files = vec![wake, workers, name_of(node, "lock")];
        Ok((guard, pipe))
    }

    /// Takes the lock of a node that is being registered. Its file stays when the guard is dropped: that no process holds
    /// it any more is what tells others that the node is dead. See [`StateDir::forget`].
    pub fn lock(&self, node: NodeId, cookie: &str) -> Result<NodeGuard, StoreError> {
        let nodes = self.make_nodes()?;
        let name = name_of(node, "lock");
        let mut lock = take_new_lock(&nodes, &name)?;
        let whose = format!("{cookie}\n{}", process_scope());
        lock.write_all(whose.as_bytes())
            .map_err(StoreError::file("write", nodes.path().join(name)))?;
        Ok(NodeGuard {
            lock: Some(lock),
            nodes: self.nodes_path(),
            files: Vec::new(),
        })
    }

    /// Removes the files of a node that is no more.
    pub fn forget(&self, node: NodeId) {
        if let Ok(Some(nodes)) = self.nodes() {
            let _ = nodes.remove(&name_of(node, "lock"));
            let _ = nodes.remove(&name_of(node, "lease"));
        }
    }

    /// Takes the lock of a node of this machine if its owner is gone; none while the owner lives, and none if the node
    /// is not of this machine, which may share the folder with others: what it left running could not be killed from here.
    /// The mark in the file tells the node from others that had its number in other stores.
    pub fn take_lock(&self, node: NodeId, cookie: &str) -> Result<Option<NodeGuard>, StoreError> {
        let Some(mut lock) = self.open_file(node, "lock", Access::Write)? else {
            return Ok(None);
        };
        let mut whose = String::new();
        lock.read_to_string(&mut whose)
            .map_err(StoreError::file("read", self.file_path(node, "lock")))?;
        if !is_here(&whose, cookie) {
            return Ok(None);
        }
        self.try_lock(node, lock)
    }

    /// Whether a node is of this machine and its process is gone.
    pub fn is_gone(&self, node: NodeId, cookie: &str) -> Result<bool, StoreError> {
        let lock = self.open_file(node, "lock", Access::Read).ok().flatten();
        let whose = lock
            .and_then(|lock| io::read_to_string(lock).ok())
            .unwrap_or_default();
        Ok(!cookie.is_empty() && is_here(&whose, cookie) && !self.lives(node)?)
    }

    /// Takes over the lock of a node if its owner is gone; none while the owner lives. The holder of the guard is
    /// the only one to rescue that node's jobs.
    ///
    /// What a node of another container left running cannot be killed from here. Its worker processes end their jobs and
    /// leave when they have lost their dispatcher, so it is taken over when none of them is left.
    pub fn take_over(&self, node: NodeId) -> Result<Option<NodeGuard>, StoreError> {
        let nodes = self.make_nodes()?;
        // Created if it is missing: a store that was copied or restored without its folder has no living nodes.
        let lock = os::open_in(&nodes, &name_of(node, "lock"), Access::Make)
            .map_err(StoreError::file("open", self.file_path(node, "lock")))?;
        let Some(mut guard) = self.try_lock(node, lock)? else {
            return Ok(None);
        };
        let mut whose = String::new();
        if let Some(lock) = &mut guard.lock {
            lock.read_to_string(&mut whose)
                .map_err(StoreError::file("read", self.file_path(node, "lock")))?;
        }
        // Several hold that one at the same time, so only an exclusive lock shows that none does.
        if is_elsewhere(&whose) && self.is_held(node, "workers", File::try_lock)? {
            guard.let_go();
            return Ok(None);
        }
        // The lock keeps a new node of that number out until the others are removed.
        guard.files = ["wake", "workers", "lock"]
            .map(|kind| name_of(node, kind))
            .to_vec();
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
        let Some(lock) = self.open_file(node, kind, Access::Read)? else {
            return Ok(false);
        };
        match ask(&lock) {
            Ok(()) => Ok(false),
            Err(TryLockError::WouldBlock) => Ok(true),
            Err(TryLockError::Error(error)) => {
                Err(StoreError::file("lock", self.file_path(node, kind))(error))
            }
        }
    }

    /// The path of a node's file, for messages.
    fn file_path(&self, node: NodeId, kind: &str) -> PathBuf {
        self.nodes_path().join(name_of(node, kind))
    }

    /// Opens a node's file; none if there is none.
    fn open_file(&self, node: NodeId, kind: &str, access: Access) -> Result<Option<File>, StoreError> {
        let Some(nodes) = self.nodes()? else {
            return Ok(None);
        };
        match nodes.file(&name_of(node, kind), access) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::file("open", self.file_path(node, kind))(error)),
        }
    }

    /// Takes a node's lock, if no process holds it.
    fn try_lock(&self, node: NodeId, lock: File) -> Result<Option<NodeGuard>, StoreError> {
        match lock.try_lock() {
            Ok(()) => Ok(Some(NodeGuard {
                lock: Some(lock),
                nodes: self.nodes_path(),
                files: vec![name_of(node, "lock")],
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => {
                Err(StoreError::file("lock", self.file_path(node, "lock"))(error))
            }
        }
    }

    /// Wakes every node of this store.
    pub fn wake_all(&self) {
        let Ok(Some(nodes)) = self.nodes() else {
            return;
        };
        for name in nodes.names().unwrap_or_default() {
            if let Some(name) = name.to_str()
                && name.ends_with(".wake")
            {
                os::wake(&nodes, name);
            }
        }
    }
}

/// Opens the file that [`Location::workers_lock`] names, to lock it.
///
/// # Errors
/// There is none, or it cannot be opened.
pub fn open_workers_lock(path: &Path) -> io::Result<File> {
    open_file(path, IN_STATE_DIR, Access::Read)
}

/// The name of a node's file.
fn name_of(node: NodeId, kind: &str) -> String {
    format!("{node}.{kind}")
}

/// Makes the lock file of a new node and locks it. Only a node of a queue that was here before can hold it: it notices
/// within a second that its file is gone, and ends when its jobs have.
fn take_new_lock(nodes: &Folder, name: &str) -> Result<File, StoreError> {
    let until = Instant::now() + PREDECESSOR_MOST;
    let path = nodes.path().join(name);
    loop {
        let lock = os::open_in(nodes, name, Access::MakeEmpty).map_err(StoreError::file("create", &path))?;
        match lock.try_lock() {
            // Its last owner may have removed it just before we locked it.
            Ok(()) if nodes.holds(&lock, name) => return Ok(lock),
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
            let file = File::open(state_dir.file_path(node, "workers")).unwrap();
            file.try_lock_shared().unwrap();
            file
        };
        let held = [workers(), workers()];
        assert!(!takes(), "it lives");
        guard.let_go();
        assert!(takes(), "its worker processes can be killed from here");
        std::fs::write(state_dir.file_path(node, "lock"), "mark\nelsewhere").unwrap();
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
        let path = state_dir.file_path(node, "lock");
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
}
