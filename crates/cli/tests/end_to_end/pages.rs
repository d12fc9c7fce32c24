//! The pages for newcomers and the recipes, word for word: every command of ours on them runs, from top to bottom, in a
//! queue of its own.
//!
//! A command is a block of shell, or in a table a piece of code that begins with `queuectl`. What the commands need, such
//! as the scripts that their jobs run, is made up before. Options that stand alone in a text are not looked at.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::support::done::finish;
use crate::support::{Done, Queue, binary};

/// The commands of a page, each with the line where it begins.
fn commands(page: &str) -> Vec<(usize, String)> {
    let mut commands = Vec::new();
    let mut lines = page.lines().zip(1..);
    while let Some((line, number)) = lines.next() {
        if line == "```sh" {
            let block = lines.by_ref().map(|(line, _)| line);
            let block: Vec<&str> = block.take_while(|line| *line != "```").collect();
            commands.push((number + 1, block.join("\n")));
        } else if line.starts_with('|') {
            let code = line.split('`').skip(1).step_by(2);
            let ours = code.filter(|code| code.starts_with("queuectl "));
            commands.extend(ours.map(|code| (number, code.replace("\\|", "|"))));
        }
    }
    commands
}

/// Makes a program for the jobs of the page, which only writes down that it ran.
fn make_script(path: &Path) {
    fs::write(path, "#!/bin/sh\necho \"${0##*/}\" \"$@\" >> ran\necho done\n").unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Makes the scripts of a page: the words that begin with `./`.
fn make_scripts(queue: &Queue, page: &str) {
    let is_end = |c: char| c.is_whitespace() || "`'\"|),".contains(c);
    for script in page.split(is_end).filter_map(|word| word.strip_prefix("./")) {
        make_script(&queue.path(script));
    }
}

/// Runs a line in a shell that finds the binary, and programs in the queue's folder.
fn shell(queue: &Queue, line: &str) -> Done {
    let bare = queue.bare();
    let mut shell = Command::new("sh");
    for (name, value) in bare.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    let mut path = vec![binary().parent().unwrap().to_owned(), queue.path("")];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    shell
        .current_dir(bare.get_current_dir().unwrap())
        .env("PATH", std::env::join_paths(path).unwrap())
        .env("QUEUECTL_DB", queue.location())
        // An editor that changes nothing.
        .env("VISUAL", "true")
        .args(["-euc", line]);
    finish(shell, None)
}

/// Runs all commands of a page, and expects at least `least` of them.
fn page_works(name: &str, least: usize, prepare: impl FnOnce(&Queue)) -> Queue {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../docs")
        .join(name);
    let page = fs::read_to_string(path).unwrap();
    let queue = Queue::quick();
    make_scripts(&queue, &page);
    prepare(&queue);
    let commands = commands(&page);
    assert!(commands.len() >= least, "docs/{name} has commands: {commands:?}");
    for (line, command) in commands {
        let done = shell(&queue, &command);
        assert_eq!(
            done.status,
            0,
            "docs/{name}, line {line}: {command}\n{}{}",
            done.text(),
            done.err
        );
    }
    queue
}

#[test]
fn commands_of_the_page_from_cron_work() {
    page_works("from-cron.md", 14, |queue| {
        make_script(&queue.path("backup"));
        queue.write("crontab.txt", "15 4 * * 1 report\n");
    });
}

#[test]
fn commands_of_the_page_from_pueue_work() {
    page_works("from-pueue.md", 18, |_| ());
}

#[test]
fn commands_of_the_page_from_libraries_work() {
    page_works("from-sidekiq-river-oban.md", 16, |queue| {
        queue.write("jobs.jsonl", "\"./mail.sh 1\"\n\"./mail.sh 2\"\n");
    });
}

#[test]
fn commands_of_the_recipes_work_and_their_jobs_run_in_the_order_promised() {
    let queue = page_works("recipes.md", 6, |_| ());
    queue.drain(&["--count", "4"]);
    let ran = queue.lines("ran");
    let at = |line: &str| ran.iter().position(|ran| ran == line);
    let in_order = |lines: &[&str]| lines.iter().map(|line| at(line).unwrap()).is_sorted();
    assert!(
        in_order(&["extract.sh", "load.sh", "report.sh", "clean-up.sh"]),
        "{ran:?}"
    );
    assert!(
        in_order(&["import.sh 42 monday.csv", "import.sh 42 tuesday.csv"]),
        "{ran:?}"
    );
    for dump in ["dump.sh shop", "dump.sh forum"] {
        assert!(in_order(&[dump, "dumps-done.sh"]), "{ran:?}");
    }
    for (line, times) in [
        ("backup.sh", 1),
        ("clean-up.sh", 2),
        ("import.sh 43 monday.csv", 1),
        ("sync.sh 42", 1),
        ("call.sh 2", 1),
        ("dumps-done.sh", 1),
        ("dumps-failed.sh", 0),
    ] {
        assert_eq!(
            ran.iter().filter(|ran| *ran == line).count(),
            times,
            "{line} of {ran:?}"
        );
    }
}

#[test]
fn commands_are_blocks_and_pieces_of_tables() {
    let page = "`queuectl a`\n| x | `theirs` | `queuectl a \\| b`, `-c` |\n```sh\nqueuectl b\n  c\n```\n```sql\nqueuectl d\n```\n";
    let expected = [
        (2, "queuectl a | b".to_owned()),
        (4, "queuectl b\n  c".to_owned()),
    ];
    assert_eq!(commands(page), expected);
}
