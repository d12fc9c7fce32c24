//! `manual`, hidden: writes the pages for `man`, one for each command and one for queuectl itself.
//!
//! They say what `--help` says. Packages and `cargo xtask install` call it.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::{Arg, Args, Command};
use jiff::Timestamp;

use super::COMMANDS;
use crate::about::{ABOUT, EPILOGUE};
use crate::context::Context;
use crate::exit::Exit;
use crate::global::Global;
use crate::output::roff::Roff;
use crate::registry::{Entry, Run};

/// Write the manual pages into a folder
#[derive(Debug, Args)]
pub struct ManualArgs {
    /// The folder, which is made if it is not there
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Run for ManualArgs {
    fn run(self, _: &Context) -> Result<Exit> {
        let folder = &self.folder;
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        let day = day()?;
        let write = |name: &str, page: String| {
            let file = folder.join(format!("{name}.1"));
            fs::write(&file, page).with_context(|| format!("cannot write {}", file.display()))
        };
        for entry in COMMANDS.iter().filter(|entry| !entry.is_hidden) {
            write(&page_name(entry), of_command(entry, &day))?;
        }
        write("queuectl", of_queuectl(&day))?;
        Ok(Exit::OK)
    }
}

/// The day that the pages show: that of the sources, where a package says it, else today.
fn day() -> Result<String> {
    let given = std::env::var("SOURCE_DATE_EPOCH").ok();
    let given = given.and_then(|seconds| seconds.parse().ok());
    let time = match given {
        Some(seconds) => Timestamp::from_second(seconds)?,
        None => Timestamp::now(),
    };
    Ok(time.strftime("%Y-%m-%d").to_string())
}

/// `queuectl-worker-start` of `worker:start`: a colon does not belong into the name of a page.
fn page_name(entry: &Entry) -> String {
    format!("queuectl-{}", entry.name.replace(':', "-"))
}

fn of_command(entry: &Entry, day: &str) -> String {
    let command = entry.augment(Command::new(entry.name).bin_name(format!("queuectl {}", entry.name)));
    let mut page = start(&page_name(entry), &about(&command), day);
    synopsis(&mut page, command.clone());
    page.section("Description");
    page.text(&format!("{}.", about(&command)));
    if entry.name.contains(':') {
        page.text(&format!(
            "\"queuectl {}\" is the same.",
            entry.name.replace(':', " ")
        ));
    }
    let sections = after_help(&mut page, &command);
    arguments(&mut page, "Arguments", command.get_positionals());
    arguments(
        &mut page,
        "Options",
        command.get_arguments().filter(|arg| !arg.is_positional()),
    );
    for (title, text) in &sections {
        page.section(title);
        body(&mut page, text);
    }
    page.section("See also");
    page.text("queuectl(1), which has the options that every command takes");
    page.finish()
}

fn of_queuectl(day: &str) -> String {
    let command = Command::new("queuectl").about(ABOUT).after_help(EPILOGUE);
    let mut page = start("queuectl", "a durable background job queue", day);
    page.section("Synopsis");
    page.text("queuectl COMMAND [OPTIONS]");
    page.section("Description");
    page.text(&format!("{}.", about(&command)));
    let sections = after_help(&mut page, &command);
    page.section("Commands");
    for entry in COMMANDS.iter().filter(|entry| !entry.is_hidden) {
        page.item(entry.name);
        let about = about(&entry.augment(Command::new(entry.name)));
        page.text(&format!("{about}. See {}(1).", page_name(entry)));
    }
    let global = Global::augment_args(Command::new("queuectl"));
    arguments(
        &mut page,
        "Options",
        global.get_arguments().filter(|arg| !arg.is_positional()),
    );
    for (title, text) in &sections {
        page.section(title);
        body(&mut page, text);
    }
    page.finish()
}

fn start(name: &str, about: &str, day: &str) -> Roff {
    let mut page = Roff::new(name, day, env!("CARGO_PKG_VERSION"));
    page.section("Name");
    page.text(&format!("{name} - {about}"));
    page
}

fn about(command: &Command) -> String {
    command.get_about().map(ToString::to_string).unwrap_or_default()
}

fn synopsis(page: &mut Roff, command: Command) {
    page.section("Synopsis");
    // An option of the command may exclude a global one, and have its short name.
    let taken: Vec<char> = command.get_arguments().filter_map(Arg::get_short).collect();
    let without_taken = |arg: &Arg| match arg.get_short() {
        Some(short) if taken.contains(&short) => arg.clone().short(None),
        _ => arg.clone(),
    };
    let global = Global::augment_args(Command::new("queuectl"));
    let global: Vec<Arg> = global.get_arguments().map(without_taken).collect();
    let mut command = command.args(global);
    let usage = command.render_usage().to_string();
    page.text(usage.trim_start_matches("Usage:").trim());
}

/// Writes the paragraphs of the text behind the help, and returns those that have a title, with it.
fn after_help(page: &mut Roff, command: &Command) -> Vec<(String, String)> {
    let text = command
        .get_after_help()
        .map(ToString::to_string)
        .unwrap_or_default();
    let mut titled = Vec::new();
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.is_empty()) {
        let title = ["Exit status", "Examples"].iter().find(|title| {
            let rest = paragraph.strip_prefix(**title);
            rest.is_some_and(|rest| rest.starts_with(':'))
        });
        match title {
            Some(title) => titled.push(((*title).to_owned(), paragraph[title.len() + 1..].to_owned())),
            None => {
                page.paragraph();
                body(page, paragraph);
            }
        }
    }
    titled
}

/// Writes text, in which lines that are indented stay as they are.
fn body(page: &mut Roff, text: &str) {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).peekable();
    while let Some(first) = lines.next() {
        let is_fixed = first.starts_with("  ");
        let mut part = vec![first];
        while let Some(line) = lines.next_if(|line| line.starts_with("  ") == is_fixed) {
            part.push(line);
        }
        match is_fixed {
            true => page.lines(part),
            false => page.text(&part.join(" ")),
        }
    }
}

fn arguments<'a>(page: &mut Roff, title: &str, args: impl Iterator<Item = &'a Arg>) {
    let mut shown = args.filter(|arg| !arg.is_hide_set()).peekable();
    if shown.peek().is_none() {
        return;
    }
    page.section(title);
    for arg in shown {
        page.item(&tag(arg));
        page.text(&arg.get_help().map(ToString::to_string).unwrap_or_default());
        let values = arg.get_possible_values();
        let values: Vec<&str> = values.iter().map(|value| value.get_name()).collect();
        if arg.get_action().takes_values() && !values.is_empty() {
            page.text(&format!("[possible values: {}]", values.join(", ")));
        }
        let defaults = arg.get_default_values().iter();
        let defaults: Vec<_> = defaults.map(|value| value.to_string_lossy()).collect();
        if arg.get_action().takes_values() && !defaults.is_empty() && !arg.is_hide_default_value_set() {
            page.text(&format!("[default: {}]", defaults.join(", ")));
        }
    }
}

/// How an argument is typed, with its values between `<` and `>`.
fn tag(arg: &Arg) -> String {
    let names: Vec<&str> = arg
        .get_value_names()
        .unwrap_or_default()
        .iter()
        .map(|name| name.as_str())
        .collect();
    let value = names.join(" ");
    if arg.is_positional() {
        return format!("<{value}>");
    }
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let names: Vec<String> = short.into_iter().chain(long).collect();
    match arg.get_action().takes_values() && !value.is_empty() {
        true => format!("{} <{value}>", names.join(", ")),
        false => names.join(", "),
    }
}
