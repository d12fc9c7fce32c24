//! Files of nodes that are no more. A node's files go with it, or with the process that rescues its jobs; one that is killed
//! between the commit that removes the node and the removal of the files leaves them.
//!
//! Files that are younger than some minutes stay: their node may be entering, and is in the store when it has committed.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::time::Duration;

use queuectl_core::NodeId;
use queuectl_sys::Folder;

use super::{StateDir, name_of};

/// How old files are that are removed.
const LEAST_AGE: Duration = Duration::from_secs(600);

/// What a node has there, in the order in which it is removed: the lock keeps others out until the end.
const KINDS: [&str; 4] = ["wake", "workers", "lease", "lock"];

impl StateDir {
    /// Removes old files of nodes other than these, unless a process still holds one of their locks.
    pub fn remove_left(&self, known: &[NodeId]) {
        let Ok(Some(nodes)) = self.nodes() else { return };
        for node in old(&nodes).into_iter().filter(|node| !known.contains(node)) {
            // Also makes the lock, if that is gone and other files are there.
            let Ok(Some(guard)) = self.take_over(node) else {
                continue;
            };
            if !self.is_held(node, "workers", File::try_lock).unwrap_or(true) {
                for kind in KINDS {
                    let _ = nodes.remove(&name_of(node, kind));
                }
            }
            guard.let_go();
        }
    }
}

/// The nodes of which all files are old.
fn old(nodes: &Folder) -> Vec<NodeId> {
    let mut found = BTreeMap::new();
    for name in nodes.names().unwrap_or_default() {
        let parts = name.to_str().and_then(|name| name.split_once('.'));
        let Some((number, kind)) = parts else { continue };
        let Ok(number) = number.parse::<i64>() else {
            continue;
        };
        if KINDS.contains(&kind) {
            let is_old = age(nodes, &name_of(NodeId(number), kind)).is_some_and(|age| age > LEAST_AGE);
            *found.entry(number).or_insert(true) &= is_old;
        }
    }
    let old = found.into_iter().filter(|(_, is_old)| *is_old);
    old.map(|(number, _)| NodeId(number)).collect()
}

/// How long ago a file was written; none if that is not known.
fn age(nodes: &Folder, name: &str) -> Option<Duration> {
    let found = fs::symlink_metadata(nodes.path().join(name)).ok()?;
    found.modified().ok()?.elapsed().ok()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::Location;

    #[test]
    fn old_files_of_nodes_that_are_no_more_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let state_dir = StateDir::new(&Location::Sqlite(folder.path().join("queue.db")));
        let path = |node: i64, kind: &str| state_dir.file_path(NodeId(node), kind);
        state_dir.make_nodes().unwrap();
        let make = |node: i64, kinds: &[&str]| {
            for kind in kinds {
                let file = File::create(path(node, kind)).unwrap();
                file.set_modified(SystemTime::now() - 2 * LEAST_AGE).unwrap();
            }
        };
        let all = ["lock", "wake", "workers"];
        for node in 1..=5 {
            make(node, &all);
        }
        make(6, &["wake"]);
        make(7, &["lock", "lease"]);
        make(8, &["wake", "note"]);
        // 1 is in the store, 2 lives, worker processes of 3 do, 4 is new; nothing is left of 5 to 8.
        let lives = File::open(path(2, "lock")).unwrap();
        lives.try_lock().unwrap();
        let works = File::open(path(3, "workers")).unwrap();
        works.try_lock_shared().unwrap();
        File::create(path(4, "wake")).unwrap();
        state_dir.remove_left(&[NodeId(1)]);
        let left = |node: i64| all.iter().filter(|kind| path(node, kind).exists()).count();
        assert_eq!([1, 2, 3, 4, 5, 6, 7, 8].map(left), [3, 3, 3, 3, 0, 0, 0, 0]);
        assert!(!path(7, "lease").exists() && path(8, "note").exists());
        drop((lives, works));
        state_dir.remove_left(&[]);
        assert_eq!(
            [1, 2, 3, 4].map(left),
            [0, 0, 0, 3],
            "once no process holds their locks"
        );
    }
}
