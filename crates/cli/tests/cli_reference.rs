//! docs/cli.md is what the binary's own `--help` says, for every command.
//!
//! Which commands there are is read from the help. With `QUEUECTL_UPDATE_DOCS=1` the page is written instead of compared.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use queuectl_core::settings::{KEYS, Key};

const HEAD: &str = "# Command line reference

This page is what `queuectl --help` and `queuectl COMMAND --help` print, 100 columns wide. It is generated: to update it,
run `cargo test -p queuectl-cli --test cli_reference` with `QUEUECTL_UPDATE_DOCS=1`.

The global options are the same for every command and shown once. The commands with a colon may also be typed with a space:
`queuectl dlq list` is `queuectl dlq:list`. What `--json` prints is in [json.md](json.md).
";

fn binary() -> PathBuf {
    match std::env::var_os("QUEUECTL_TEST_BIN_DIR") {
        Some(folder) => Path::new(&folder).join(format!("queuectl{}", std::env::consts::EXE_SUFFIX)),
        None => env!("CARGO_BIN_EXE_queuectl").into(),
    }
}

/// What `queuectl WORDS --help` prints.
fn help(words: &[&str]) -> String {
    let output = Command::new(binary())
        .args(words)
        .arg("--help")
        // No stream is a terminal, so this is the width.
        .env("COLUMNS", "100")
        .env_remove("QUEUECTL_DB")
        .stdin(Stdio::null())
        .output()
        .expect("queuectl runs");
    assert!(output.status.success(), "{words:?}: {output:?}");
    let text = String::from_utf8(output.stdout).expect("help is text");
    text.replace("queuectl.exe", "queuectl").replace("\r\n", "\n")
}

/// The commands that the main help lists.
fn commands(help: &str) -> Vec<&str> {
    let (_, list) = help.split_once("\nCommands:\n").expect("a list of commands");
    list.lines()
        .take_while(|line| !line.is_empty())
        // Two blanks before a command; the lines of a long description begin further right.
        .filter_map(|line| line.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')))
        .filter_map(|line| line.split_whitespace().next())
        .collect()
}

/// The paragraph of the main help about the options that every command takes.
fn global_options(help: &str) -> &str {
    let paragraphs = help.split("\n\n");
    let mut global = paragraphs.filter(|paragraph| paragraph.starts_with("Global options:\n"));
    global.next().expect("a paragraph about global options")
}

fn page() -> String {
    let main = help(&[]);
    let global = global_options(&main);
    // Where jobs are described, -q names their queue.
    let without_q = global.replace("  -q, --quiet", "      --quiet");
    let mut page = HEAD.to_owned();
    let mut section = |title: &str, text: &str| {
        let text: Vec<&str> = text.trim().lines().map(str::trim_end).collect();
        // Writing to a string cannot fail.
        let _ = write!(page, "\n## `{title}`\n\n```text\n{}\n```\n", text.join("\n"));
    };
    section("queuectl", &main);
    for command in commands(&main) {
        let text = help(&[command]);
        let own = [global, &without_q].into_iter().find(|own| text.contains(own));
        let own = own.unwrap_or_else(|| panic!("{command} takes other global options"));
        section(
            &format!("queuectl {command}"),
            &text.replace(&format!("\n{}\n", own.trim_end()), ""),
        );
    }
    page
}

#[test]
fn cli_reference_is_what_the_binary_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let page = page();
    if std::env::var("QUEUECTL_UPDATE_DOCS").is_ok_and(|value| value == "1") {
        std::fs::write(&path, page).expect("docs/cli.md can be written");
        return;
    }
    let shown = std::fs::read_to_string(&path).expect("docs/cli.md can be read");
    let shown = shown.replace("\r\n", "\n");
    let difference = page
        .lines()
        .zip(shown.lines())
        .find(|(now, shown)| now != shown)
        .map_or_else(
            || "one is longer than the other".to_owned(),
            |(now, shown)| format!("docs/cli.md: {shown:?}\nthe binary:  {now:?}"),
        );
    assert!(
        page == shown,
        "docs/cli.md is not what --help says; the first difference:\n{difference}\n\
         to update it: QUEUECTL_UPDATE_DOCS=1 cargo test -p queuectl-cli --test cli_reference"
    );
}

/// The rows of the table below a heading of the README, as cells.
fn table<'a>(readme: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let mut lines = readme.lines().skip_while(|line| *line != heading);
    assert!(lines.next().is_some(), "README.md has no heading {heading:?}");
    let rows = lines
        .take_while(|line| !line.starts_with("## "))
        .filter(|line| line.starts_with("| `"));
    rows.map(|row| row.split('|').map(|cell| cell.trim().trim_matches('`')).collect())
        .collect()
}

#[test]
fn the_readme_names_every_command_and_exit_status() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(path).expect("README.md can be read");
    let main = help(&[]);
    let column = |heading, index: usize| -> Vec<&str> {
        let rows = table(&readme, heading);
        rows.iter().map(|row| row[index]).collect()
    };
    assert_eq!(column("## Commands", 1), commands(&main));

    let (_, list) = main
        .split_once("Exit status:\n")
        .expect("a list of exit statuses");
    let statuses = list.lines().map_while(|line| line.strip_prefix("  "));
    let statuses: Vec<(&str, &str)> = statuses.filter_map(|line| line.split_once("  ")).collect();
    let shown = column("## Exit statuses", 1);
    assert_eq!(
        shown,
        statuses
            .iter()
            .map(|(status, _)| status.trim())
            .collect::<Vec<_>>()
    );
}

/// The rows of the settings in the README.
fn settings() -> String {
    let row = |key: &Key| {
        // The one default that differs between systems.
        let default = if key.name == "shell" { "sh" } else { key.default };
        format!(
            "| `{}` | `{default}` | {} | {} |\n",
            key.name,
            key.kind.range(),
            key.about
        )
    };
    KEYS.iter().map(row).collect()
}

#[test]
fn the_readme_shows_the_settings_as_they_are() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(&path).expect("README.md can be read");
    let heading = "| setting | default | range | meaning |\n|---|---|---|---|\n";
    let (before, rest) = readme.split_once(heading).expect("a table of settings");
    let end = rest.find("\n\n").map_or(rest.len(), |end| end + 1);
    if std::env::var_os("QUEUECTL_UPDATE_DOCS").is_some() {
        let updated = format!("{before}{heading}{}{}", settings(), &rest[end..]);
        std::fs::write(&path, updated).expect("README.md can be written");
        return;
    }
    assert_eq!(
        rest[..end],
        settings(),
        "to update it: QUEUECTL_UPDATE_DOCS=1 cargo test -p queuectl-cli --test cli_reference"
    );
}

#[test]
fn every_kind_of_verb_is_found_in_the_help() {
    let main = help(&[]);
    let found = commands(&main);
    for known in ["enqueue", "worker:start", "dlq:list", "config:set", "db:check"] {
        assert!(found.contains(&known), "{known} is not among {found:?}");
    }
    assert!(
        !found.contains(&"worker:run"),
        "hidden commands are not documented"
    );
    // The words of a description are not taken for commands.
    let wrapped = "x\nCommands:\n  one  Does\n       this\n  two  That\n\nOptions:\n  -h  Help\n";
    assert_eq!(commands(wrapped), ["one", "two"]);
}
