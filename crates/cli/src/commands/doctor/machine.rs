//! The machine: files that a process may open, control groups, and the time zone.

use queuectl_views::{FindingView, Verdict};

pub(super) fn findings() -> Vec<FindingView> {
    let mut found: Vec<FindingView> = [open_files(), control_groups()].into_iter().flatten().collect();
    found.push(zone());
    found
}

/// Open files that a node with a hundred jobs at a time needs, with room to spare.
#[cfg(unix)]
const OPEN_FILES: u64 = 1024;

#[cfg(unix)]
fn open_files() -> Option<FindingView> {
    use nix::sys::resource::{Resource, getrlimit};

    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).ok()?;
    Some(match most < OPEN_FILES {
        true => {
            let text = format!("a process can open {most} files at most; each running job takes several");
            FindingView::new("open_files", Verdict::Warning, text).fix(format!(
                "raise the hard limit to {OPEN_FILES} or more (`ulimit -n`, LimitNOFILE=)"
            ))
        }
        false => FindingView::new(
            "open_files",
            Verdict::Ok,
            "a process can open as many files as jobs need",
        ),
    })
}

#[cfg(not(unix))]
fn open_files() -> Option<FindingView> {
    None
}

/// Whether jobs can have limits of memory and processes.
#[cfg(target_os = "linux")]
fn control_groups() -> Option<FindingView> {
    use std::fs;
    use std::path::Path;

    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    let folder = Path::new("/sys/fs/cgroup").join(own.trim_start_matches('/'));
    let controllers = fs::read_to_string(folder.join("cgroup.controllers")).unwrap_or_default();
    let has_both = ["memory", "pids"]
        .iter()
        .all(|name| controllers.split_whitespace().any(|word| word == *name));
    let may_make = nix::unistd::access(&folder, nix::unistd::AccessFlags::W_OK).is_ok();
    Some(match has_both && may_make {
        true => {
            let text = "a node started from here can limit the memory and processes of jobs";
            FindingView::new("control_groups", Verdict::Ok, text)
        }
        false => {
            let text = "a node started from here cannot limit the memory and processes of jobs; those that ask for it fail";
            FindingView::new("control_groups", Verdict::Note, text)
                .fix("start nodes by a service with Delegate=yes (docs/operations.md)")
        }
    })
}

#[cfg(not(target_os = "linux"))]
fn control_groups() -> Option<FindingView> {
    None
}

/// The time zone of schedules that name none.
fn zone() -> FindingView {
    match jiff::tz::TimeZone::try_system() {
        Ok(zone) => {
            let name = zone.iana_name().unwrap_or("one without a name").to_owned();
            FindingView::new(
                "time_zone",
                Verdict::Ok,
                format!("this machine shows times in {name}"),
            )
        }
        Err(error) => {
            let text = format!("the machine's time zone is not known, so times are shown in UTC: {error}");
            FindingView::new("time_zone", Verdict::Warning, text).fix("set TZ, or link /etc/localtime")
        }
    }
}
