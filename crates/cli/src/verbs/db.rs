//! `db:check` and `db:backup`: looking after the queue's file.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::each::ignore_closed;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{escape, json};

/// Check the queue's file for damage
#[derive(Debug, Args)]
pub struct CheckArgs {}

/// Copy the queue to a new file while nodes go on working
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The new file; it must not exist
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Serialize)]
struct CheckView {
    ok: bool,
    /// What is wrong with the file's structure.
    damage: Vec<String>,
    /// Rows that point at rows that are not there.
    dangling: u64,
    pages: u64,
    free_pages: u64,
}

#[derive(Serialize)]
struct BackupView {
    file: String,
}

pub fn check(_: &CheckArgs, context: &Context) -> Result<Exit> {
    let report = context.open()?.check()?;
    let view = CheckView {
        ok: report.damage.is_empty() && report.dangling == 0,
        damage: report.damage,
        dangling: report.dangling,
        pages: report.pages,
        free_pages: report.free_pages,
    };
    if context.json {
        json::print(&view)?;
    } else {
        print(&view)?;
    }
    Ok(if view.ok { Exit::OK } else { Exit::NEGATIVE })
}

fn print(view: &CheckView) -> io::Result<()> {
    let mut out = io::stdout();
    for line in &view.damage {
        writeln!(out, "damaged: {}", escape::line(line))?;
    }
    if view.dangling > 0 {
        writeln!(
            out,
            "damaged: {} rows point at rows that are not there",
            view.dangling
        )?;
    }
    if view.ok {
        writeln!(out, "ok: {} pages, {} of them free", view.pages, view.free_pages)?;
    } else {
        writeln!(
            out,
            "stop all nodes, keep a copy, then restore a backup or try `sqlite3 FILE .recover`"
        )?;
    }
    Ok(())
}

pub fn backup(args: &BackupArgs, context: &Context) -> Result<Exit> {
    context.open()?.backup(&args.file)?;
    let file = args.file.display().to_string();
    let printed = if context.json {
        json::print(&BackupView { file })
    } else {
        writeln!(io::stdout(), "copied to {}", escape::line(&file))
    };
    ignore_closed(printed)?;
    Ok(Exit::OK)
}
