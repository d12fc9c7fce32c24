//! `docs/screens`: what commands show on terminals of two sizes, of a store and at a time that are always the same.
//!
//! With `QUEUECTL_UPDATE_DOCS=1` the captures are written instead of compared. Two things are replaced in them: the name of the
//! temporary folder, and the size of the queue, which changes with every migration.

mod scene;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use self::scene::{NOW, Scene, at};
use crate::terminal::Terminal;

/// The smallest terminal that `top` takes, and a large one.
const SIZES: [(u16, u16); 2] = [(80, 24), (160, 50)];
/// Rows of what a command prints that are kept.
const ROWS: u16 = 200;

/// What stands for the folder of the queue.
const FOLDER: &str = "/srv/queues/abc";

/// Commands, by the names of their captures.
const COMMANDS: &[(&str, &[&str])] = &[
    ("status", &["status"]),
    ("list", &["list"]),
    (
        "list-columns",
        &[
            "list",
            "--columns",
            "id,state,duration,exit,error,command",
            "--sort=-duration",
            "--limit",
            "8",
        ],
    ),
    (
        "list-fields",
        &["list", "--fields", "number,state,run_at,command", "--limit", "5"],
    ),
    ("dlq-list", &["dlq:list"]),
    ("dlq-causes", &["dlq:causes"]),
    ("stats", &["stats", "--by", "queue"]),
    ("wait", &["wait", "sync-1", "sync-3"]),
    ("queue-list", &["queue:list"]),
    ("limit-list", &["limit:list"]),
    ("group-show", &["group:show", "nightly"]),
    ("schedule-list", &["schedule:list"]),
    ("schedule-next", &["schedule:next", "nightly-backup"]),
    ("explain", &["explain", "import-2"]),
    ("explain-held", &["explain", "print"]),
    ("show", &["show", "sync-3"]),
    ("events", &["events", "--limit", "12"]),
    ("worker-list", &["worker:list"]),
];

/// Views of `top`: the keys that go there, each with what is there when they have been followed.
const VIEWS: &[(&str, &[(&str, &str)])] = &[
    ("top", &[]),
    ("top-jobs", &[("2", "> given-up")]),
    ("top-queues", &[("3", "> default")]),
    ("top-limits", &[("4", "api")]),
    ("top-groups", &[("5", "> nightly")]),
    ("top-schedules", &[("6", "mondays")]),
    ("top-dead", &[("7", "sync.sh")]),
    (
        "top-job",
        &[("2", "> given-up"), ("/text~--fail\r", "> flaky"), ("\r", "(22)")],
    ),
    (
        "top-explain",
        &[
            ("2", "> given-up"),
            ("/12-200 text~part-0018\r", "> import-2"),
            ("e", "so far it waited"),
        ],
    ),
    ("top-help", &[("?", "Ctrl-C")]),
];

fn folder((width, height): (u16, u16)) -> PathBuf {
    let screens = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/screens");
    screens.join(format!("{width}x{height}"))
}

/// The screen as a file has it: without blanks at the ends of lines and lines at the end.
fn text(scene: &Scene, command: &[&str], screen: &str) -> String {
    let lines: Vec<&str> = screen.trim_end().lines().map(str::trim_end).collect();
    let words: Vec<String> = command
        .iter()
        .map(|word| {
            if word.contains(' ') {
                format!("'{word}'")
            } else {
                (*word).to_owned()
            }
        })
        .collect();
    let shown = format!(
        "$ queuectl {}
{}
",
        words.join(" "),
        lines.join(
            "
"
        )
    );
    // The name of a temporary folder, and one that is as long.
    let folder = scene.folder.path().display().to_string();
    assert_eq!(folder.len(), FOLDER.len());
    without_size(&shown.replace(&folder, FOLDER))
}

/// Replaces the number in `(123 KiB`.
fn without_size(text: &str) -> String {
    let Some(end) = text.find(" KiB") else {
        return text.to_owned();
    };
    let start = text[..end]
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + 1);
    format!("{}NNN{}", &text[..start], &text[end..])
}

/// A command that sees the time of the scene.
fn command(scene: &Scene, words: &[&str]) -> Command {
    let mut command = scene.queue.command(words);
    at(&mut command, NOW);
    command
}

fn captured(scene: &Scene, size: (u16, u16)) -> Vec<(String, String)> {
    let mut captures = Vec::new();
    for (name, words) in COMMANDS {
        let terminal = Terminal::with_room_for(ROWS, command(scene, words), size);
        captures.push(((*name).to_owned(), text(scene, words, &terminal.printed())));
    }
    for (name, steps) in VIEWS {
        let mut terminal = Terminal::start(command(scene, &["top"]), size);
        // All of the overview, with the time in the header.
        terminal.wait("the overview", |screen| {
            screen.contains("2027-01-15") && screen.contains("seen 0 s ago")
        });
        for (keys, shown) in *steps {
            terminal.press(keys);
            terminal.wait_shows(shown);
        }
        // Frames come one after the other, from the top to the last line: when these two are there, so is all of the one before.
        terminal.press(":");
        terminal.wait_shows("overview jobs queues");
        terminal.press("\u{1b}");
        terminal.wait_shows("? help");
        captures.push(((*name).to_owned(), text(scene, &["top"], &terminal.rows())));
        terminal.press("q");
        assert_eq!(terminal.ends(), 0);
    }
    captures
}

#[test]
fn screens_are_as_they_were_captured() {
    let scene = Scene::new();
    let updates = std::env::var("QUEUECTL_UPDATE_DOCS").is_ok_and(|value| value == "1");
    for size in SIZES {
        let folder = folder(size);
        let captures = captured(&scene, size);
        if updates {
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder).unwrap();
        }
        for (name, screen) in &captures {
            let file = folder.join(format!("{name}.txt"));
            if updates {
                fs::write(&file, screen).unwrap();
                continue;
            }
            let kept = fs::read_to_string(&file).unwrap_or_default();
            assert!(
                *screen == kept,
                "{} is not what the command shows, which is\n{screen}\nand was\n{kept}\n\
                 to update it: QUEUECTL_UPDATE_DOCS=1 cargo test -p queuectl-cli --test end_to_end screens",
                file.display()
            );
        }
        let names: Vec<String> = captures
            .into_iter()
            .map(|(name, _)| format!("{name}.txt"))
            .collect();
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let name = entry.file_name().into_string().unwrap();
            assert!(names.contains(&name), "no command has the capture {name}");
        }
    }
}
