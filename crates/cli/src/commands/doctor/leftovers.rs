//! Files that nothing needs any more: long outputs of jobs that are gone, and drafts of files whose writer was killed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use queuectl_storage::{Location, Store};
use queuectl_sys::is_draft;
use queuectl_views::{FindingView, Verdict};

use super::{named, unread};

/// A younger draft may still be written.
const LEAST_AGE: Duration = Duration::from_secs(60 * 60);
/// Names of a folder that are looked at.
const NAMES: usize = 10_000;

pub(super) fn findings(store: &mut Store) -> Vec<FindingView> {
    let location = store.location().clone();
    let mut found = Vec::new();
    match store.orphaned_outputs() {
        Ok(0) => {}
        Ok(jobs) => found.push(of_outputs(jobs, &location)),
        Err(error) => found.push(unread("leftovers", &error)),
    }
    let mut folders = vec![location.state_dir()];
    let beside = location.file().and_then(Path::parent);
    folders.extend(beside.map(|folder| match folder.as_os_str().is_empty() {
        true => PathBuf::from("."),
        false => folder.to_owned(),
    }));
    found.extend(of_drafts(&folders, LEAST_AGE));
    found
}

fn of_outputs(jobs: u64, location: &Location) -> FindingView {
    let folder = location.state_dir();
    let text = match jobs {
        1 => format!("{} has the long output of 1 job that is gone", folder.display()),
        jobs => format!(
            "{} has long outputs of {jobs} jobs that are gone",
            folder.display()
        ),
    };
    let found = FindingView::new("leftovers", Verdict::Warning, text);
    match location.file() {
        Some(_) => found.fix("`queuectl db:compact` removes them, while no node runs"),
        None => found.fix("a node on this machine removes them within the hour"),
    }
}

fn of_drafts(folders: &[PathBuf], least_age: Duration) -> Option<FindingView> {
    let drafts: Vec<String> = folders
        .iter()
        .flat_map(|folder| {
            std::fs::read_dir(folder)
                .into_iter()
                .flatten()
                .take(NAMES)
                .flatten()
        })
        .filter(|entry| is_draft(Path::new(&entry.file_name())))
        .filter(|entry| {
            let written = entry.metadata().and_then(|data| data.modified());
            let age = written.ok().and_then(|written| written.elapsed().ok());
            age.is_some_and(|age| age >= least_age)
        })
        .map(|entry| entry.path().display().to_string())
        .collect();
    (!drafts.is_empty()).then(|| {
        let text = format!("a command was killed while it wrote {}", named(drafts));
        FindingView::new("leftovers", Verdict::Warning, text).fix("remove these unfinished files")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_drafts_are_named_and_other_files_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let folders = [folder.path().to_owned()];
        std::fs::write(folder.path().join("queue.db"), "").unwrap();
        assert!(of_drafts(&folders, Duration::ZERO).is_none());
        std::fs::write(folder.path().join(".queuectl-0a1b.unfinished"), "").unwrap();
        let found = of_drafts(&folders, Duration::ZERO).unwrap();
        assert!(
            found.text.ends_with(".queuectl-0a1b.unfinished"),
            "{}",
            found.text
        );
        assert!(of_drafts(&folders, LEAST_AGE).is_none(), "it may be written now");
    }
}
