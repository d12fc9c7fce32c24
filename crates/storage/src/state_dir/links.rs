//! Tests: links of other users in the state directory.

use std::os::unix::fs::{lchown, symlink};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use queuectl_core::NodeId;

use super::{Lane, StateDir, outputs};
use crate::Location;

/// Somebody else's link would have this user write where that one says.
#[test]
fn links_of_other_users_are_refused_and_ones_own_are_followed() {
    let test = "links_of_other_users_are_refused_and_ones_own_are_followed";
    if !geteuid().is_root() {
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
        symlink(&elsewhere, &link).unwrap();
        assert!(state_dir.check_links().is_ok(), "one's own '{name}'");
        lchown(&link, Some(65534), None).unwrap();
        let refused = state_dir.check_links().unwrap_err().to_string();
        assert!(refused.contains(&link.display().to_string()), "{refused}");
        assert!(refused.contains("a link of another user"), "{refused}");
    }
}

/// The same at any later moment: a queue is open, a node is entered, and then a link takes the place of a folder.
#[test]
fn a_link_of_another_user_that_comes_later_is_not_followed() {
    let test = "a_link_of_another_user_that_comes_later_is_not_followed";
    if !geteuid().is_root() {
        queuectl_testkit::skipped(test, "only root can make another user's link");
        return;
    }
    // Of one's own and of another user: the first is the control.
    for (owner, followed) in [(0, true), (65534, false)] {
        for name in ["", "nodes", "output"] {
            let base = tempfile::tempdir().unwrap();
            let location = Location::Sqlite(base.path().join("queue.db"));
            let mut state_dir = StateDir::new(&location);
            let folder = state_dir.path().to_owned();
            let (guard, _pipe) = state_dir.enter(NodeId(1), "mark").unwrap();
            let outputs = outputs::Outputs::claim(&folder, "number").unwrap();
            // Whose files have the names that queuectl uses.
            let mine = base.path().join("mine");
            for kept in ["7", "output-old", "nodes", "output/7"] {
                std::fs::create_dir_all(mine.join(kept)).unwrap();
                std::fs::write(mine.join(kept).join("kept"), "kept").unwrap();
            }
            for file in ["1.lock", "1.wake", "2.lease"] {
                std::fs::write(mine.join(file), "kept").unwrap();
            }
            let place = folder.join(name);
            std::fs::rename(&place, base.path().join("moved")).unwrap();
            symlink(&mine, place.components().as_path()).unwrap();
            lchown(place.components().as_path(), Some(owner), None).unwrap();

            let before = content(&mine);
            drop(state_dir.lock_for_writing(Lane::User));
            drop(state_dir.lock_creation());
            let _ = state_dir.identity(1);
            let _ = state_dir.write_pair_note("note");
            state_dir.wake_all();
            let _ = state_dir.take_lock(NodeId(1), "mark");
            let _ = state_dir.take_over(NodeId(2)).map(drop);
            let _ = state_dir
                .enter(NodeId(3), "mark")
                .map(|(guard, _)| guard.let_go());
            state_dir.forget(NodeId(2));
            outputs.remove(&[7]);
            let _ = outputs::Outputs::claim(&folder, "other");
            outputs::remove_put_away(&folder);
            let _ = outputs::put_nameless_away(&folder);
            drop(guard);
            assert_eq!(content(&mine) != before, followed, "'{name}' of {owner}");
        }
    }
}

/// Every file below a folder, and what is in it.
fn content(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.symlink_metadata().unwrap() {
            data if data.is_dir() => found.extend(content(&path)),
            data if data.is_file() => found.push((path.clone(), std::fs::read(&path).unwrap())),
            _ => found.push((path, Vec::new())),
        }
    }
    found.sort();
    found
}
