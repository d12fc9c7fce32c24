//! `demo`: a short story with the real binary, in a temporary queue, checked at the end.
//!
//! Every command is shown as a user would type it and does what it would do for a user; nothing reaches into the
//! queue from the side. The user's own queue and settings are not touched.

mod shell;
mod verify;

use std::fs;
use std::path::PathBuf;

use anyhow::Context;

use crate::build::{self, Scope};
use crate::demo::shell::Shell;
use crate::demo::verify::{Expected, verify};
use crate::install;
use crate::workspace::Workspace;
use queuectl_devkit::{Profile, heading};

/// Plays the story; an error says what came out differently.
pub fn run(workspace: &Workspace, keep: bool) -> anyhow::Result<()> {
    heading("Building queuectl and its default executor");
    let built = build::build(workspace, Profile::Dev, Scope::Shell)?;
    let mut folder = tempfile::Builder::new()
        .prefix("queuectl-demo-")
        .tempdir()
        .context("cannot make a folder")?;
    // Installed for real, in the temporary folder: so the plugins are found the way they are found for a user.
    let placed = install::place(&built, folder.path())?;
    let binary = placed.first().context("there is no binary")?;
    let shell = Shell::new(binary, folder.path());

    let story = tell(&shell);
    if keep || story.is_err() {
        folder.disable_cleanup(true);
    }
    match &story {
        Ok(()) if keep => println!(
            "\nTo look around in the demo's queue (remove {} afterwards):\n",
            shell.folder()
        ),
        Ok(()) => println!(
            "\nThe demo's queue was in {} and is removed; --keep keeps it.",
            shell.folder()
        ),
        Err(_) => println!("\nThe demo's queue is still there, to find out why:\n"),
    }
    if keep || story.is_err() {
        println!("  {} --db {} list", binary.display(), shell.database().display());
    }
    story.context("the demo did not go as expected")?;
    go_on();
    Ok(())
}

/// The jobs of the story that need a file, as lines for the platform's shell.
struct Lines {
    flaky: String,
    slow: String,
    report: String,
}

impl Lines {
    fn new(marker: &str, report: &str) -> Self {
        if cfg!(windows) {
            Lines {
                flaky: format!(
                    "if exist \"{marker}\" (echo second time lucky) else (echo x > \"{marker}\" & exit 1)"
                ),
                slow: "ping -n 3 127.0.0.1 > NUL & echo done, slowly".to_owned(),
                report: format!("type \"{report}\""),
            }
        } else {
            Lines {
                flaky: format!(
                    "test -e '{marker}' && echo second time lucky || {{ touch '{marker}'; exit 1; }}"
                ),
                slow: "sleep 2; echo done, slowly".to_owned(),
                report: format!("cat '{report}'"),
            }
        }
    }
}

fn tell(shell: &Shell) -> anyhow::Result<()> {
    let marker = shell.path("marker");
    let report: PathBuf = shell.path("report.txt");
    let lines = Lines::new(&marker.display().to_string(), &report.display().to_string());

    heading("A new queue with five jobs");
    shell.show_environment();
    let hello = shell.capture(&["enqueue", "echo", "Hello Queue"])?;
    let slow = shell.capture(&["enqueue", &lines.slow])?;
    let flaky = shell.capture(&["enqueue", &lines.flaky])?;
    let doomed = shell.capture(&["enqueue", "--max-retries", "2", "exit 1"])?;
    let broken = shell.capture(&["enqueue", "--max-retries", "1", &lines.report])?;

    heading("Short waits between retries, so that nobody has to wait here");
    shell.run(&["config:set", "backoff_base", "1"])?;
    shell.run(&["config:set", "backoff_cap", "200ms"])?;

    heading("Two workers, until nothing is left to do");
    shell.run_expecting(1, &["worker:start", "--count", "2", "--drain"])?;
    println!("(exit status 1: some jobs failed for good, as they should here)");

    heading("What came of it");
    shell.run(&["list"])?;
    shell.run(&["status"])?;
    let attempted = |id, state, attempts| Expected { id, state, attempts };
    let mut expected = [
        attempted(&hello, "completed", 1),
        attempted(&slow, "completed", 1),
        attempted(&flaky, "completed", 2),
        attempted(&doomed, "dead", 3),
        attempted(&broken, "dead", 2),
    ];
    verify(&shell.capture_quietly(&["list", "--json"])?, &expected)?;

    heading("The dead letter queue");
    shell.run(&["dlq:list"])?;
    shell.run(&["dlq:show", &broken])?;

    heading("The cause is mended, and the job gets another chance");
    println!("(now the file exists: {})", report.display());
    fs::write(&report, "all is well\n").context("cannot write the report")?;
    shell.run(&["dlq:retry", &broken])?;
    shell.run(&["worker:start", "--drain"])?;
    shell.run(&["list"])?;
    // Retrying by hand restarts the count.
    expected[4] = attempted(&broken, "completed", 1);
    verify(&shell.capture_quietly(&["list", "--json"])?, &expected)
}

fn go_on() {
    heading("Everything came out as expected");
    println!(
        "\
To go on:

  cargo xtask install                  installs to ~/.local (or --prefix DIR)
  queuectl enqueue echo \"Hello Queue\"  in your own queue, which is made on first use:
                                       queuectl/queue.db in your data folder; --db or QUEUECTL_DB choose another
  queuectl worker:start --count 2      runs what is there and what comes, until Ctrl-C
  queuectl --help                      lists every command"
    );
}
