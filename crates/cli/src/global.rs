//! The options that every command takes, as they are typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum};
use serde::Deserialize;

use crate::exit::Usage;
use crate::listed::listed;
use crate::output::Output;
use crate::output::format::fields::Selection;
use crate::output::format::{Format, Layout, NAMES};

/// The option that names the descriptor to read the location from; see `secret`.
pub const SECRET: &str = "internal-secret";

/// Options that every command takes, before or after its name.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// The queue: a file path, sqlite:PATH or postgres://... [env: QUEUECTL_DB] [default: queuectl/queue.db in the
    /// user's data folder]
    #[arg(long, global = true, value_name = "PATH|URL")]
    pub db: Option<OsString>,
    /// Print JSON; short for --format json
    #[arg(long, global = true)]
    pub json: bool,
    /// Print results as a table for people, for programs as JSON, JSON lines or CSV, or one line each by a template such as
    /// '{id}\t{state}' (docs/json.md) [env: QUEUECTL_OUTPUT] [default: table]
    #[arg(
        long,
        global = true,
        value_name = "FORMAT|TEMPLATE",
        value_parser = listed(NAMES, str::parse::<Layout>),
        conflicts_with = "json"
    )]
    pub format: Option<Layout>,
    /// Print only these fields of the JSON, separated by commas, in any format
    #[arg(long, global = true, value_name = "FIELDS")]
    pub fields: Option<Selection>,
    /// Use colours; auto: on a terminal, unless NO_COLOR is set [default: auto]
    #[arg(long, global = true, value_name = "WHEN", value_enum)]
    pub color: Option<ColorWhen>,
    /// Do not escape control characters in names and output
    #[arg(long, global = true)]
    pub raw: bool,
    /// Log more; twice: even more
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    pub verbose: u8,
    /// Log less; twice: errors only
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub quiet: u8,
    /// Format of log lines on standard error: text for people, or one JSON object a line [default: text]
    #[arg(long, global = true, value_name = "FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// Look for executor plugins in this folder first; repeatable
    #[arg(long, global = true, value_name = "DIR")]
    pub plugin_dir: Vec<PathBuf>,
    /// Set for a process that gets the location by a pipe; see `secret`
    #[arg(long = SECRET, global = true, hide = true)]
    pub secret: Option<u32>,
}

impl Global {
    /// Returns how results are printed.
    ///
    /// # Errors
    /// Fields are given twice.
    pub fn output(&self) -> Result<Output, Usage> {
        let short = if self.json { Format::Json } else { Format::Table };
        let layout = self.format.clone().unwrap_or(Layout::Format(short));
        if matches!(layout, Layout::Template(_)) && self.fields.is_some() {
            let message = "a template says which fields it prints; leave out --fields";
            return Err(Usage::new(message));
        }
        Ok(Output::new(layout, self.fields.clone(), self.raw))
    }

    /// Applies `--color` to everything printed from now on.
    pub fn choose_color(&self) {
        match self.color.unwrap_or_default() {
            ColorWhen::Auto => anstream::ColorChoice::Auto,
            ColorWhen::Always => anstream::ColorChoice::AlwaysAnsi,
            ColorWhen::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColorWhen {
    #[default]
    Auto,
    Always,
    Never,
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    // No documentation on the values: clap would then print every help page in its long form.
    #[default]
    Text,
    Json,
}
