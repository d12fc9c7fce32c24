//! What is refused because somebody else could have had a hand in it: plugins, queues, log files; and what of a queue
//! another user can reach, which is nothing.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::unix::within;
use crate::support::{Done, Queue, finish};

/// A user who is neither root nor the one who runs the tests.
const OTHER: u32 = 65533;

fn mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Gives it to a group that is not its owner's own.
fn lend(path: &Path) {
    std::os::unix::fs::chown(path, None, Some(OTHER)).unwrap();
}

fn give(path: &Path, to: u32) {
    std::os::unix::fs::lchown(path, Some(to), Some(to)).unwrap();
}

fn is_root(test: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        queuectl_testkit::skipped(test, "only root can run jobs as other users");
    }
    root
}

/// A plugin in `home/plugins`, and what is changed about it; where it is then looked for, and what is said about it.
struct Case {
    about: &'static str,
    as_root: bool,
    change: fn(&Path) -> PathBuf,
    said: &'static str,
}

fn plugins(home: &Path) -> PathBuf {
    home.join("plugins")
}

fn library(home: &Path) -> PathBuf {
    plugins(home).join("libqueuectl_plugin_shell.so")
}

const PLUGINS: &[Case] = &[
    Case {
        about: "the control",
        as_root: false,
        change: plugins,
        said: "",
    },
    Case {
        about: "a file that everybody may write",
        as_root: false,
        change: |home| {
            mode(&library(home), 0o646);
            plugins(home)
        },
        said: "writable by everybody",
    },
    Case {
        about: "a file that its group may write",
        as_root: true,
        change: |home| {
            lend(&library(home));
            mode(&library(home), 0o664);
            plugins(home)
        },
        said: "writable by its group",
    },
    Case {
        about: "a folder that everybody may write",
        as_root: false,
        change: |home| {
            mode(&plugins(home), 0o777);
            plugins(home)
        },
        said: "writable by everybody",
    },
    Case {
        about: "a folder above it that its group may write",
        as_root: true,
        change: |home| {
            lend(home);
            mode(home, 0o775);
            plugins(home)
        },
        said: "writable by its group",
    },
    Case {
        about: "a link in a folder that everybody may write",
        as_root: false,
        change: |home| {
            let open = home.join("open");
            fs::create_dir(&open).unwrap();
            symlink(plugins(home), open.join("link")).unwrap();
            mode(&open, 0o777);
            open.join("link")
        },
        said: "writable by everybody",
    },
    Case {
        about: "a link to a file in a folder that everybody may write",
        as_root: false,
        change: |home| {
            let open = home.join("open");
            fs::create_dir(&open).unwrap();
            fs::rename(library(home), open.join("real.so")).unwrap();
            mode(&open, 0o777);
            symlink(open.join("real.so"), library(home)).unwrap();
            plugins(home)
        },
        said: "writable by everybody",
    },
    Case {
        about: "a file of another user",
        as_root: true,
        change: |home| {
            give(&library(home), OTHER);
            plugins(home)
        },
        said: "belongs to user 65533",
    },
    Case {
        about: "a folder of another user",
        as_root: true,
        change: |home| {
            give(&plugins(home), OTHER);
            plugins(home)
        },
        said: "belongs to user 65533",
    },
];

#[test]
fn plugins_that_others_can_change_are_refused() {
    let root = nix::unistd::geteuid().is_root();
    for case in PLUGINS.iter().filter(|case| root || !case.as_root) {
        let queue = Queue::new();
        // The test's folder is in the one for all temporary files, which everybody can write to.
        let home = queue.path("own");
        fs::create_dir_all(plugins(&home)).unwrap();
        let ours = crate::support::binary().with_file_name("libqueuectl_plugin_shell.so");
        fs::copy(ours, library(&home)).unwrap();
        mode(&home, 0o755);
        mode(&plugins(&home), 0o755);
        mode(&library(&home), 0o644);
        let folder = (case.change)(&home);
        let folder = folder.to_str().unwrap();
        let listed = queue.ok(["--plugin-dir", folder, "plugin:list"]);
        let id = queue.enqueue(["--max-retries", "0", "echo ran >> ran"]);
        if case.said.is_empty() {
            assert!(listed.contains(folder) && !listed.contains("refused"), "{listed}");
            assert_eq!(queue.drain(&["--plugin-dir", folder]), 0, "{}", case.about);
            assert_eq!(queue.lines("ran").len(), 1, "{}", case.about);
            continue;
        }
        let said = listed.contains("refused") && listed.contains(case.said) && listed.contains("fix with");
        assert!(said, "{}: {listed}", case.about);
        let node = queue.start(&["--plugin-dir", folder]);
        node.wait_log(case.said);
        assert_eq!(queue.read("ran"), "", "{}: job {id} ran", case.about);
    }
}

/// A queue in `home`, and who could have changed it; what a node says about it, which is nothing if it runs its jobs.
const QUEUES: &[Case] = &[
    Case {
        about: "the control",
        as_root: false,
        change: home,
        said: "",
    },
    Case {
        about: "a group that was let in, and a folder of files that everybody may make",
        as_root: false,
        change: |root| {
            mode(&home(root), 0o1777);
            mode(&home(root).join("queue.db"), 0o660);
            home(root)
        },
        said: "",
    },
    Case {
        about: "a file that everybody may write",
        as_root: false,
        change: |root| {
            mode(&home(root).join("queue.db"), 0o666);
            home(root)
        },
        said: "home/queue.db is writable by everybody",
    },
    Case {
        about: "a folder that everybody may write",
        as_root: false,
        change: |root| {
            mode(&home(root), 0o777);
            home(root)
        },
        said: "home is writable by everybody",
    },
    Case {
        about: "a folder of its outputs and pipes that everybody may write",
        as_root: false,
        change: |root| {
            mode(&home(root).join("queue.db.d"), 0o777);
            home(root)
        },
        said: "home/queue.db.d is writable by everybody",
    },
    Case {
        about: "a link in a folder that everybody may write",
        as_root: false,
        change: |root| {
            let open = root.join("open");
            fs::create_dir(&open).unwrap();
            symlink(home(root), open.join("link")).unwrap();
            mode(&open, 0o777);
            open.join("link")
        },
        said: "open is writable by everybody",
    },
    Case {
        about: "a file of another user",
        as_root: true,
        change: |root| {
            give(&home(root).join("queue.db"), OTHER);
            home(root)
        },
        said: "belongs to user 65533",
    },
    Case {
        about: "a log of SQLite's that another user left there",
        as_root: true,
        change: |root| {
            leave_log(&home(root), Some(OTHER));
            home(root)
        },
        said: "queue.db-wal belongs to user 65533",
    },
    Case {
        about: "the same, of a member of a group that the file and the folder were given to",
        as_root: true,
        change: |root| {
            share(&home(root));
            leave_log(&home(root), None);
            home(root)
        },
        said: "",
    },
    Case {
        about: "the same, of somebody of another group",
        as_root: true,
        change: |root| {
            share(&home(root));
            leave_log(&home(root), Some(OTHER));
            home(root)
        },
        said: "queue.db-wal belongs to user 65533",
    },
    Case {
        about: "the same, where only the folder was given to the group",
        as_root: true,
        change: |root| {
            share(&home(root));
            mode(&home(root).join("queue.db"), 0o600);
            leave_log(&home(root), None);
            home(root)
        },
        said: "queue.db-wal belongs to user 65533",
    },
    Case {
        about: "the same, in a folder with the sticky bit",
        as_root: true,
        change: |root| {
            share(&home(root));
            mode(&home(root), 0o3770);
            leave_log(&home(root), None);
            home(root)
        },
        said: "queue.db-wal belongs to user 65533",
    },
    Case {
        about: "a file of a member of the group",
        as_root: true,
        change: |root| {
            share(&home(root));
            std::os::unix::fs::lchown(home(root).join("queue.db"), Some(OTHER), None).unwrap();
            home(root)
        },
        said: "queue.db belongs to user 65533",
    },
    Case {
        about: "a link of another user",
        as_root: true,
        change: |root| {
            symlink(home(root), root.join("link")).unwrap();
            give(&root.join("link"), OTHER);
            root.join("link")
        },
        said: "link belongs to user 65533",
    },
    Case {
        about: "a folder of another user, where there is no file yet",
        as_root: true,
        change: |root| {
            let theirs = root.join("theirs");
            fs::create_dir(&theirs).unwrap();
            give(&theirs, OTHER);
            theirs
        },
        said: "theirs belongs to user 65533",
    },
];

/// Gives a queue to the group of its folder.
fn share(home: &Path) {
    mode(home, 0o2770);
    mode(&home.join("queue.db"), 0o660);
}

/// Leaves a log of another user, with that group instead of the folder's.
fn leave_log(home: &Path, group: Option<u32>) {
    let log = home.join("queue.db-wal");
    fs::write(&log, "").unwrap();
    std::os::unix::fs::lchown(&log, Some(OTHER), group).unwrap();
}

fn home(root: &Path) -> PathBuf {
    root.join("home")
}

#[test]
fn a_node_runs_no_jobs_from_a_queue_that_others_can_change() {
    let root = nix::unistd::geteuid().is_root();
    for case in QUEUES.iter().filter(|case| root || !case.as_root) {
        let queue = Queue::new().with_db("home/queue.db");
        queue.enqueue(["--cwd", queue.path("").to_str().unwrap(), "echo ran >> ran"]);
        // For cases that put another log there: no job is in this one.
        queue.ok(["db:compact"]);
        let folder = (case.change)(&queue.path(""));
        let queue = queue.with_db(folder.join("queue.db"));
        let is_there = queue.db().exists();
        if !case.said.is_empty() {
            for how in ["--drain", "--detach"] {
                let done = queue.run(["worker:start", how]);
                let said = [case.said, "fix with", "--trust-others"];
                let told = said.iter().all(|said| done.err.contains(said));
                assert!(
                    done.status == 5 && told,
                    "{}: {} {}",
                    case.about,
                    done.status,
                    done.err
                );
            }
            assert_eq!(queue.read("ran"), "", "{}", case.about);
            assert_eq!(queue.db().exists(), is_there, "{}", case.about);
        }
        let mut words = vec!["worker:start", "--drain"];
        words.extend((!case.said.is_empty()).then_some("--trust-others"));
        queue.ok(words);
        assert_eq!(queue.lines("ran").len(), usize::from(is_there), "{}", case.about);
    }
}

/// A command as another user, who may do what everybody may.
fn as_other(command: &Command) -> Done {
    let mut other = Command::new("setpriv");
    let id = OTHER.to_string();
    other.args(["--reuid", &id, "--regid", &id, "--clear-groups"]);
    finish(within(other, command), None)
}

/// Everything of a queue, however it is asked for.
#[test]
fn another_user_can_neither_read_nor_change_a_queue() {
    let test = "trust::another_user_can_neither_read_nor_change_a_queue";
    if !is_root(test) {
        return;
    }
    let queue = Queue::new().with_db("home/queue.db");
    let secret = "s3cr3t-of-the-job";
    // Longer than what the database keeps, so that there is a file.
    let long = format!("echo {secret}; head -c 200000 /dev/zero | tr '\\0' x");
    queue.enqueue(["--env", &format!("TOKEN={secret}"), &long]);
    assert_eq!(queue.drain(&[]), 0);
    queue.ok(["worker:start", "--detach"]);
    // Others may pass the folders of the test, and only those.
    mode(queue.path("").as_path(), 0o755);
    let inside = |command: &[&str]| as_other(&queue.command(command));
    for command in [
        &["list"][..],
        &["show", "1"],
        &["logs", "1"],
        &["status"],
        &["enqueue", "true"],
        &["cancel", "1"],
        &["config:set", "max_retries", "3"],
        &["worker:list"],
        &["worker:stop"],
        &["worker:start", "--drain"],
        &["db:check"],
        &["purge", "--yes"],
    ] {
        let done = inside(command);
        assert!(
            matches!(done.status, 5 | 6),
            "{command:?}: {} {}",
            done.status,
            done.err
        );
        assert!(
            !format!("{}{}", done.text(), done.err).contains(secret),
            "{command:?}"
        );
    }
    // Even if the folders were opened: the files are their owner's alone.
    let mut paths = vec![queue.path("home")];
    let mut seen = 0;
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            mode(&path, 0o755);
            paths.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        seen += 1;
        for script in ["cat \"$0\"", "exec 3>> \"$0\"", "exec 3<> \"$0\""] {
            let mut command = Command::new("sh");
            command.args(["-c", script]).arg(&path).current_dir("/");
            let done = as_other(&command);
            let said = format!("{}{}", done.text(), done.err);
            assert!(
                done.status != 0 && !said.contains(secret),
                "{script} {}: {said}",
                path.display()
            );
        }
    }
    assert!(seen >= 6, "{seen} files");
    // The control: the owner can, and nothing has changed.
    assert_eq!(queue.jobs().len(), 1);
    assert!(queue.ok(["logs", "1"]).contains(secret));
    queue.ok(["worker:stop", "--wait"]);
}

#[test]
fn a_log_file_is_a_file_of_ones_own() {
    let queue = Queue::new();
    queue.enqueue(["true"]);
    let root = nix::unistd::geteuid().is_root();
    let path = |name: &str| queue.path(name).to_str().unwrap().to_owned();
    let pipe = path("pipe");
    nix::unistd::mkfifo(pipe.as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::create_dir(queue.path("folder")).unwrap();
    queue.write("kept", "before\n");
    symlink(queue.path("kept"), queue.path("link")).unwrap();
    let mut refused = vec![
        (pipe, "log file"),
        (path("folder"), "directory"),
        (path("no/folder"), "log file"),
    ];
    if root {
        for (name, to) in [("theirs", None), ("their-link", Some("kept"))] {
            match to {
                None => drop(queue.write(name, "")),
                Some(to) => symlink(queue.path(to), queue.path(name)).unwrap(),
            }
            give(&queue.path(name), OTHER);
            refused.push((path(name), "user 65533"));
        }
    }
    for (file, wanted) in &refused {
        let done = queue.run(["worker:start", "--detach", "--log-file", file]);
        assert!(
            done.status != 0 && done.err.contains(wanted),
            "{file}: {} {}",
            done.status,
            done.err
        );
        assert!(done.err.contains(file.as_str()), "{file}: {}", done.err);
        assert_eq!(queue.json(["worker:list"]).as_array().unwrap().len(), 0, "{file}");
    }
    assert_eq!(queue.read("kept"), "before\n");
    // The controls: a new file is its owner's alone; one's own link leads to where it leads; what is there is kept.
    for (file, real) in [("new", "new"), ("link", "kept")] {
        queue.ok(["worker:start", "--detach", "--log-file", &path(file)]);
        queue.ok(["worker:stop", "--wait"]);
        assert!(queue.read(real).contains("node started"), "{file}");
    }
    assert_eq!(fs::metadata(queue.path("new")).unwrap().mode() & 0o777, 0o600);
    assert!(queue.read("kept").starts_with("before\n"));
    queue.ok(["worker:start", "--detach", "--log-file", "/dev/null"]);
    queue.ok(["worker:stop", "--wait"]);
}

/// Names in the folder of another user's queue may be links to files of the user who looks.
#[test]
fn a_command_writes_to_nothing_that_a_link_in_the_queues_folder_names() {
    let queue = Queue::new();
    queue.enqueue(["true"]);
    let precious = queue.write("precious", "precious");
    let nodes = queue.beside().join("nodes");
    fs::create_dir_all(&nodes).unwrap();
    symlink(&precious, nodes.join("9.wake")).unwrap();
    fs::hard_link(&precious, nodes.join("8.wake")).unwrap();
    let made = queue.path("made");
    for name in ["turn", "next", "next-user", "create"] {
        let _ = fs::remove_file(queue.beside().join(name));
        symlink(&made, queue.beside().join(name)).unwrap();
    }
    queue.enqueue(["true"]);
    queue.ok(["cancel", "1"]);
    assert_eq!(queue.read("precious"), "precious");
    assert!(!made.exists(), "a link was followed");
    assert_eq!(queue.jobs().len(), 2);
}
