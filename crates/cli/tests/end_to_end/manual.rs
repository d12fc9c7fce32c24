//! The pages for `man`: one for each command, without a warning of the programs that show them.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::Queue;

/// The pages, by their names.
fn pages(queue: &Queue) -> Vec<String> {
    queue.ok(["manual", "man"]);
    let files = std::fs::read_dir(queue.path("man")).unwrap();
    let mut names: Vec<String> = files
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// What a program says of a page on both streams. None if it is not there.
fn said(program: &str, options: &[&str], page: &Path) -> Option<String> {
    let done = Command::new(program)
        .args(options)
        .arg(page)
        .env("LC_ALL", "C.UTF-8")
        .env("MANWIDTH", "80")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let both = [done.stdout, done.stderr].concat();
    Some(String::from_utf8_lossy(&both).into_owned())
}

#[test]
fn every_command_has_a_page_without_warnings() {
    let queue = Queue::new();
    let pages = pages(&queue);
    let help = queue.ok(["--help"]);
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands = commands.lines().take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands
        .filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')))
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(pages.len(), commands.len() + 1);
    for command in commands {
        let page = format!("queuectl-{}.1", command.replace(':', "-"));
        assert!(pages.contains(&page), "{page}");
    }
    queue.write("wrong.1", ".TH X 1\n.SH NAME\nx - y\n.nosuchrequest\n\\fQ\n");
    let checks: [(&str, &[&str]); 2] = [
        ("groff", &["-ww", "-man", "-Tutf8", "-z"]),
        ("mandoc", &["-Tlint", "-Wwarning"]),
    ];
    for (program, options) in checks {
        // The control: a page that is wrong.
        let Some(control) = said(program, options, &queue.path("wrong.1")) else {
            queuectl_testkit::skipped(
                "manual::every_command_has_a_page_without_warnings",
                &format!("{program} is not installed"),
            );
            continue;
        };
        assert_ne!(control, "", "{program}");
        for page in &pages {
            let said = said(program, options, &queue.path("man").join(page));
            assert_eq!(said.as_deref(), Some(""), "{program} {page}");
        }
    }
}

#[test]
fn a_page_says_what_the_help_says() {
    let queue = Queue::new();
    pages(&queue);
    let Some(shown) = said(
        "groff",
        &["-man", "-Tascii", "-P-cbou"],
        &queue.path("man/queuectl-run.1"),
    ) else {
        return queuectl_testkit::skipped("manual::a_page_says_what_the_help_says", "groff is not installed");
    };
    for wanted in [
        "queuectl-run - Store a job, print its output",
        "queuectl run [OPTIONS] [COMMAND]...",
        "--max-retries N",
        "EXIT STATUS",
        "  queuectl run make -j4",
    ] {
        assert!(shown.contains(wanted), "{wanted}: {shown}");
    }
}
