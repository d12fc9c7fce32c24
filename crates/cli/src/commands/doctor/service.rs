//! Services of systemd that start a node: whether they start this program, and whether they run.
//!
//! It reads unit files and control groups and asks no daemon, so it never waits for one. Drop-ins and services of launchd
//! are not looked at.

use std::env;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use queuectl_views::{FindingView, Verdict};

/// Longest unit file that is read, in bytes, and names of a folder that are looked at.
const UNIT_BYTES: u64 = 64 * 1024;
const NAMES: usize = 10_000;

/// Where units of the system are, those that come first win.
const SYSTEM: [&str; 3] = [
    "etc/systemd/system",
    "usr/local/lib/systemd/system",
    "usr/lib/systemd/system",
];

/// Where units are, and where their processes are when they run.
struct Units {
    folders: Vec<PathBuf>,
    /// Folders of control groups; none if they do not tell.
    groups: Vec<PathBuf>,
    systemctl: &'static str,
}

pub(super) fn findings() -> Vec<FindingView> {
    let Some(this) = env::current_exe().ok() else {
        return Vec::new();
    };
    all(Path::new("/"))
        .iter()
        .flat_map(|units| of_units(units, &this))
        .collect()
}

fn all(root: &Path) -> Vec<Units> {
    let groups = root.join("sys/fs/cgroup");
    let tells = root.join("run/systemd/system").exists() && groups.join("cgroup.controllers").exists();
    let mut all = vec![Units {
        folders: SYSTEM.iter().map(|folder| root.join(folder)).collect(),
        groups: tells.then(|| groups.join("system.slice")).into_iter().collect(),
        systemctl: "systemctl",
    }];
    if let Ok(folders) = etcetera::choose_base_strategy() {
        let user = user_id().map(|user| {
            let slice = format!("user.slice/user-{user}.slice/user@{user}.service");
            groups.join(slice)
        });
        all.push(Units {
            folders: vec![
                folders.config_dir().join("systemd/user"),
                root.join("etc/systemd/user"),
            ],
            groups: user
                .filter(|_| tells)
                .map(|slice| vec![slice.join("app.slice"), slice])
                .unwrap_or_default(),
            systemctl: "systemctl --user",
        });
    }
    all
}

#[cfg(unix)]
fn user_id() -> Option<u32> {
    Some(nix::unistd::getuid().as_raw())
}

#[cfg(not(unix))]
fn user_id() -> Option<u32> {
    None
}

fn of_units(units: &Units, this: &Path) -> Vec<FindingView> {
    let (mut found, mut seen) = (Vec::new(), Vec::new());
    for folder in &units.folders {
        for entry in fs::read_dir(folder).into_iter().flatten().take(NAMES).flatten() {
            let Ok(name) = entry.file_name().into_string() else {
                continue;
            };
            if !name.ends_with(".service") || seen.contains(&name) {
                continue;
            }
            let file = entry.path();
            let Some(program) = read(&file).as_deref().and_then(program) else {
                continue;
            };
            found.extend(of_unit(units, &name, &file, &program, this));
            seen.push(name);
        }
    }
    found
}

fn read(file: &Path) -> Option<String> {
    let mut text = String::new();
    fs::File::open(file)
        .ok()?
        .take(UNIT_BYTES)
        .read_to_string(&mut text)
        .ok()?;
    Some(text)
}

/// The program that a unit starts, if that is a node of queuectl.
fn program(unit: &str) -> Option<String> {
    unit.lines().find_map(|line| {
        let command = line.trim().strip_prefix("ExecStart=")?;
        let command = command.trim_start_matches(['-', '@', ':', '+', '!', '|', ' ']);
        let (program, rest) = match command.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => command.split_once(' ')?,
        };
        let is_ours = Path::new(program).file_stem()?.to_str()?.starts_with("queuectl");
        let starts = ["worker:start", "worker-start", "worker start"].iter();
        let starts = starts.filter(|form| rest.contains(**form)).count() > 0;
        (is_ours && starts).then(|| program.to_owned())
    })
}

fn of_unit(units: &Units, name: &str, file: &Path, program: &str, this: &Path) -> Vec<FindingView> {
    let systemctl = units.systemctl;
    let path = Path::new(program);
    let edit = format!(
        "correct ExecStart in {}, then `{systemctl} daemon-reload` and `{systemctl} restart {name}`",
        file.display()
    );
    if path.is_absolute() && !path.exists() {
        let text = format!("service {name} starts {program}, which does not exist");
        return vec![FindingView::new("service", Verdict::Problem, text).fix(edit)];
    }
    let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut found = Vec::new();
    if path.is_absolute() && real(path) != real(this) {
        let text = format!("service {name} starts {program}, not this program");
        found.push(FindingView::new("service", Verdict::Warning, text).fix(edit));
    }
    let runs = |groups: &PathBuf| {
        let events = read(&groups.join(name).join("cgroup.events")).unwrap_or_default();
        events.lines().any(|line| line == "populated 1")
    };
    if units.groups.is_empty() || units.groups.iter().any(runs) {
        if found.is_empty() {
            let text = format!("service {name} starts this program");
            found.push(FindingView::new("service", Verdict::Ok, text));
        }
        return found;
    }
    let text = format!("service {name} does not run");
    found.push(FindingView::new("service", Verdict::Warning, text).fix(format!(
        "`{systemctl} status {name}` says why; `{systemctl} enable --now {name}` starts it now and at boot"
    )));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_of_a_node_is_found_in_its_unit() {
        let of = |line: &str| program(&format!("[Service]\nUser=x\n{line}\n"));
        for line in [
            "ExecStart=/usr/bin/queuectl worker:start --count 4",
            "ExecStart=-/usr/bin/queuectl --db /x worker start",
            "ExecStart=\"/usr/bin/queuectl\" worker-start",
        ] {
            assert_eq!(of(line).as_deref(), Some("/usr/bin/queuectl"), "{line}");
        }
        for line in [
            "ExecStart=/usr/bin/queuectl status",
            "ExecStart=/usr/bin/other worker:start",
            "#ExecStart=/usr/bin/queuectl worker:start",
            "ExecStart=",
        ] {
            assert_eq!(of(line), None, "{line}");
        }
    }

    /// What is said of a unit in a file system of its own.
    fn said(program: &Path, runs: Option<bool>) -> Vec<(Verdict, String)> {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let file = root.path().join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        write(
            "usr/lib/systemd/system/jobs.service",
            "ExecStart=/shadowed/queuectl worker:start\n",
        );
        write(
            "usr/lib/systemd/system/other.service",
            "ExecStart=/usr/bin/other\n",
        );
        if let Some(runs) = runs {
            write("run/systemd/system/x", "");
            write("sys/fs/cgroup/cgroup.controllers", "");
            let populated = format!("populated {}\nfrozen 0\n", u8::from(runs));
            write(
                "sys/fs/cgroup/system.slice/jobs.service/cgroup.events",
                &populated,
            );
        }
        let this = root.path().join("queuectl");
        write("queuectl", "");
        let program = if program.is_absolute() { program } else { &this };
        let unit = format!("[Service]\nExecStart=\"{}\" worker:start\n", program.display());
        write("etc/systemd/system/jobs.service", &unit);
        let found = of_units(&all(root.path())[0], &this);
        found
            .into_iter()
            .map(|found| (found.verdict, found.text))
            .collect()
    }

    #[test]
    fn a_service_that_starts_something_else_or_does_not_run_is_told() {
        let this = Path::new("this");
        let ok = vec![(Verdict::Ok, "service jobs.service starts this program".to_owned())];
        assert_eq!(said(this, None), ok, "nothing tells whether it runs");
        assert_eq!(said(this, Some(true)), ok);
        let stopped = (Verdict::Warning, "service jobs.service does not run".to_owned());
        assert_eq!(said(this, Some(false)), [stopped]);
        let folder = tempfile::tempdir().unwrap();
        let other = folder.path().join("queuectl");
        fs::write(&other, "").unwrap();
        let found = said(&other, Some(true));
        assert!(
            matches!(&found[..], [(Verdict::Warning, text)] if text.ends_with("not this program")),
            "{found:?}"
        );
        let found = said(&folder.path().join("queuectl-gone"), None);
        assert!(
            matches!(&found[..], [(Verdict::Problem, text)] if text.ends_with("does not exist")),
            "{found:?}"
        );
    }
}
