//! The queue: who may use its file, what that is kept on and how much room is left, whether it opens, and its clock.

use std::path::{Path, PathBuf};

use queuectl_core::{Timestamp, show_rough};
use queuectl_executor::trust::Distrust;
use queuectl_storage::{Location, OpenMode, Store, StoreError};
use queuectl_sys::{Medium, Volume};
use queuectl_views::{FindingView, Verdict};

use super::unread;
use crate::commands::worker::trust;

/// Less free room than this is a warning; a tenth of it is a problem.
const ROOM: u64 = 1 << 30;
/// A server's clock may differ from this machine's by so much.
const SKEW_MS: u64 = 2000;

/// Looks at the queue's file before it is opened. On PostgreSQL there is none.
pub(super) fn file_findings(location: &Location) -> Vec<FindingView> {
    let Some(file) = location.file() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    let there = nearest(file);
    if let Some(there) = &there
        && !may_write(there)
    {
        let text = format!("{} cannot be written by this user", there.display());
        found.push(
            FindingView::new("permissions", Verdict::Problem, text)
                .fix("run queuectl as the user to whom the queue belongs, or name another queue with --db"),
        );
    }
    found.extend(others(location, file));
    match there.map(|there| Volume::of(&there)) {
        Some(Ok(volume)) => found.extend(of_volume(&volume)),
        Some(Err(error)) => {
            let text = format!(
                "the file system of {} cannot be looked at: {error}",
                file.display()
            );
            found.push(FindingView::new("disk", Verdict::Warning, text));
        }
        None => {}
    }
    found
}

/// The file, or else the nearest folder above it that exists.
fn nearest(file: &Path) -> Option<PathBuf> {
    file.ancestors().find(|path| path.exists()).map(Path::to_owned)
}

#[cfg(unix)]
fn may_write(path: &Path) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).is_ok()
}

#[cfg(not(unix))]
fn may_write(path: &Path) -> bool {
    path.is_dir() || path.metadata().is_ok_and(|data| !data.permissions().readonly())
}

/// Who else may change or read the file. Nodes refuse what others can change.
fn others(location: &Location, file: &Path) -> Option<FindingView> {
    if let Err(Distrust { cause, fix }) = trust::others(location) {
        let text = format!("{cause}; who can change the queue can run commands as the user of its nodes");
        return Some(FindingView::new("permissions", Verdict::Problem, text).fix(fix));
    }
    is_readable_by_all(file).then(|| {
        let text = format!(
            "every user of this machine can read {}, and with it the commands and variables of jobs",
            file.display()
        );
        FindingView::new("permissions", Verdict::Warning, text).fix(format!("chmod o-r '{}'", file.display()))
    })
}

#[cfg(unix)]
fn is_readable_by_all(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|data| data.permissions().mode() & 0o004 != 0)
}

#[cfg(not(unix))]
fn is_readable_by_all(_: &Path) -> bool {
    false
}

fn of_volume(volume: &Volume) -> Vec<FindingView> {
    let mut found = Vec::new();
    match volume.medium {
        Medium::Disk => {}
        Medium::Network(kind) => {
            let text = format!("the queue is on a network file system ({kind}), whose locks may not hold");
            found.push(
                FindingView::new("file_system", Verdict::Problem, text)
                    .fix("move it to a disk of this machine, or to PostgreSQL: `queuectl db:copy`"),
            );
        }
        Medium::Memory => {
            let text = "the queue is kept in memory and lost when the machine stops";
            found.push(
                FindingView::new("file_system", Verdict::Warning, text)
                    .fix("move it to a disk: `queuectl db:copy`"),
            );
        }
    }
    let verdict = match volume.free_bytes {
        free if free < ROOM / 10 => Verdict::Problem,
        free if free < ROOM => Verdict::Warning,
        _ => Verdict::Ok,
    };
    let room = format!("{} MiB are free for the queue", volume.free_bytes >> 20);
    let room = FindingView::new("disk", verdict, room);
    found.push(match verdict {
        Verdict::Ok => room,
        _ => room.fix("free some space; `queuectl purge` and `queuectl db:compact` make the queue smaller"),
    });
    found
}

/// Opens the queue, if there is one.
pub(super) fn open(location: &Location) -> (FindingView, Option<Store>) {
    match Store::open(location, OpenMode::MustExist) {
        Ok(store) => {
            let found = FindingView::new("queue", Verdict::Ok, format!("{location} opens"));
            (found, Some(store))
        }
        Err(StoreError::Missing) => {
            let text = format!("there is no queue yet at {location}");
            let found = FindingView::new("queue", Verdict::Note, text)
                .fix("the first `queuectl enqueue`, or `queuectl init`, makes it");
            (found, None)
        }
        Err(error) => {
            let text = format!("{location}: {error}");
            (FindingView::new("queue", Verdict::Problem, text), None)
        }
    }
}

/// Compares the queue's clock with this machine's: they differ only if a server keeps the queue.
pub(super) fn clock(store: &mut Store) -> Option<FindingView> {
    store.location().file().is_none().then(|| match store.now() {
        Ok(theirs) => of_clocks(theirs, Timestamp(jiff::Timestamp::now().as_millisecond())),
        Err(error) => unread("clock", &error),
    })
}

fn of_clocks(theirs: Timestamp, ours: Timestamp) -> FindingView {
    let apart = theirs.since(ours).max(ours.since(theirs));
    match apart.as_millis() > SKEW_MS.into() {
        true => {
            let text = format!(
                "the server's clock, which decides when jobs start, is {} {} this machine's",
                show_rough(apart),
                if theirs > ours { "ahead of" } else { "behind" }
            );
            FindingView::new("clock", Verdict::Warning, text).fix("let both follow a time server (NTP)")
        }
        false => FindingView::new(
            "clock",
            Verdict::Ok,
            "the server's clock agrees with this machine's",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(medium: Medium, free_bytes: u64) -> Vec<(&'static str, Verdict)> {
        let found = of_volume(&Volume { medium, free_bytes }).into_iter();
        found.map(|found| (found.code, found.verdict)).collect()
    }

    #[test]
    fn a_network_memory_and_a_full_disk_are_told() {
        assert_eq!(verdicts(Medium::Disk, ROOM), [("disk", Verdict::Ok)]);
        assert_eq!(verdicts(Medium::Disk, ROOM - 1), [("disk", Verdict::Warning)]);
        assert_eq!(verdicts(Medium::Disk, 0), [("disk", Verdict::Problem)]);
        assert_eq!(
            verdicts(Medium::Network("NFS"), ROOM)[0],
            ("file_system", Verdict::Problem)
        );
        assert_eq!(
            verdicts(Medium::Memory, ROOM)[0],
            ("file_system", Verdict::Warning)
        );
    }

    #[test]
    fn clocks_that_differ_are_told_with_the_direction() {
        let now = Timestamp(1_000_000);
        assert_eq!(of_clocks(now, Timestamp(now.0 + 2000)).verdict, Verdict::Ok);
        let ahead = of_clocks(Timestamp(now.0 + 60_000), now);
        assert_eq!(ahead.verdict, Verdict::Warning);
        assert!(ahead.text.contains("1 m ahead of"), "{}", ahead.text);
        assert!(
            of_clocks(now, Timestamp(now.0 + 60_000))
                .text
                .contains("1 m behind")
        );
    }
}
