//! Files that are no usable queue: each is refused with its reason and its status, and stays as it was.

use crate::support::Queue;

/// Verbs that read, that write, and that run jobs.
const COMMANDS: &[&[&str]] = &[
    &["list"],
    &["status"],
    &["show", "1"],
    &["dlq:list"],
    &["config:get", "max_retries"],
    &["config:set", "max_retries", "3"],
    &["enqueue", "true"],
    &["cancel", "1"],
    &["db:check"],
    &["worker:list"],
    &["worker:start", "--drain"],
];

/// Every command must refuse the file with that status and that text, and leave it as it is.
fn refused(queue: &Queue, status: i32, text: &str) {
    let before = std::fs::read(queue.db()).unwrap();
    for command in COMMANDS {
        let said = queue.fails(status, *command);
        assert!(said.contains(text), "{command:?}: {said}");
        assert!(said.contains(queue.db().to_str().unwrap()), "{command:?}: {said}");
        assert!(
            std::fs::read(queue.db()).unwrap() == before,
            "{command:?} changed the file"
        );
    }
}

/// A queue with some jobs whose file is then changed.
fn changed(change: impl FnOnce(&mut Vec<u8>)) -> Queue {
    let queue = Queue::new();
    let lines = "\"echo something that takes some room, so that there are several pages\"\n".repeat(500);
    queue.run_with(["enqueue", "--from", "-"], lines.as_bytes()).ok();
    queue.ok(["db:compact"]);
    let log = queue.path("queue.db-wal").metadata().unwrap();
    assert_eq!(log.len(), 0, "it is all in the file");
    let mut bytes = std::fs::read(queue.db()).unwrap();
    change(&mut bytes);
    std::fs::write(queue.db(), bytes).unwrap();
    queue
}

/// Where SQLite keeps `user_version` and `application_id` in the file's header.
const USER_VERSION: usize = 60;
const APPLICATION_ID: usize = 68;

#[test]
fn another_programs_database() {
    let queue = changed(|bytes| bytes[APPLICATION_ID..APPLICATION_ID + 4].copy_from_slice(b"MINE"));
    refused(&queue, 5, "this database belongs to another program");
}

#[test]
fn a_database_without_a_mark_that_is_not_empty() {
    let queue = changed(|bytes| {
        bytes[APPLICATION_ID..APPLICATION_ID + 4].fill(0);
        bytes[USER_VERSION..USER_VERSION + 4].fill(0);
    });
    refused(&queue, 5, "this database belongs to another program");
}

#[test]
fn a_newer_schema() {
    let queue = changed(|bytes| bytes[USER_VERSION + 3] = 99);
    refused(&queue, 5, "schema version 99");
}

#[test]
fn a_file_that_is_no_database() {
    let queue = Queue::new();
    queue.write(
        "queue.db",
        "My shopping list. Bread, butter, and so on. ".repeat(100),
    );
    refused(&queue, 5, "not an SQLite database");
}

#[test]
fn a_damaged_header() {
    let queue = changed(|bytes| bytes[..16].fill(b'x'));
    refused(&queue, 5, "not an SQLite database");
}

/// Everything but the header: not even the schema can be read.
#[test]
fn a_damaged_schema() {
    let queue = changed(|bytes| bytes[4096..].fill(0x5a));
    refused(&queue, 5, "the database is damaged");
    assert!(queue.fails(5, ["list"]).contains("backup"), "what to do about it");
}

#[test]
fn a_damaged_page() {
    // The pages of what jobs run.
    let queue = changed(|bytes| {
        let line = b"something that takes some room";
        let pages = bytes.chunks_mut(4096);
        let pages = pages.filter(|page| page.windows(line.len()).any(|part| part == line));
        pages.for_each(|page| page.fill(0x5a));
    });
    let before = std::fs::read(queue.db()).unwrap();
    let done = queue.run(["list", "--json"]);
    assert_eq!(done.status, 5, "{}", done.err);
    assert!(done.err.contains("the database is damaged"), "{}", done.err);
    let done = queue.run(["db:check"]);
    done.expect(1);
    assert!(done.text().contains("damaged: "), "{}", done.text());
    assert!(done.text().contains("backup"), "{}", done.text());
    let done = queue.run(["db:check", "--json"]);
    done.expect(1);
    let report: serde_json::Value = serde_json::from_str(&done.text()).unwrap();
    assert_eq!(report["ok"], false);
    assert!(std::fs::read(queue.db()).unwrap() == before);
    // The control.
    assert_eq!(changed(|_| {}).run(["db:check"]).status, 0);
}

#[test]
fn a_truncated_file() {
    let queue = changed(|bytes| bytes.truncate(3 * 4096 + 100));
    let before = std::fs::read(queue.db()).unwrap();
    let said = queue.fails(5, ["list"]);
    assert!(said.contains("the database is damaged"), "{said}");
    queue.fails(5, ["enqueue", "true"]);
    assert!(std::fs::read(queue.db()).unwrap() == before);
}

#[test]
fn a_folder() {
    let queue = Queue::new();
    std::fs::create_dir(queue.db()).unwrap();
    for command in COMMANDS {
        let said = queue.fails(6, *command);
        assert!(
            said.to_lowercase().contains("is a directory"),
            "{command:?}: {said}"
        );
    }
    assert_eq!(std::fs::read_dir(queue.db()).unwrap().count(), 0);
}

#[test]
fn nothing_there() {
    let queue = Queue::new();
    // An empty queue is no error: neither where the user named it, nor at the default place.
    let reads: &[(&[&str], i32)] = &[
        (&["list"], 0),
        (&["status"], 0),
        (&["dlq", "list"], 0),
        (&["config", "get"], 0),
        (&["config:get", "max_retries"], 0),
        (&["config:unset", "max_retries"], 0),
        (&["worker", "list"], 0),
        (&["worker", "stop", "--wait"], 0),
        (&["dlq:retry", "--all"], 0),
        (&["purge", "--yes"], 0),
        (&["show", "1"], 3),
        (&["logs", "1"], 3),
        (&["wait", "1"], 3),
        (&["cancel", "1"], 3),
        (&["retry", "1"], 3),
    ];
    let files = || std::fs::read_dir(queue.path("")).unwrap().count();
    for (words, status) in reads {
        for named in [true, false] {
            let mut command = if named {
                queue.command(*words)
            } else {
                queue.bare()
            };
            if !named {
                command.args(*words);
            }
            let done = crate::support::finish(command, None);
            assert_eq!(done.status, *status, "{words:?}: {}", done.err);
            assert!(
                done.err.contains("there is no queue yet at "),
                "{words:?}: {}",
                done.err
            );
            assert_eq!(files(), 0, "{words:?} makes nothing");
        }
    }
    assert_eq!(queue.run(["list", "--json"]).ok(), "[]");
    assert_eq!(queue.ok(["config:get", "max_retries"]), "4");
    // What is about the file itself needs one.
    for command in [&["db:check"][..], &["db:compact"], &["db:backup", "copy.db"]] {
        let said = queue.fails(5, command);
        assert!(said.contains("there is no queue here yet"), "{command:?}: {said}");
    }
    assert_eq!(files(), 0);
    let mut set = queue.bare();
    set.env("QUEUECTL_DB", queue.location()).args(["enqueue", "true"]);
    assert_eq!(crate::support::finish(set, None).ok(), "1");
    assert_eq!(queue.jobs().len(), 1, "QUEUECTL_DB is the same as --db");
}

#[test]
fn locations_that_are_none() {
    for location in ["", "mysql://host/db", "postgres:db", "sqlite:"] {
        let queue = Queue::new();
        let mut list = queue.bare();
        list.args(["--db", location, "list"]);
        let said = crate::support::finish(list, None).fails(2);
        assert!(said.contains("not a queue location"), "{location}: {said}");
    }
    // Characters with a meaning to SQLite's URIs have none here. (Names on Windows have no question marks.)
    let name = "odd ?#%41 name&mode=ro.db";
    let name = if cfg!(windows) {
        name.replace('?', "")
    } else {
        name.to_owned()
    };
    let queue = Queue::new().with_db(name);
    queue.enqueue(["true"]);
    assert!(queue.db().exists());
    assert_eq!(queue.jobs().len(), 1);
}

/// What stands in the way is named, and is neither the disk's fault nor the program's.
#[cfg(target_os = "linux")]
#[test]
fn what_is_in_the_way_is_named() {
    let queue = Queue::new();
    queue.enqueue(["true"]);
    // Two slashes at the beginning are no server.
    let doubled = format!("/{}", queue.db().display());
    let queue = queue.with_db(&doubled);
    assert_eq!(queue.jobs().len(), 1);
    let long = format!("{}/queue.db", "a".repeat(200)).repeat(3);
    let queue = queue.with_db(&long);
    let said = queue.fails(2, ["enqueue", "true"]);
    assert!(said.contains("504 bytes"), "{said}");
    let queue = queue.with_db("fifo");
    nix::unistd::mkfifo(&queue.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    for command in [
        &["list"][..],
        &["enqueue", "true"],
        &["db:migrate"],
        &["db:check"],
    ] {
        let said = queue.fails(6, command);
        assert!(said.contains("it is a pipe"), "{command:?}: {said}");
    }
    let queue = queue.with_db("queue.db");
    let mut sh = std::process::Command::new("sh");
    sh.args(["-c", "ulimit -n 5; exec \"$@\"", "sh"]);
    let done = crate::support::finish(crate::support::unix::within(sh, &queue.command(["list"])), None);
    assert_eq!(done.status, 6, "{}", done.err);
    assert!(done.err.contains("too many files are open"), "{}", done.err);
    std::fs::remove_file(queue.path("queue.db-wal")).unwrap();
    std::fs::create_dir(queue.path("queue.db-wal")).unwrap();
    let said = queue.fails(6, ["list"]);
    assert!(said.contains("queue.db-wal: it is a folder"), "{said}");
    std::fs::remove_dir(queue.path("queue.db-wal")).unwrap();
    let said = queue.fails(4, ["db:backup", "queue.db"]);
    assert!(said.contains("already exists"), "{said}");
}
